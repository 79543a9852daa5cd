from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from resomap.report.page import cell_table, protocol
from resomap.report.tables import Tables, read_tables
from resomap.report.text import cost, cost_titles, limits
from resomap.report.variants import digits, mebibytes, variant_table
from tests.synthetic import Sweep
from tests.unit.test_report import REPORT, TRAINING
from tests.unit.test_tables import aggregate

SWEEP = Sweep(
    test=80,
    val=40,
    seeds=(0,),
    explained=0,
    variants=("eager", "compiled", "training_step"),
    energy=True,
)
WAY = {
    "family": "custom",
    "model": "net",
    "variant": "eager",
    "precision": "fp32",
    "memory_format": "channels_last",
}


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    folder = tmp_path_factory.mktemp("results")
    aggregate(folder, SWEEP)
    return read_tables(folder / "tables")


def cost_row(**others: Any) -> pd.DataFrame:
    exponents = {
        f"{kind}_exponent{end}": 0.6
        for kind in ("latency", "memory")
        for end in ("", "_low", "_high")
    }
    ratio = {"crossover_ratio": 1.01, "crossover_ratio_low": 0.98, "crossover_ratio_high": 1.04}
    misfits = {"latency_misfit": 0.1, "memory_misfit": 0.2}
    return pd.DataFrame(
        [
            WAY
            | {"batch_size": 1, "smallest": 24, "crossover_px": 48.0}
            | exponents
            | misfits
            | ratio
            | others
        ]
    )


def told(tables: Tables, **growth: Any) -> str:
    """What is said of a model whose profile is that of a synthetic one, and whose row in cost.csv is made up."""
    return next(
        cost.cost_sentences(
            replace(tables, cost=cost_row(**{"model": "tiny_cnn"} | growth)), 0.95
        )
    )


def test_latency_is_told_at_both_ends_then_how_it_grows(tables: Tables) -> None:
    assert told(
        tables, latency_exponent_low=0.55, latency_exponent_high=0.65, memory_exponent_low=-0.1
    ).endswith(
        "and 2.55 ms a picture at 96 px (p90 2.93 ms): 5.8 times the latency for 16 times the pixels. "
        "Latency grows as the pixels to the power 0.60 (95 % interval 0.55–0.65), to within 10 % at every size; "
        "peak memory at batch 1 to the power 0.60 (from step to step −0.10 to 0.60). "
        "Under 48 px a smaller picture saves nothing: 48 px take 1.01 (0.98–1.04) times as long as 24 px."
    )


def test_what_is_only_not_shown_is_not_called_nothing(tables: Tables) -> None:
    assert "Under 48 px a smaller picture is not shown to save time: " in told(
        tables, crossover_ratio_high=1.4
    )


def test_without_an_exponent_or_a_crossover_nothing_is_said_of_them(tables: Tables) -> None:
    assert told(tables, latency_exponent=None, crossover_px=None).endswith(
        "for 16 times the pixels."
    )


def test_another_variants_growth_is_not_told_for_the_model(tables: Tables) -> None:
    assert told(tables, variant="compiled").endswith("for 16 times the pixels.")


def test_where_the_time_goes_is_told(tables: Tables) -> None:
    assert (
        "From file to answer, the network takes longest in 4 of 6 cells: 31 % to 85 % of the time."
        in list(cost.cost_sentences(tables, 0.95))
    )


@pytest.mark.parametrize(
    ("forward", "title"),
    [
        (
            [0.5, 1.0, 3.0],
            "Decoding the file takes longest in 2 of 3 cells; the network takes 17 % to 55 % of the time",
        ),
        (
            [0.5, 1.0, 1.5],
            "Decoding the file takes longest in every cell; the network takes 17 % to 38 % of the time",
        ),
        ([3.0, 4.0, 5.0], "The network takes longest in every cell: 55 % to 67 % of the time"),
    ],
)
def test_the_longest_stage_is_named(forward: list[float], title: str) -> None:
    stages = pd.DataFrame(
        {
            "decode_ms": 2.0,
            "resize_ms": 0.5,
            "copy_ms": float("nan"),
            "forward_ms": forward,
            "total_ms": [2.5 + ms for ms in forward],
        }
    )
    assert cost_titles.breakdown_title(stages) == title


def test_a_larger_picture_that_is_faster_raises_an_alarm(tables: Tables) -> None:
    assert list(cost.inversion_sentences(tables.neighbours)) == []
    row = WAY | {
        "batch_size": 32,
        "resolution": 160,
        "larger": 192,
        "ratio": 0.9,
        "ratio_low": 0.88,
        "ratio_high": 0.92,
    }
    neighbours = pd.DataFrame(
        [row | {"verdict": verdict} for verdict in ["saves", *["inverted"] * 8]]
    )
    first, *_, last = cost.inversion_sentences(neighbours)
    assert first == (
        "A larger picture is faster: net takes 0.90 (0.88–0.92) times as long at 192 px as at 160 px (eager, batch 32; shown with 99 % "
        "confidence for all 9 steps at once). Something other than pixels decides its time there."
    )
    assert last == "2 more such steps stand in results/tables/neighbours.csv."


def test_energy_is_told_of_the_choice_and_of_the_thriftiest_cell(tables: Tables) -> None:
    *_, picture, watt = cost.cost_sentences(tables, 0.95)
    assert picture.startswith(
        "simple_cnn at 96 px takes 56.1 mJ a picture at batch 32 (42.1 mJ above idle), 57.5 mJ a correct one ("
    )
    assert (
        watt == "Most pictures a second a watt: tiny_cnn at 24 px, 227 (225–229) at batch 32."
    )


