"""What profiles of runtimes do to the tables and to the choice."""

import csv
from pathlib import Path
from typing import Any

import pytest

from resomap.system.files import read_json, write_json
from tests.synthetic import Sweep, write_results, write_tables_of

SMALL = {"models": ("tiny_cnn",), "resolutions": (24,), "seeds": (0, 1), "test": 40, "val": 24}
VARIANTS = ("eager", "onnxruntime", "onnxruntime-int8")


def tables_of(
    folder: Path, variants: tuple[str, ...], eager_device: str = "cpu"
) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """Return the choice and the rows of cells.csv of a sweep with these variants."""
    sweep = Sweep(**SMALL, variants=variants)
    manifest = write_results(folder, sweep)
    path = folder / "profiles/custom/tiny_cnn.json"
    profile = read_json(path)
    for cell in profile["cells"]:
        if cell["variant"] == "eager":
            cell["device"] = eager_device
    write_json(path, profile)
    write_tables_of(folder, sweep, manifest)
    with (folder / "tables/cells.csv").open(encoding="utf-8") as stream:
        cells = list(csv.DictReader(stream))
    return read_json(folder / "tables/choice.json"), cells


def latency(folder: Path, variant: str, precision: str = "fp32") -> float:
    """Return the latency of one image in a variant."""
    cells = read_json(folder / "profiles/custom/tiny_cnn.json")["cells"]
    key = (variant, precision, 1)
    (found,) = (
        cell["latency_ms_p50"]
        for cell in cells
        if (cell["variant"], cell["precision"], cell["batch_size"]) == key
    )
    return found


def test_fastest_runtime_in_float32_stands_for_a_network(tmp_path: Path) -> None:
    choice, cells = tables_of(tmp_path, VARIANTS)
    assert choice["choice"]["variant"].startswith("onnxruntime")
    # Not int8, which is faster still: its predictions are others.
    assert choice["choice"]["latency_ms_p50"] == latency(tmp_path, "onnxruntime")
    assert float(cells[0]["latency_ms_p50"]) == pytest.approx(latency(tmp_path, "eager"))


def test_runtime_that_is_first_ranks_the_cells(tmp_path: Path) -> None:
    choice, cells = tables_of(tmp_path, ("onnxruntime", "eager"))
    assert choice["choice"]["variant"] is None
    assert float(cells[0]["latency_ms_p50"]) == pytest.approx(latency(tmp_path, "onnxruntime"))


@pytest.mark.parametrize("first", ["eager", "onnxruntime"])
def test_latencies_of_the_cpu_are_no_rivals_to_those_of_a_gpu(
    tmp_path: Path, first: str
) -> None:
    variants = ("eager", "onnxruntime") if first == "eager" else ("onnxruntime", "eager")
    choice, _ = tables_of(tmp_path, variants, eager_device="NVIDIA H100")
    assert choice["choice"]["variant"] is None
    assert choice["choice"]["latency_ms_p50"] == latency(tmp_path, first)
