"""How far the cost sheet can be trusted: the same profiles again and again on an idle machine, and once in a crowd."""

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from multiprocessing import get_context
from os import getloadavg, sched_getaffinity
from pathlib import Path
from statistics import mean, median
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.processes import Cost, job_command, measure, shipped_config
from benchmarks.tables import markdown, protocol, put_section, spread
from resomap.config.load import find_architecture
from resomap.config.schema import Config
from resomap.profiling.profile import profile_model
from resomap.system.files import read_json, write_text
from resomap.workflow import jobs
from resomap.workflow.data_digest import provision_json
from resomap.workflow.job_params import build_job

OUT = Path(__file__).with_suffix(".md")
TITLE = "# Cost: whether a profile says the same again\n"
REPEATED = """The profile job of the default sweep for each network, {times} times over. Range: largest over smallest of a cell's median, less 1; `ratio` is
its median over the reference workload of the same rounds. Flagged: measurements marked invalid. {seconds:.0f} CPU s a profile on average, {wall:.0f} s on the
wall.
"""
CROWDED = "The same once, beside {neighbours} processes that burn every core.\n"
PLANTED = "A spin to a deadline in a network's forward pass, over what the network takes without it.\n"
PLANTED_MS = (0.5, 2.0, 8.0, 32.0)
HEAD = (
    "network",
    "px",
    "variant",
    "batch",
    "p50 ms",
    "range of p50",
    "ratio",
    "range of ratio",
    "flagged",
)
Cell = tuple[str, int, str, int]


def main() -> None:
    """Parse the command line and write a section of `benchmarks/cost.md`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=("repeated", "crowded", "planted"))
    parser.add_argument("--models", nargs="+", default=["tiny_cnn", "simple_cnn"])
    parser.add_argument("--resolutions", nargs="+", type=int, default=[24, 48, 96])
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    config = shipped_config(
        {
            "sweep": {"models": options.models, "resolutions": options.resolutions},
            "system": {"device": "cpu"},
        }
    )
    load = getloadavg()[0]
    if not options.out.exists():
        write_text(options.out, TITLE)
    text = {"repeated": repeated, "crowded": crowded, "planted": planted}[options.part](
        config, options.times
    )
    put_section(
        options.out,
        options.part.capitalize(),
        f"{protocol('cpu', 1 if options.part == 'crowded' else options.times, load)}\n{text}",
    )
    print(options.out.read_text(encoding="utf-8"))


def repeated(config: Config, times: int) -> str:
    """Each network's profile, `times` over, the networks in turn."""
    records, costs = profiles(config, times)
    note = REPEATED.format(
        times=times,
        seconds=mean(cost.cpu for cost in costs),
        wall=mean(cost.wall for cost in costs),
    )
    return f"{note}\n{markdown(HEAD, rows(records))}"


def crowded(config: Config, _: int) -> str:
    """One profile a network in a crowd."""
    neighbours = [
        get_context("spawn").Process(target=burn, daemon=True)
        for _ in range(len(sched_getaffinity(0)))
    ]
    for neighbour in neighbours:
        neighbour.start()
    try:
        records, _ = profiles(config, 1)
    finally:
        for neighbour in neighbours:
            neighbour.kill()
    return f"{CROWDED.format(neighbours=len(neighbours))}\n{markdown(HEAD, rows(records))}"


class Spinning(nn.Module):
    """Does nothing until `ms` milliseconds are over."""

    def __init__(self, ms: float) -> None:
        super().__init__()
        self.ms, self.head = ms, nn.Linear(3, 2)

    def forward(self, images: Tensor) -> Tensor:
        """Spin to the deadline, once the pictures are real."""
        deadline = perf_counter() + self.ms / 1e3
        while not images.is_meta and perf_counter() < deadline:
            pass
        return self.head(images.mean((2, 3)))


def planted(config: Config, times: int) -> str:
    """Networks that spin to a deadline, each profiled `times` over, less what the same network takes without a spin."""
    torch.set_num_threads(1)
    profiling = config.system.profiling.model_copy(update={"variants": ("eager",)})

    def latency(ms: float) -> float:
        return profile_model(Spinning(ms), (8,), profiling, torch.device("cpu"), "fp32")[
            "cells"
        ][0]["latency_ms_p50"]

    floor = latency(0.0)
    found = {ms: [latency(ms) - floor for _ in range(times)] for ms in PLANTED_MS}
    told = [
        (ms, spread(each, 3), f"{max(abs(one / ms - 1) for one in each):.1%}")
        for ms, each in found.items()
    ]
    return f"{PLANTED}\n{markdown(('planted ms', 'found ms', 'largest error'), told)}"


def burn() -> None:
    """Keep a core busy."""
    while True:
        pass


def profiles(config: Config, times: int) -> tuple[dict[Cell, list[dict[str, Any]]], list[Cost]]:
    """What the profile jobs wrote of every cell, and what each job took."""
    records: dict[Cell, list[dict[str, Any]]] = defaultdict(list)
    costs = []
    with tempfile.TemporaryDirectory() as folder:
        data, out = Path(folder) / "data" / "manifest.json", Path(folder) / "profile.json"
        measure(
            job_command(
                build_job(config, jobs.PrepareData),
                manifest=data,
                provision=provision_json(config),
                threads=1,
            )
        )
        for _ in range(times):
            for name in config.sweep.models:
                family = find_architecture(config.models, name).family
                costs.append(
                    measure(
                        job_command(
                            build_job(config, jobs.Profile, family=family, model=name),
                            data=data,
                            profile=out,
                        )
                    )
                )
                for cell in read_json(out)["cells"]:
                    records[
                        name, cell["resolution"], cell["variant"], cell["batch_size"]
                    ].append(cell)
    return records, costs


def rows(records: dict[Cell, list[dict[str, Any]]]) -> list[Sequence[object]]:
    """A row a cell, and one for all of them."""
    told: list[Sequence[object]] = [(*cell, *_spread(found)) for cell, found in records.items()]
    everything = [record for found in records.values() for record in found]
    flagged = sum(not record["valid"] for record in everything)
    widest = max(
        _range([record["ratio_to_reference"] for record in found]) for found in records.values()
    )
    return [
        *told,
        ("all", "", "", "", "", "", "", f"{widest:.1%}", f"{flagged} of {len(everything)}"),
    ]


def _spread(found: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    latencies, ratios = (
        [record[name] for record in found] for name in ("latency_ms_p50", "ratio_to_reference")
    )
    flagged = sum(not record["valid"] for record in found)
    return (
        f"{median(latencies):.3g}",
        f"{_range(latencies):.1%}",
        f"{median(ratios):.3g}",
        f"{_range(ratios):.1%}",
        f"{flagged} of {len(found)}",
    )


def _range(values: Sequence[float]) -> float:
    return max(values) / min(values) - 1


if __name__ == "__main__":
    main()
