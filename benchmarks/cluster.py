"""What a sweep beyond one machine takes: GPU hours, disk, network, saves and failures.

usage: python -m benchmarks.cluster                            write
docs/notes/past-one-cluster.md
       python -m benchmarks.cluster --plan results/plan.json   print the page of a planned sweep
       python -m benchmarks.cluster --set price=1.8 gpus=8     print it for other assumptions

The page in docs is ImageNet on paper. A plan comes from `resomap plan` on your GPU. Arithmetic
only: needs no GPU.
"""

import argparse
from collections.abc import Iterable
from math import ceil, exp, log
from pathlib import Path
from statistics import fmean
from typing import Any

import jinja2

from benchmarks.failures import actual_interval, daly_interval, expected_waste, young_interval
from benchmarks.harness import ROOT, markdown
from benchmarks.large_sweep import (
    ASSUMPTIONS,
    BYTES_PER_FLOAT,
    PAPER_ASSUMPTIONS,
    SECONDS_PER_HOUR,
    Assumptions,
    LargeSweep,
    paper_sweep,
    planned_sweep,
)
from resomap.config.load import load_config
from resomap.config.schema import Config
from resomap.plan.forecast import AUTOSAVE_SHARE
from resomap.system.files import read_json, write_text

PAGE = ROOT / "docs" / "notes" / "past-one-cluster.md"
TEMPLATE = Path(__file__).with_suffix(".md.j2")
GB = 1e9
SHOWN_MODELS = ("resnet18", "vgg16")
COPIES_PER_STATE = 4  # weights, two moments of AdamW, the best weights
STATES_PER_RUN = 2  # of a running training
# Files of a run with the three methods of the shipped configuration, and of everything else:
# counted in a finished sweep.
RUN_OUTPUTS, RUN_LOGS, RUN_FOLDERS, RUN_STATE_FILES = 14, 3, 3, 10
MODEL_FILES, CELL_FILES, RESOLUTION_FILES, OTHER_FILES = 12, 10, 9, 230
SITUATIONS = {
    "an old node": 720,
    "preempted daily": 24,
    "preempted often": 3,
    "preempted all the time": 0.5,
}  # hours between failures


def parse_assumptions(replaced: Iterable[str]) -> dict[str, float]:
    """Return the assumptions, some replaced by NAME=VALUE; exit at a wrong name or number."""
    assumed = {name: assumption.value for name, assumption in ASSUMPTIONS.items()}
    for text in replaced:
        name, _, value = text.partition("=")
        if name not in assumed:
            raise SystemExit(f"--set {name}: unknown name; known are {', '.join(assumed)}")
        try:
            assumed[name] = float(value)
        except ValueError:
            raise SystemExit(f"--set {name}={value}: the value must be a number") from None
    return assumed