def test_energy_that_was_not_measured_is_said_to_be_so_once(tables: Tables) -> None:
    unmeasured = replace(tables, energy=tables.energy.iloc[:0])
    assert not any("watt" in said for said in cost.cost_sentences(unmeasured, 0.95))
    assert _protocol(unmeasured)["Energy"] == "not measured"
    assert (
        _protocol(tables)["Energy"] == "by the counter of the device, whose idle power was 5 W"
    )


def _protocol(tables: Tables) -> dict[str, str]:
    manifest = {
        "splits": {split: {"count": 1} for split in ("train", "val", "test")},
        "dataset": "reef",
        "classes": [],
        "filter": "area",
    }
    return protocol(
        tables, manifest | {"native_resolution": 96, "aspect": "squash"}, TRAINING, REPORT, (0,)
    )


def test_the_protocol_says_how_well_costs_are_known(tables: Tables) -> None:
    assert _protocol(tables)["Cost"] == (
        "cpu, fp32, channels_last, eager, 1 thread(s); at least 400 repetitions a cell, medians known to within 1 % between rounds"
    )


def test_the_table_of_all_cells_has_the_best_throughput_and_the_least_energy(
    tables: Tables,
) -> None:
    row = cell_table(tables)[0]
    batches = tables.profiles[
        (tables.profiles["model"] == "tiny_cnn") & (tables.profiles["resolution"] == 24)
    ].set_index(["variant", "batch_size"])
    assert (
        row["inference_images_per_second"]
        == batches.loc[("eager", 32), "inference_images_per_second"]
    )
    assert row["energy_j_per_image"] == pytest.approx(
        batches.loc[("eager", 32), "energy_j_per_image"]
    )


def test_limits_tell_why_measurements_are_invalid_and_which_were_not_made(
    tables: Tables,
) -> None:
    profiles = tables.profiles.astype({"valid": object, "why_invalid": object}).copy()
    profiles.loc[0, ["valid", "why_invalid"]] = [False, "crowded"]
    profiles.loc[1, ["valid", "why_invalid"]] = [False, "throttled"]
    profiles.loc[2, "status"] = "unsupported"
    profiles.loc[profiles["resolution"] == 96, "status"] = "infeasible"
    said = limits.limit_sentences(replace(tables, profiles=profiles), native_resolution=96)
    assert said[:3] == [
        "2 of 30 cost measurements are marked invalid (1 crowded, 1 throttled): tiny_cnn at 24 px (eager, batch 1); "
        "tiny_cnn at 24 px (eager, batch 32). Compare them with care, or measure again on an idle machine.",
        "10 of 30 cost measurements did not fit into memory: tiny_cnn at 96 px (eager, batch 1); tiny_cnn at 96 px (eager, batch 32); "
        "tiny_cnn at 96 px (compiled, batch 1); tiny_cnn at 96 px (compiled, batch 32); tiny_cnn at 96 px (training step, batch 32); "
        "simple_cnn at 96 px (eager, batch 1) and 4 more.",
        "1 of 30 cost measurements cannot be run on this machine: tiny_cnn at 24 px (compiled, batch 1).",
    ]


def test_variants_stand_side_by_side_where_a_batch_was_run_in_several(tables: Tables) -> None:
    table = variant_table(tables.profiles)
    assert table["ways"] == ["eager", "compiled", "training step"]
    assert [(row["resolution"], row["batch_size"]) for row in table["rows"][:3]] == [
        (24, 1),
        (24, 32),
        (48, 1),
    ]
    eager, compiled, training = table["rows"][0]["ways"]
    assert compiled["latency_ms_p50"] == pytest.approx(0.8 * eager["latency_ms_p50"])
    assert training is None


def test_one_variant_makes_no_table(tables: Tables) -> None:
    assert variant_table(tables.profiles[tables.profiles["variant"] == "eager"])["rows"] == []


def test_variants_are_named_by_what_tells_them_apart(tables: Tables) -> None:
    eager = tables.profiles[tables.profiles["variant"] == "eager"]
    other = eager.assign(precision="bf16", status="unsupported", latency_ms_p50=float("nan"))
    table = variant_table(pd.DataFrame(eager.to_dict("records") + other.to_dict("records")))
    assert table["ways"] == ["eager, fp32", "eager, bf16"]
    assert (
        table["rows"][0]["ways"][1]["status"],
        table["rows"][0]["ways"][1]["latency_ms_p50"],
    ) == ("unsupported", None)


@pytest.mark.parametrize(
    ("energy", "said"), [(0.0561234, "56.1 mJ"), (2.5, "2.5 J"), (1e-5, "0.01 mJ")]
)
def test_joules_have_three_digits(energy: float, said: str) -> None:
    assert cost_titles.joules(energy) == said


@pytest.mark.parametrize(
    ("value", "said"), [(0.28, "0.280"), (5.0, "5.00"), (99.97, "100"), (1203.4, "1,203")]
)
def test_numbers_in_a_column_have_three_digits(value: float, said: str) -> None:
    assert digits(value) == said


@pytest.mark.parametrize(("size", "said"), [(2.43, "2.4"), (1203.4, "1,203")])
def test_small_memories_have_a_decimal(size: float, said: str) -> None:
    assert mebibytes(size) == said


def test_a_sweep_that_was_not_profiled_makes_no_claim_of_cost(tmp_path: Path) -> None:
    aggregate(
        tmp_path,
        Sweep(
            models=("tiny_cnn",),
            resolutions=(24,),
            seeds=(0,),
            test=40,
            val=24,
            explained=0,
            profiled=False,
        ),
    )
    bare = read_tables(tmp_path / "tables")
    assert (
        list(cost.cost_sentences(bare, 0.95))
        == list(cost.inversion_sentences(bare.neighbours))
        == []
    )
    assert (_protocol(bare)["Cost"], _protocol(bare)["Energy"]) == (
        "not measured",
        "not measured",
    )
