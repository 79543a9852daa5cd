"""Repeatability and accuracy of profiles: repeated profiles, and planted latencies.

usage: python -m benchmarks.cost {repeated,planted} [--times 5] [--models ...]

Each part replaces its own section of benchmarks/cost.md.
"""

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from os import getloadavg
from pathlib import Path
from statistics import mean, median
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.harness import (
    ROOT,
    ProcessCost,
    job_command,
    markdown,
    protocol,
    put_section,
    run_processes,
    shipped_config,
    spread,
)
from resomap.config.schema import Config
from resomap.config.sweep_checks import find_architecture
from resomap.profiling.profile import profile_model
from resomap.system.files import read_json
from resomap.workflow import jobs
from resomap.workflow.data_digest import prepare_options_json
from resomap.workflow.job_params import build_job

TITLE = "# Cost: whether a profile repeats\n"
REPEATED_NOTE = """\
The profile job of the default sweep for each model, {times} times. Range: largest over smallest
of a cell's median, less 1; `ratio` is its median over the reference workload of the same
rounds. Flagged: measurements marked invalid. {cpu:.0f} CPU s per profile on average, {wall:.0f}
s of wall time.
"""
PLANTED_NOTE = "A spin to a deadline in a model's forward pass, less the latency without it.\n"
PLANTED_MS = (0.5, 2.0, 8.0, 32.0)
HEAD = (
    *("model", "px", "variant", "batch", "p50 ms", "range of p50", "ratio", "range of ratio"),
    "flagged",
)
CellKey = tuple[str, int, str, int]
Records = dict[CellKey, list[dict[str, Any]]]


def run_repeated(config: Config, times: int) -> str:
    """Profile each model `times` times, the models in turn; return the section."""
    records, costs = _run_profiles(config, times)
    cpu, wall = mean(cost.cpu for cost in costs), mean(cost.wall for cost in costs)
    note = REPEATED_NOTE.format(times=times, cpu=cpu, wall=wall)
    return f"{note}\n{markdown(HEAD, record_rows(records))}"


class Spinning(nn.Module):
    """Model whose forward pass takes `ms` milliseconds and little more."""

    def __init__(self, ms: float) -> None:
        super().__init__()
        self.ms, self.head = ms, nn.Linear(3, 2)

    def forward(self, images: Tensor) -> Tensor:
        """Spin to the deadline, unless the images have shapes only."""
        deadline = perf_counter() + self.ms / 1e3
        while not images.is_meta and perf_counter() < deadline:
            pass
        return self.head(images.mean((2, 3)))


def run_planted(config: Config, times: int) -> str:
    """Profile models of known latency, `times` times each; return the section."""
    torch.set_num_threads(1)
    profiling = config.system.profiling.model_copy(update={"variants": ("eager",)})

    def latency(ms: float) -> float:
        profile = profile_model({8: Spinning(ms)}, profiling, torch.device("cpu"), "fp32")
        return profile["cells"][0]["latency_ms_p50"]

    floor = latency(0.0)
    rows = []
    for ms in PLANTED_MS:
        measured = [latency(ms) - floor for _ in range(times)]
        error = max(abs(value / ms - 1) for value in measured)
        rows.append((ms, spread(measured, 3), f"{error:.1%}"))
    return f"{PLANTED_NOTE}\n{markdown(('planted ms', 'measured ms', 'largest error'), rows)}"


def _run_profiles(config: Config, times: int) -> tuple[Records, list[ProcessCost]]:
    """Run the profile job of each model `times` times; return records by cell, and costs."""
    records: Records = defaultdict(list)
    costs = []
    with tempfile.TemporaryDirectory() as folder:
        data, profile = Path(folder) / "data" / "manifest.json", Path(folder) / "profile.json"
        prepare = build_job(config, jobs.PrepareData)
        run_processes(
            job_command(prepare, manifest=data, options=prepare_options_json(config), threads=1)
        )
        for model in list(config.sweep.models) * times:
            family = find_architecture(config.models, model).family
            job = build_job(config, jobs.Profile, family=family, model=model)
            costs.append(run_processes(job_command(job, data=data, profile=profile)))
            for cell in read_json(profile)["cells"]:
                key = model, cell["resolution"], cell["variant"], cell["batch_size"]
                records[key].append(cell)
    return records, costs


def record_rows(records: Records) -> list[Sequence[object]]:
    """Return one row of HEAD per cell, and one for all."""
    rows: list[Sequence[object]] = [
        (*key, *_cell_columns(cells)) for key, cells in records.items()
    ]
    everything = [cell for cells in records.values() for cell in cells]
    widest = max(_relative_range(cells, "ratio_to_reference") for cells in records.values())
    return [*rows, ("all", *[""] * 6, f"{widest:.1%}", _flagged(everything))]


def _cell_columns(cells: Sequence[dict[str, Any]]) -> Iterator[str]:
    for name in ("latency_ms_p50", "ratio_to_reference"):
        yield f"{median(cell[name] for cell in cells):.3g}"
        yield f"{_relative_range(cells, name):.1%}"
    yield _flagged(cells)


def _flagged(cells: Sequence[dict[str, Any]]) -> str:
    return f"{sum(not cell['valid'] for cell in cells)} of {len(cells)}"


def _relative_range(cells: Sequence[dict[str, Any]], name: str) -> float:
    values = [cell[name] for cell in cells]
    return max(values) / min(values) - 1


PARTS = {"repeated": run_repeated, "planted": run_planted}


def main() -> None:
    """Parse the command line and write the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--models", nargs="+", default=["tiny_cnn", "simple_cnn"])
    parser.add_argument("--resolutions", nargs="+", type=int, default=[24, 48, 96])
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "cost.md")
    options = parser.parse_args()
    sweep = {"models": options.models, "resolutions": options.resolutions}
    config = shipped_config({"sweep": sweep, "system": {"device": "cpu"}})
    load = getloadavg()[0]
    text = PARTS[options.part](config, options.times)
    conditions = protocol("cpu", options.times, load)
    put_section(options.out, TITLE, options.part.capitalize(), f"{conditions}\n{text}")
    print(options.out.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