def render_page(sweep: LargeSweep, assumed: Assumptions, config: Config) -> str:
    """Return the page."""
    template = jinja2.Template(
        TEMPLATE.read_text(encoding="utf-8"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    return template.render(
        number=format_number,
        sweep=sweep,
        **assumed,
        assumptions=_assumption_table(sweep, assumed),
        **compute_hours(sweep, assumed),
        **compute_disk(sweep, assumed),
        **compute_network(sweep, assumed),
        **compute_failures(sweep, assumed, config.system.training.save_every_seconds),
        **count_jobs(sweep, assumed),
    )


def format_number(value: float) -> str:
    """Format a whole number from 10 on, two digits below."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _assumption_table(sweep: LargeSweep, assumed: Assumptions) -> str:
    rows = [
        (f"`{name}`", f"{assumed[name]:,.12g}", assumption.meaning, assumption.source)
        for name, assumption in ASSUMPTIONS.items()
        if not (sweep.measured_on and name in PAPER_ASSUMPTIONS)
    ]
    return markdown(("name", "value", "meaning", "source"), rows)


def compute_hours(sweep: LargeSweep, assumed: Assumptions) -> dict[str, Any]:
    """Return GPU hours: of one training per cell, and of the sweep with its cost and days."""
    by_cell = {(cell.model, cell.resolution): sweep.hours(cell) for cell in sweep.cells}
    rows = []
    for model in sweep.models:
        hours = [by_cell.get((model, resolution), 0.0) for resolution in sweep.resolutions]
        columns = [format_number(value) if value else "" for value in hours]
        rows.append((model, *columns, format_number(sweep.seeds * sum(hours))))
    columns = [f"{resolution} px" for resolution in sweep.resolutions]
    head = (f"{sweep.unit} hours per training", *columns, "all seeds")
    longest = max(sweep.cells, key=sweep.hours)
    total = sweep.training_hours + sweep.evaluation_hours()
    largest = [hours for cell, hours in by_cell.items() if cell[1] == sweep.resolutions[-1]]
    return {
        "hours_table": markdown(head, rows),
        "total_hours": total,
        "cost": assumed["price"] * total,
        "days": total / assumed["gpus"] / 24,
        "largest_share": sweep.seeds * sum(largest) / total,
        "longest": longest,
        "longest_hours": sweep.hours(longest),
    }


def compute_disk(sweep: LargeSweep, assumed: Assumptions) -> dict[str, Any]:
    """Return the disk space of the images in three layouts, and of the outputs of the runs."""
    images, runs = sweep.train + 2 * sweep.held_out, sweep.num_runs
    area = sum(resolution**2 for resolution in sweep.resolutions)
    native_area = max(sweep.resolutions) ** 2
    weights = BYTES_PER_FLOAT * sum(cell.parameters for cell in sweep.cells) * sweep.seeds
    num_logits = 2 * sweep.held_out * sweep.classes * len(sweep.resolutions)
    logits = BYTES_PER_FLOAT * num_logits * runs
    state = COPIES_PER_STATE * BYTES_PER_FLOAT * max(sweep.models.values())
    shape = f"{runs} runs x {len(sweep.resolutions)} resolutions x {sweep.classes:,.0f} classes"
    sizes = {
        "images: an array per resolution, and the native one (implemented)": (
            3 * images * (area + native_area)
        ),
        "images: one array at the largest resolution (not implemented)": (
            3 * images * native_area
        ),
        "images: JPEG at 512 px in one file (not implemented)": assumed["jpeg"] * images,
        f"best weights of {runs} runs": weights,
        "a second copy of them until the sweep is finished (`.state/done`)": weights,
        f"logits, before compression: {shape}": logits,
        "two states of each running training, at most": (
            STATES_PER_RUN * assumed["gpus"] * state
        ),
    }
    rows = [(name, format_number(size / GB)) for name, size in sizes.items()]
    return {
        "disk_table": markdown(("", "GB"), rows),
        "logits_gb": logits / GB,
        "weights_gb": weights / GB,
    }


def compute_network(sweep: LargeSweep, assumed: Assumptions) -> dict[str, Any]:
    """Return what trainings read of the store, with and without space in a node's memory."""
    rows, cold, warm = [], 0.0, 0.0
    for resolution in sweep.resolutions:
        cells = [cell for cell in sweep.cells if cell.resolution == resolution]
        size = 3 * resolution**2 * (sweep.train + sweep.held_out)
        runs, fits = len(cells) * sweep.seeds, size <= assumed["node_memory"] / 2
        rates = [3 * resolution**2 * cell.rate / GB for cell in cells]
        cold += runs * sweep.epochs * size
        warm += runs * size * (1 if fits else sweep.epochs)
        values = (size / GB, fmean(rates), max(rates))
        reads = "once" if fits else "every epoch"
        rows.append((resolution, *map(format_number, values), reads))
    head = (
        *("px", "GB per epoch", "GB/s per GPU, mean of the models", "the fastest model"),
        "read over the network, with half of a node's memory free",
    )
    seconds = SECONDS_PER_HOUR * sweep.training_hours / assumed["gpus"]
    return {
        "network_table": markdown(head, rows),
        "cold_tb": cold / GB / 1000,
        "warm_tb": warm / GB / 1000,
        "cold_rate": cold / seconds / GB,
        "warm_rate": warm / seconds / GB,
    }


def save_seconds(parameters: int, assumed: Assumptions) -> float:
    """Return the duration of one save of a model under AdamW."""
    return COPIES_PER_STATE * BYTES_PER_FLOAT * parameters / assumed["save_speed"]


def recommend_interval(sweep: LargeSweep, assumed: Assumptions, between: float) -> float:
    """Return Daly's interval for the typical save, to one digit: the optimum is flat.

    The typical save is the geometric mean over the models, since one setting serves all.
    """
    saves = (save_seconds(parameters, assumed) for parameters in sweep.models.values())
    typical = exp(fmean(map(log, saves)))
    return float(f"{daly_interval(typical, between):.1g}")


def compute_failures(
    sweep: LargeSweep, assumed: Assumptions, save_every_seconds: float
) -> dict[str, Any]:
    """Return recommended save intervals, and what they and ours waste."""
    node_seconds = assumed["node_hours"] * SECONDS_PER_HOUR
    advice = recommend_interval(sweep, assumed, node_seconds)
    saved_hours = 0.0
    for cell in sweep.cells:
        save = save_seconds(cell.parameters, assumed)
        shipped, advised = (
            _waste(save, seconds, node_seconds, assumed)
            for seconds in (save_every_seconds, advice)
        )
        saved_hours += sweep.seeds * sweep.hours(cell) * (shipped - advised)
    shown = [name for name in SHOWN_MODELS if name in sweep.models]
    shown = shown or [max(sweep.models, key=lambda name: sweep.models[name])]
    return {
        "states_table": _states_table(sweep, assumed, shown),
        "waste_table": _waste_table(sweep, assumed, shown, save_every_seconds),
        "seconds": save_every_seconds,
        "advice": advice,
        "saved_hours": saved_hours,
        "saved_cost": assumed["price"] * saved_hours,
        "interrupted": sweep.training_hours / assumed["node_hours"],
        "cluster_hours": assumed["node_hours"] * assumed["gpus_a_node"] / assumed["gpus"],
        "lost_minutes": advice / 2 / 60,
        "one_job_table": _one_job_table(sweep, assumed),
    }


def _waste(save: float, seconds: float, between: float, assumed: Assumptions) -> float:
    """Return the waste of a training that saves every `seconds`, within our limit."""
    interval = actual_interval(save, seconds, AUTOSAVE_SHARE)
    return expected_waste(interval, save, between, assumed["restart"])


def _states_table(sweep: LargeSweep, assumed: Assumptions, models: Iterable[str]) -> str:
    rows = []
    for name in models:
        parameters = sweep.models[name]
        megabytes = COPIES_PER_STATE * BYTES_PER_FLOAT * parameters / 1e6
        rows.append((name, f"{megabytes:,.0f}", f"{save_seconds(parameters, assumed):.2f}"))
    return markdown(("model", "MB per state", "s per save"), rows)


def _waste_table(
    sweep: LargeSweep, assumed: Assumptions, models: Iterable[str], save_every_seconds: float
) -> str:
    rows = []
    for situation, hours in {"a node": assumed["node_hours"], **SITUATIONS}.items():
        between = hours * SECONDS_PER_HOUR
        advice = recommend_interval(sweep, assumed, between)
        for name in models:
            save = save_seconds(sweep.models[name], assumed)
            daly = daly_interval(save, between)
            ours = actual_interval(save, save_every_seconds, AUTOSAVE_SHARE)
            intervals = (young_interval(save, between), daly, ours)
            wastes = (
                expected_waste(daly, save, between, assumed["restart"]),
                _waste(save, save_every_seconds, between, assumed),
                _waste(save, advice, between, assumed),
            )
            rows.append(
                (
                    *(f"{situation}, {hours:,.4g} h", name),
                    *(f"{interval:,.0f}" for interval in intervals),
                    *(f"{waste:.2%}" for waste in wastes),
                    f"{advice:,.0f}",
                )
            )
    head = (
        *("hours between failures", "model", "Young s", "Daly s", "ours s"),
        *("waste Daly", "ours", "recommended", "recommended `save_every_seconds`"),
    )
    return markdown(head, rows)


def _one_job_table(sweep: LargeSweep, assumed: Assumptions) -> str:
    """Return the least waste of one training over many nodes, any of which ends it."""
    save = save_seconds(max(sweep.models.values()), assumed)
    rows = []
    for nodes in (1, 8, 64, 512):
        between = assumed["node_hours"] * SECONDS_PER_HOUR / nodes
        interval = daly_interval(save, between)
        waste = expected_waste(interval, save, between, assumed["restart"])
        hours, minutes = between / SECONDS_PER_HOUR, interval / 60
        rows.append((nodes, format_number(hours), format_number(minutes), f"{waste:.2%}"))
    return markdown(("nodes per training", "h between failures", "Daly min", "waste"), rows)


def count_jobs(sweep: LargeSweep, assumed: Assumptions) -> dict[str, Any]:
    """Return jobs, submissions and files: what a scheduler and a file system see."""
    models, resolutions = len(sweep.models), len(sweep.resolutions)
    runs, limit = sweep.num_runs, assumed["limit"]
    links = sweep.seeds * sum(ceil(sweep.hours(cell) / limit) for cell in sweep.cells)
    other_jobs = 1 + resolutions + 2 * models + 4
    run_files = 2 * RUN_OUTPUTS + RUN_LOGS + RUN_FOLDERS
    files = runs * run_files + models * MODEL_FILES + len(sweep.cells) * CELL_FILES
    files += resolutions * RESOLUTION_FILES + OTHER_FILES
    short = f"{2 * ceil(runs / 8)} to {2 * runs}"
    others = "preparing, resizing, profiles, agreement, summaries, tables, figures, report"
    rows = [
        ("trainings", runs, links, f"chains under a limit of {limit:g} h"),
        (
            "evaluations, explanations",
            2 * runs,
            short,
            "eight at a time if planned to be short",
        ),
        ("all other jobs", other_jobs, other_jobs, others),
    ]
    return {
        "jobs_table": markdown(("jobs", "count", "submissions", ""), rows),
        "runs": runs,
        "jobs_total": 3 * runs + other_jobs + 1,  # with identify_data, on the login node
        "files": files,
        "files_a_run": run_files,
        "state_files": RUN_STATE_FILES * runs,
        "starting_hours": (3 * runs + models) * 30 / SECONDS_PER_HOUR,
    }


def main() -> None:
    """Write the page of ImageNet, or print that of a plan or of other assumptions."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--plan", type=Path)
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE")
    options = parser.parse_args()
    assumed = parse_assumptions(options.set)
    config = load_config(ROOT / "config", [ROOT / "config" / "presets" / "full.yaml"])
    if options.plan:
        sweep = planned_sweep(read_json(options.plan))
    else:
        sweep = paper_sweep(config, assumed)
    page = render_page(sweep, assumed, config)
    if options.plan or options.set:
        print(page)
    else:
        write_text(PAGE, page)


if __name__ == "__main__":
    main()
