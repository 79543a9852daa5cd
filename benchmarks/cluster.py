"""What a sweep takes that no longer fits one machine: GPU hours, disk, network, saves and failures. Arithmetic; no GPU needed.

usage: python -m benchmarks.cluster                              writes docs/notes/past-one-cluster.md: ImageNet, on paper
       python -m benchmarks.cluster --plan results/plan.json     the same page of your sweep, from `resomap plan` on your GPU, to the screen
       python -m benchmarks.cluster --set price=1.8 gpus=8       the same on paper, with assumptions of yours, to the screen
"""

import argparse
from math import ceil, exp, log
from pathlib import Path
from statistics import fmean
from typing import Any

import jinja2

from benchmarks.failures import daly_interval, expected_waste, kept_interval, young_interval
from benchmarks.harness import markdown
from benchmarks.large_sweep import (
    ASSUMED,
    FLOAT,
    HOUR,
    OF_PAPER,
    Sweep,
    paper_sweep,
    planned_sweep,
)
from resomap.config.load import load_config
from resomap.config.schema import Config
from resomap.plan.forecast import AUTOSAVE_SHARE
from resomap.system.files import read_json, write_text

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "notes" / "past-one-cluster.md"
TEMPLATE = Path(__file__).with_suffix(".md.j2")
GB = 1e9
SHOWN = ("resnet18", "vgg16")
COPIES = 4  # in a saved state: weights, two moments of AdamW, the best weights
STATES = 2  # of a run under way
# Of a run, with the three methods of the shipped configuration: counted in a finished sweep.
OUTPUTS, LOGS, FOLDERS, STATE_FILES = 14, 3, 3, 10
MODEL_FILES, CELL_FILES, RESOLUTION_FILES, REST = 12, 10, 9, 230

Assumed = dict[str, float]


def main() -> None:
    """Write the page of ImageNet, or print that of a plan or of other assumptions."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--plan", type=Path)
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE")
    options = parser.parse_args()
    assumed = assume(options.set)
    config = load_config(ROOT / "config", [ROOT / "config" / "presets" / "full.yaml"])
    sweep = (
        planned_sweep(read_json(options.plan)) if options.plan else paper_sweep(config, assumed)
    )
    page = render(sweep, assumed, config)
    if options.plan or options.set:
        print(page)
    else:
        write_text(PAGE, page)


def assume(replaced: list[str]) -> Assumed:
    """The assumptions, some of them replaced by NAME=VALUE; SystemExit where there is no such name or number."""
    assumed = {name: assumption.value for name, assumption in ASSUMED.items()}
    for name, _, value in (each.partition("=") for each in replaced):
        if name not in assumed:
            raise SystemExit(f"--set {name}: known are {', '.join(assumed)}")
        try:
            assumed[name] = float(value)
        except ValueError:
            raise SystemExit(f"--set {name}={value}: give a number") from None
    return assumed


def render(sweep: Sweep, assumed: Assumed, config: Config) -> str:
    """The page."""
    template = jinja2.Template(
        TEMPLATE.read_text(encoding="utf-8"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    seconds = config.system.training.save_every_seconds
    parts = (hours, disk, network, saving, jobs)
    facts = {name: value for part in parts for name, value in part(sweep, assumed).items()}
    return template.render(
        number=number,
        sweep=sweep,
        **assumed,
        **facts,
        assumptions=assumption_table(sweep, assumed),
        **failing(sweep, assumed, seconds),
    )


def number(value: float) -> str:
    """As people read it: whole from 10 on, two digits under that."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def assumption_table(sweep: Sweep, assumed: Assumed) -> str:
    """Every number that was neither derived nor measured."""
    named = [name for name in ASSUMED if not (sweep.measured_on and name in OF_PAPER)]
    rows = (
        (f"`{name}`", f"{assumed[name]:,.12g}", ASSUMED[name].what, ASSUMED[name].source)
        for name in named
    )
    return markdown(("name", "value", "what", "from"), rows)


def hours(sweep: Sweep, assumed: Assumed) -> dict[str, Any]:
    """GPU hours of one training of each cell, and of the sweep."""
    one = {(cell.model, cell.resolution): cell for cell in sweep.cells}
    rows = []
    for model in sweep.models:
        cells = [one.get((model, side)) for side in sweep.resolutions]
        told = [number(sweep.hours(cell)) if cell else "" for cell in cells]
        rows.append(
            (
                model,
                *told,
                number(sweep.seeds * sum(sweep.hours(cell) for cell in cells if cell)),
            )
        )
    longest = max(sweep.cells, key=sweep.hours)
    total = sweep.training_hours + sweep.evaluation_hours()
    return {
        "hours_table": markdown(
            (
                f"{sweep.unit} hours a training",
                *(f"{side} px" for side in sweep.resolutions),
                "all seeds",
            ),
            rows,
        ),
        "total_hours": total,
        "cost": assumed["price"] * total,
        "days": total / assumed["gpus"] / 24,
        "largest_share": sweep.seeds
        * sum(
            sweep.hours(cell)
            for cell in sweep.cells
            if cell.resolution == sweep.resolutions[-1]
        )
        / total,
        "longest": longest,
        "longest_hours": sweep.hours(longest),
    }


