"""The tables on the page, and the protocol."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from resomap.analysis.tables import Tables, read_tables
from resomap.config.load import load_config
from resomap.report.protocol import protocol
from resomap.report.tables import cell_table, variant_table
from tests.synthetic import REPORT, Sweep, aggregate

TRAINING = load_config(Path(__file__).parents[3] / "config").training


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    folder = tmp_path_factory.mktemp("results")
    variants = ("eager", "compiled", "training_step")
    sweep = Sweep(test=80, val=40, seeds=(0,), explained=0, variants=variants, energy=True)
    aggregate(folder, sweep)
    return read_tables(folder / "tables")


def test_cells_have_best_throughput_and_least_energy(tables: Tables) -> None:
    row = cell_table(tables)[0]
    profiles = tables.profiles
    of_cell = (profiles["model"] == "tiny_cnn") & (profiles["resolution"] == 24)
    batches = profiles[of_cell].set_index(["variant", "batch_size"])
    for name in ("inference_images_per_second", "energy_j_per_image"):
        assert row[name] == pytest.approx(batches.loc[("eager", 32), name])


def test_cells_have_verdict_of_choice(tables: Tables) -> None:
    verdicts = {(row["model"], row["resolution"]): row["verdict"] for row in cell_table(tables)}
    assert verdicts["simple_cnn", 96] == "chosen"
    assert verdicts["tiny_cnn", 96] == "open"
    assert verdicts["tiny_cnn", 24] == "worse"


def test_undecided_choice_is_taken_until_decided(tables: Tables) -> None:
    undecided = replace(tables, choice=tables.choice | {"status": "undecided"})
    assert "undecided, taken" in [row["verdict"] for row in cell_table(undecided)]


def test_variants_of_a_batch_stand_side_by_side(tables: Tables) -> None:
    table = variant_table(tables.profiles)
    assert table["variants"] == ["eager", "compiled", "training step"]
    first = [(row["resolution"], row["batch_size"]) for row in table["rows"][:3]]
    assert first == [(24, 1), (24, 32), (48, 1)]
    eager, compiled, training = table["rows"][0]["records"]
    assert compiled["latency_ms_p50"] == pytest.approx(0.8 * eager["latency_ms_p50"])
    assert training is None


def test_one_variant_makes_no_table(tables: Tables) -> None:
    eager = tables.profiles[tables.profiles["variant"] == "eager"]
    assert variant_table(eager)["rows"] == []


def test_variants_are_named_by_what_differs(tables: Tables) -> None:
    eager = tables.profiles[tables.profiles["variant"] == "eager"]
    other = eager.assign(precision="bf16", status="unsupported", latency_ms_p50=float("nan"))
    table = variant_table(pd.DataFrame(eager.to_dict("records") + other.to_dict("records")))
    assert table["variants"] == ["eager, fp32", "eager, bf16"]
    record = table["rows"][0]["records"][1]
    assert (record["status"], record["latency_ms_p50"]) == ("unsupported", None)


def cost_protocol(tables: Tables) -> tuple[str, str]:
    """Return what the protocol holds about cost and energy."""
    manifest: dict[str, Any] = {
        "splits": {split: {"count": 1} for split in ("train", "val", "test")},
        "dataset": "reef",
        "classes": [],
        "filter": "area",
        "native_resolution": 96,
        "aspect": "squash",
    }
    values = protocol(tables, manifest, TRAINING, REPORT, (0,))
    return values["Cost"], values["Energy"]


def test_protocol_has_precision_of_cost_and_idle_power(tables: Tables) -> None:
    cost, energy = cost_protocol(tables)
    assert "1 thread; at least 400 repetitions per cell" in cost
    assert "within 1 %" in cost
    assert "5 W" in energy


def test_protocol_marks_what_was_not_measured(tables: Tables) -> None:
    bare = replace(tables, profiles=tables.profiles[:0], energy=tables.energy[:0])
    assert cost_protocol(bare) == ("not measured", "not measured")


def test_cell_at_majority_class_is_not_learned(tmp_path: Path) -> None:
    aggregate(tmp_path, Sweep(test=64, val=32, explained=0))
    tables = read_tables(tmp_path / "tables")
    cells = tables.cells.assign(accuracy_low=[0.1, 0.1, 0.2, 0.2, 0.2, 0.2])
    choice = tables.choice | {"status": "none", "choice": None, "best": None, "comparisons": []}
    rows = cell_table(replace(tables, cells=cells, choice=choice))
    assert [row["verdict"] for row in rows][:3] == ["not learned", "not learned", "ok"]
