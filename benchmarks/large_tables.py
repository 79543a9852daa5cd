"""What the tables and the choice of a large sweep cost: 16 models x 7 resolutions x 5 seeds.

usage: python -m benchmarks.large_tables PART [--test 10000] [--val 2000] [--work DIR]

PART      commands   the rule `aggregate_tables` and `resomap choose`, each in a process of its
                     own
          decision   the decision alone, on some of the runs, from arrays in memory
          all        both

The predictions are drawn, not trained, in modes raw and bn; they have receipts, so that reading
them includes their digests. `--work` keeps them, some gigabytes, for the next call.
"""

import json
import shutil
import sys
from argparse import Namespace
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path
from statistics import median
from time import process_time

import numpy as np

from benchmarks.harness import ROOT, markdown, part_parser, run_parts, spread
from benchmarks.workflow import run_program
from resomap.analysis.accuracies import Split, compute_accuracies
from resomap.analysis.decision.candidates import CellEvidence, WaysToRun, list_candidates
from resomap.analysis.decision.choice import choose
from resomap.analysis.decision.inputs import read_splits, read_sweep
from resomap.analysis.decision.ways import ways_to_run
from resomap.analysis.predictions import model_files
from resomap.analysis.profiles import read_records
from resomap.analysis.recorded_sweep import RecordedSweep
from resomap.config.report import Report
from resomap.system import files
from resomap.workflow.artifact_paths import receipt_path
from resomap.workflow.jobs import Aggregate
from resomap.workflow.layout import STAGE_OF
from resomap.workflow.lifecycle import read_run_config
from resomap.workflow.predictions import MODES, logits_name
from resomap.workflow.receipts import write_receipt
from tests.recorded_sweeps import RecordedDirectory, small_sweep
from tests.synthetic import CLASSES, labels
from workflow_scripts.aggregate import write_sweep_tables

TITLE = "# Tables and choice of a large sweep\n"
MODELS = tuple(f"model{number:02}" for number in range(16))
RESOLUTIONS = (32, 48, 64, 96, 128, 192, 224)
SEEDS = tuple(range(5))
TRIED_MODES = MODES[:2]
# What the requirement allows on two cores.
MOST_SECONDS, MOST_MIB, MOST_DECISION_SECONDS = 60, 4096, 1.0
AGGREGATE = "import sys; from benchmarks.large_tables import aggregate; aggregate(sys.argv[1])"
CHOOSE = "from resomap.cli import app; app()"
COMMAND_HEAD = ("", "CPU s", "wall s", "peak MiB", "under 60 s of CPU and 4 GiB")
DECISION_NOTE = """\
CPU seconds from the correctness of every image in memory to the record of the choice: candidates,
intervals, certificate and, where nothing is certified, the advice. The runs are drawn at random,
and come in a random order.
"""


def prepare(work: Path, val: int, test: int) -> Path:
    """Return the directory of the sweep, written unless it is there."""
    folder = work / f"large_{val}_{test}"
    done = folder / "complete"
    if not done.exists():
        write_sweep(folder, val, test)
        done.touch()
    return folder


def write_sweep(folder: Path, val: int, test: int) -> None:
    """Write results/ of a sweep whose runs have `val` and `test` images."""
    sweep = small_sweep(
        models=MODELS[:1], resolutions=RESOLUTIONS, seeds=SEEDS, native=24, val=16, test=16
    )
    entry = {"family": "custom", "builder": "tiny_cnn"}
    changes = {
        "models": dict.fromkeys(MODELS, entry),
        "sweep": {"models": list(MODELS)},
        "explainability": {"enabled": False},
        "evaluation": {"modes": list(TRIED_MODES)},
    }
    RecordedDirectory(folder, sweep, changes).write()
    results = folder / "results"
    _count_images(results / "data" / "manifest.json", {"val": val, "test": test})
    _repeat_model(results)
    recorded = RecordedSweep(results, read_run_config(folder))
    for number, model in enumerate(MODELS):
        scale_latencies(results / "profiles" / "custom" / f"{model}.json", 1 + number / 4)
        for px, seed in product(RESOLUTIONS, SEEDS):
            key = {"family": "custom", "model": model, "resolution": px, "seed": seed}
            run = results / "runs" / "custom" / model / f"r{px}" / f"seed{seed}"
            counts = {"val": val, "test": test}
            write_predictions(run, (number, px, seed), counts, RESOLUTIONS)
            path = receipt_path(results, STAGE_OF["evaluate"], key)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_receipt(path, recorded.job("evaluate", **key))


def _count_images(path: Path, counts: dict[str, int]) -> None:
    """Let the manifest name as many images as are drawn."""
    manifest = json.loads(path.read_bytes())
    for split, count in counts.items():
        manifest["splits"][split]["count"] = count
    files.write_json(path, manifest)


def _repeat_model(results: Path) -> None:
    """Copy the small files of the first model for all others: scoring each takes minutes."""
    runs, profiles = results / "runs" / "custom", results / "profiles" / "custom"
    for model in MODELS[1:]:
        shutil.copytree(runs / MODELS[0], runs / model)
        shutil.copy(profiles / f"{MODELS[0]}.json", profiles / f"{model}.json")


def scale_latencies(path: Path, factor: float) -> None:
    """Let a model cost more by `factor`."""
    profile = json.loads(path.read_bytes())
    for cell in profile["cells"]:
        for name in ("latency_ms_p50", "latency_ms_p90", "latency_ms_low", "latency_ms_high"):
            cell[name] *= factor
        cell["ratio_rounds"] = [factor * ratio for ratio in cell["ratio_rounds"]]
    files.write_json(path, profile)