def disk(sweep: Sweep, assumed: Assumed) -> dict[str, Any]:
    """Bytes of the pictures in three layouts, and of what the runs leave."""
    pictures = sweep.train + 2 * sweep.held_out
    area = sum(side**2 for side in sweep.resolutions)
    native, runs = max(sweep.resolutions) ** 2, len(sweep.cells) * sweep.seeds
    weights = FLOAT * sum(cell.parameters for cell in sweep.cells) * sweep.seeds
    logits = FLOAT * 2 * sweep.held_out * sweep.classes * len(sweep.resolutions) * runs
    heaviest = COPIES * FLOAT * max(sweep.models.values())
    rows = [
        (
            "pictures: an array a resolution, and the native one (built)",
            3 * pictures * (area + native),
        ),
        ("pictures: one array at the largest resolution (not built)", 3 * pictures * native),
        ("pictures: JPEG at 512 px in one file (not built)", assumed["jpeg"] * pictures),
        (f"best weights of {runs} runs", weights),
        ("the same once more until the sweep is done (`.state/done`)", weights),
        (
            f"logits, before compression: {runs} runs x {len(sweep.resolutions)} resolutions x {sweep.classes:,.0f} classes",
            logits,
        ),
        ("two states of each run under way, at most", STATES * assumed["gpus"] * heaviest),
    ]
    return {
        "disk_table": markdown(
            ("what", "GB"), [(what, number(size / GB)) for what, size in rows]
        ),
        "logits_gb": logits / GB,
        "weights_gb": weights / GB,
    }


def network(sweep: Sweep, assumed: Assumed) -> dict[str, Any]:
    """What trainings read of the store: a GPU, and all of them together, with and without room in the memory of a node."""
    rows, cold, warm = [], 0.0, 0.0
    for side in sweep.resolutions:
        cells = [cell for cell in sweep.cells if cell.resolution == side]
        size = 3 * side**2 * (sweep.train + sweep.held_out)
        runs, fits = len(cells) * sweep.seeds, size <= assumed["node_memory"] / 2
        rates = [3 * side**2 * cell.rate / GB for cell in cells]
        cold += runs * sweep.epochs * size
        warm += runs * size * (1 if fits else sweep.epochs)
        rows.append(
            (
                side,
                number(size / GB),
                number(fmean(rates)),
                number(max(rates)),
                "once" if fits else "every epoch",
            )
        )
    head = (
        "px",
        "GB an epoch",
        "GB/s a GPU, mean of the networks",
        "the hungriest",
        "read over the network, with half of a node's memory free",
    )
    seconds = HOUR * sweep.training_hours / assumed["gpus"]
    return {
        "network_table": markdown(head, rows),
        "cold_tb": cold / GB / 1000,
        "warm_tb": warm / GB / 1000,
        "cold_rate": cold / seconds / GB,
        "warm_rate": warm / seconds / GB,
    }


def save_seconds(parameters: int, assumed: Assumed) -> float:
    """Of one save of a network with so many parameters under AdamW."""
    return COPIES * FLOAT * parameters / assumed["save_speed"]


def typical_save(sweep: Sweep, assumed: Assumed) -> float:
    """The geometric mean over the networks: what one setting for all of them is reckoned from."""
    return exp(
        fmean(log(save_seconds(parameters, assumed)) for parameters in sweep.models.values())
    )


def saving(sweep: Sweep, assumed: Assumed) -> dict[str, Any]:
    """The networks that the tables of failures show: their states and the seconds of a save."""
    shown = [name for name in SHOWN if name in sweep.models] or [
        max(sweep.models, key=lambda name: sweep.models[name])
    ]
    rows = [
        (
            name,
            f"{COPIES * FLOAT * sweep.models[name] / 1e6:,.0f}",
            f"{save_seconds(sweep.models[name], assumed):.2f}",
        )
        for name in shown
    ]
    return {
        "shown": shown,
        "states_table": markdown(("network", "MB a state", "s a save"), rows),
    }


def recommended(sweep: Sweep, assumed: Assumed, between: float) -> float:
    """Daly's interval of the typical save, to one digit: the optimum is flat."""
    return float(f"{daly_interval(typical_save(sweep, assumed), between):.1g}")


def failing(sweep: Sweep, assumed: Assumed, seconds: float) -> dict[str, Any]:
    """The interval of Young and Daly against ours, and what each wastes, for several times between failures."""
    shown = saving(sweep, assumed)["shown"]
    situations = {
        "a node": assumed["node_hours"],
        "an old node": 720,
        "preempted daily": 24,
        "preempted often": 3,
        "barely left alone": 0.5,
    }
    rows = []
    for situation, between in ((name, hour * HOUR) for name, hour in situations.items()):
        advised = recommended(sweep, assumed, between)
        for name in shown:
            save = save_seconds(sweep.models[name], assumed)
            optimum, kept, then = (
                daly_interval(save, between),
                *(kept_interval(save, each, AUTOSAVE_SHARE) for each in (seconds, advised)),
            )
            wastes = (
                f"{expected_waste(each, save, between, assumed['restart']):.2%}"
                for each in (optimum, kept, then)
            )
            told = (f"{each:,.0f}" for each in (young_interval(save, between), optimum, kept))
            rows.append(
                (
                    f"{situation}, {between / HOUR:,.4g} h",
                    name,
                    *told,
                    *wastes,
                    f"{advised:,.0f}",
                )
            )
    head = (
        *("hours between failures", "network", "Young s", "Daly s", "ours s"),
        *("waste Daly", "ours", "advised"),
        "advised `save_every_seconds`",
    )
    node = assumed["node_hours"] * HOUR
    spared = sum(
        sweep.seeds
        * sweep.hours(cell)
        * (_waste(cell.parameters, seconds, assumed) - _waste(cell.parameters, advice, assumed))
        for advice in [recommended(sweep, assumed, node)]
        for cell in sweep.cells
    )
    return {
        "waste_table": markdown(head, rows),
        "seconds": seconds,
        "advice": recommended(sweep, assumed, node),
        "spared_hours": spared,
        "spared_cost": assumed["price"] * spared,
        "interrupted": sweep.training_hours / assumed["node_hours"],
        "cluster_hours": assumed["node_hours"] * assumed["gpus_a_node"] / assumed["gpus"],
        "lost_minutes": recommended(sweep, assumed, node) / 2 / 60,
        "one_job_table": one_job_table(sweep, assumed),
    }


def _waste(parameters: int, seconds: float, assumed: Assumed) -> float:
    save = save_seconds(parameters, assumed)
    return expected_waste(
        kept_interval(save, seconds, AUTOSAVE_SHARE),
        save,
        assumed["node_hours"] * HOUR,
        assumed["restart"],
    )


def one_job_table(sweep: Sweep, assumed: Assumed) -> str:
    """What the best interval wastes in one training over so many nodes, any of which ends it."""
    save = save_seconds(max(sweep.models.values()), assumed)
    rows = []
    for nodes in (1, 8, 64, 512):
        between = assumed["node_hours"] * HOUR / nodes
        interval = daly_interval(save, between)
        rows.append(
            (
                nodes,
                number(between / HOUR),
                number(interval / 60),
                f"{expected_waste(interval, save, between, assumed['restart']):.2%}",
            )
        )
    return markdown(("nodes a training", "h between failures", "Daly min", "waste"), rows)


def jobs(sweep: Sweep, assumed: Assumed) -> dict[str, Any]:
    """What a scheduler and a file system see."""
    models, resolutions = len(sweep.models), len(sweep.resolutions)
    runs, cells = len(sweep.cells) * sweep.seeds, len(sweep.cells)
    links = sweep.seeds * sum(
        ceil(sweep.hours(cell) / assumed["limit"]) for cell in sweep.cells
    )
    others = 1 + resolutions + 2 * models + 4
    each = 2 * OUTPUTS + LOGS + FOLDERS
    files = (
        runs * each
        + models * MODEL_FILES
        + cells * CELL_FILES
        + resolutions * RESOLUTION_FILES
        + REST
    )
    rows = [
        ("trainings", runs, links, f"chains under a limit of {assumed['limit']:g} h"),
        (
            "evaluations, explanations",
            2 * runs,
            f"{2 * ceil(runs / 8)} to {2 * runs}",
            "eight at a time where planned to be short",
        ),
        (
            "all else",
            others,
            others,
            "preparing, resizing, profiles, agreement, summaries, tables, figures, report",
        ),
    ]
    return {
        "jobs_table": markdown(("jobs", "count", "submissions", ""), rows),
        "runs": runs,
        "jobs_total": 3 * runs + others + 1,  # one runs on the login node: identify_data
        "files": files,
        "files_a_run": each,
        "state_files": STATE_FILES * runs,
        "starting_hours": (3 * runs + models) * 30 / HOUR,
    }


if __name__ == "__main__":
    main()