def write_predictions(
    run: Path,
    key: tuple[int, int, int],
    counts: dict[str, int],
    resolutions: Sequence[int],
) -> None:
    """Write logits of a run; larger models and resolutions saturate, as on real images."""
    number, trained, _ = key
    rng = np.random.default_rng(key)
    skill = 2.6 + 0.02 * number - 16 / trained + rng.normal(0, 0.02)
    for split, count in counts.items():
        label, rows = labels(count), np.arange(count)
        difficulty = np.random.default_rng(count).normal(0, 1, count)
        arrays = {"label": label, "index": rows}
        for mode, px in product(TRIED_MODES, resolutions):
            lost = abs(np.log2(px / trained)) * (0.8 if mode == "raw" else 0.2)
            logits = rng.standard_normal((count, len(CLASSES)), np.float32)
            logits[rows, label] += skill - lost + difficulty
            arrays[logits_name(px, mode)] = logits
        name = "predictions.npz" if split == "test" else "val_predictions.npz"
        files.write_arrays(run / name, **arrays)


def aggregate(directory: str) -> None:
    """Write the tables of a sweep, as the rule `aggregate_tables` does."""
    results = Path(directory) / "results"
    config = read_run_config(Path(directory))
    sweep = RecordedSweep(results, config)
    shared = {name: getattr(sweep.sweep, name) for name in type(sweep.sweep).model_fields}
    job = Aggregate(**shared, explain=False, report=config.report, rounds="")
    folders = (results / "runs", results / "profiles", results / "agreement")
    manifest = results / "data" / "manifest.json"
    write_sweep_tables(job, sweep, manifest, *folders, results / "tables")


def run_commands(options: Namespace, work: Path) -> str:
    """Measure the two commands; return the section."""
    folder = prepare(work, options.val, options.test)
    programs = {
        "aggregate": [sys.executable, "-c", AGGREGATE, folder],
        "choose": [sys.executable, "-c", CHOOSE, "choose", folder, "--json"],
    }
    rows = []
    for name, program in programs.items():
        costs = [run_program(program, ROOT) for _ in range(options.rounds)]
        cpu = [cost.own for cost in costs]
        peak = [cost.peak_mib for cost in costs]
        kept = median(cpu) < MOST_SECONDS and max(peak) < MOST_MIB
        wall = spread([cost.wall for cost in costs], 1)
        rows.append((name, spread(cpu, 1), wall, spread(peak, 0), "yes" if kept else "NO"))
        print(*rows[-1], file=sys.stderr)
    note = (
        f"{len(MODELS)} models x {len(RESOLUTIONS)} resolutions x {len(SEEDS)} seeds, "
        f"{options.test:,} test and {options.val:,} validation images, modes "
        f"{' and '.join(TRIED_MODES)}."
    )
    return f"{note}\n\n{markdown(COMMAND_HEAD, rows)}"


def run_decision(options: Namespace, work: Path) -> str:
    """Time the decision on some of the runs; return the section."""
    folder = prepare(work, options.val, options.test)
    config = read_run_config(folder)
    manifest, cells, seeds, runs = read_sweep(folder / "results", config)
    splits = read_splits(cells, seeds, runs, manifest)
    profiles = model_files(cells, folder / "results" / "profiles", ".json", "profile", None)
    ways = ways_to_run(read_records(profiles, "cells"))
    rng, rows = np.random.default_rng(0), []
    for share in (0.25, 0.5, 0.75, 1.0):
        seconds, statuses = [], set()
        for _ in range(options.rounds):
            val, test = some_runs(splits, share, rng)
            started = process_time()
            statuses.add(decide(val, test, ways, config.report))
            seconds.append(process_time() - started)
        kept = "yes" if median(seconds) < MOST_DECISION_SECONDS else "NO"
        rows.append((f"{share:.0%}", spread(seconds), ", ".join(sorted(statuses)), kept))
        print(*rows[-1], file=sys.stderr)
    return f"{DECISION_NOTE}\n{markdown(('runs', 'CPU s', 'status', 'under 1 s'), rows)}"


def decide(val: Split, test: Split, ways: WaysToRun, rules: Report) -> str:
    """Choose from predictions in memory; returns the status."""
    evidence = dict.fromkeys(val, CellEvidence())
    candidates = list_candidates(val, test, ways, evidence)
    accuracies = compute_accuracies(val, test, rules.confidence)
    return str(choose(candidates, rules, CLASSES, accuracies)["status"])


def some_runs(
    splits: Iterable[Split], share: float, rng: np.random.Generator
) -> tuple[Split, Split]:
    """Return a random share of the runs, as if only they had finished, in a random order."""
    val, test = splits
    cells = list(val)
    kept = {cell: np.flatnonzero(rng.random(len(SEEDS)) < share) for cell in cells}
    order = [cells[place] for place in rng.permutation(len(cells))]
    chosen = [cell for cell in order if len(kept[cell])]
    first, second = (
        {cell: split[cell].of_seeds(kept[cell].tolist()) for cell in chosen}
        for split in (val, test)
    )
    return first, second


PARTS = {
    "commands": ("Commands", run_commands),
    "decision": ("The decision alone", run_decision),
}


def main() -> None:
    """Parse the command line and write the sections."""
    parser = part_parser(__doc__, PARTS, "large_tables.md")
    parser.add_argument("--val", type=int, default=2000)
    parser.add_argument("--test", type=int, default=10_000)
    run_parts(parser.parse_args(), TITLE, PARTS)


if __name__ == "__main__":
    main()
