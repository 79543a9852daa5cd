"""Whether "right answer, wrong reason" can be trusted: one network at a time, of clean reefs and of reefs whose sticker gives the answer away."""

import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd
from scipy.stats import binomtest

from benchmarks.in_process import Sweep
from benchmarks.processes import shipped_config
from benchmarks.tables import markdown, spread
from resomap.analysis.alarm import COIN_TOSS, HOLDS
from resomap.workflow import jobs

MODEL = "tiny_cnn"
RESOLUTIONS = (24, 48)
STICKER = 0.95
TEST = 400
STEPS = (
    (jobs.Train, "metrics"),
    (jobs.Evaluate, "evaluation"),
    (jobs.Explain, "interventions"),
)
"""The jobs of a run, in their order, and the last file that each writes."""
STATES = ("fires", "silent", "unknown")
KEYS = ["family", "model", "resolution", "group"]
HEAD = (
    "reef",
    "px",
    "group",
    "seeds",
    "accuracy",
    "share",
    "holds",
    *STATES,
    "intervention agrees",
)
NOTE = """{model} by the shipped recipe, each network judged alone: a row of `alarms.csv` a seed, resolution and group, from {pictures} explained pictures
of {test}. `clean` has no shortcut; in `sticker`, a sticker agrees with the stripes 95 times in 100, and the alarm ought to fire for medium and fine
at 24 px and for fine at 48 px. `accuracy`: inside the pair. `share`: of the evidence of right answers that lies on the object, 0 by chance, 1 as good as
the grid allows. Median (lowest-highest) over the seeds. `holds`: networks whose accuracy holds; the alarm fires at no other. `intervention agrees`:
where it holds and the answers to exchanged objects are clear, they say what the alarm or its silence says.

False alarms of clean networks: {false} resolutions and groups in which accuracy holds (at most: one-sided 95 %, Clopper-Pearson, as if the groups of one
network were independent).
"""


def reefs(options: Namespace, work: Path) -> dict[str, Sweep]:
    """The sweep of clean pictures and that of pictures with a sticker, by name."""
    kinds = {
        "clean": (None, options.seeds[0]),
        f"sticker {STICKER}": (STICKER, options.seeds[1]),
    }
    return {
        name: Sweep(work / name.replace(" ", "_"), reef_config(options, *kind))
        for name, kind in kinds.items()
    }


def reef_config(options: Namespace, shortcut: float | None, seeds: int) -> Any:
    """The shipped configuration with fewer test pictures, without what the alarm does not read."""
    changes: dict[str, Any] = {
        "sweep": {
            "models": [MODEL],
            "resolutions": list(options.resolutions or RESOLUTIONS),
            "seeds": list(range(seeds)),
        },
        "data": {"reef": {"test": TEST, "shortcut": shortcut}},
        "explainability": {"images": options.pictures, "faithfulness": {"images": 0}},
        "system": {"device": "cpu"},
    }
    return shipped_config(changes)


def explain_all(sweeps: Sequence[Sweep], cores: int) -> None:
    """Train, evaluate and explain what is not there yet, `cores` runs at a time, the costliest first."""
    for sweep in sweeps:
        sweep.prepare()
    runs = [
        (sweep, *cell)
        for sweep in sweeps
        for cell in product(sweep.config.sweep.resolutions, sweep.config.sweep.seeds)
    ]
    with ProcessPoolExecutor(cores, mp_context=get_context("spawn")) as pool:
        for number, told in enumerate(
            pool.map(finish, sorted(runs, key=lambda run: -run[1])), start=1
        ):
            print(f"{number} of {len(runs)}: {told}", file=sys.stderr)


def finish(run: tuple[Sweep, int, int]) -> str:
    """Do the jobs of a run that are not done, and name it."""
    sweep, resolution, seed = run
    cell = {"model": MODEL, "resolution": str(resolution), "seed": str(seed)}
    files = sweep.of_run(family="custom", **cell)
    for kind, product_ in STEPS:
        if not files[product_].exists():
            sweep.do(kind, **cell)
    return f"{sweep.results.name}, {resolution} px, seed {seed}"


def run_alarm(options: Namespace, work: Path) -> str:
    """How often the alarm fires, as text for the page."""
    sweeps = reefs(options, work)
    explain_all(list(sweeps.values()), options.cores)
    found = {name: read_alarms(sweep) for name, sweep in sweeps.items()}
    rows = [(name, *row) for name, alarms in found.items() for row in alarm_rows(alarms)]
    note = NOTE.format(
        model=MODEL, pictures=options.pictures, test=TEST, false=false_alarms(found["clean"])
    )
    return f"{note}\n{markdown(HEAD, rows)}"


def read_alarms(sweep: Sweep) -> pd.DataFrame:
    """The rows of tables/alarms.csv, as every seed by itself gives them."""
    return pd.concat(
        [alarms_of(sweep, seed) for seed in sweep.config.sweep.seeds], ignore_index=True
    )


def alarms_of(sweep: Sweep, seed: int) -> pd.DataFrame:
    """The rows of a sweep of this one seed, with `holds`: whether accuracy holds as the alarm understands it."""
    alone = sweep.config.model_copy(
        update={"sweep": sweep.config.sweep.model_copy(update={"seeds": (seed,)})}
    )
    Sweep(sweep.results, alone).do(jobs.Aggregate)
    alarms, groups = (
        pd.read_csv(sweep.results / "tables" / f"{name}.csv") for name in ("alarms", "groups")
    )
    found = alarms.merge(groups[[*KEYS, "pair_accuracy_low"]], on=KEYS, validate="one_to_one")
    enough = found["accuracy"] >= found["accuracy_best"] - HOLDS
    return found.assign(holds=enough & (found["pair_accuracy_low"] > COIN_TOSS))


def alarm_rows(alarms: pd.DataFrame) -> Iterator[tuple[object, ...]]:
    """A row a resolution and group."""
    for (resolution, group), seeds in alarms.groupby(["resolution", "group"], sort=False):
        told = (
            spread(known.tolist()) if len(known := seeds[name].dropna()) else ""
            for name in ("accuracy", "share")
        )
        states = [int((seeds["state"] == state).sum()) for state in STATES]
        yield (
            resolution,
            group,
            len(seeds),
            *told,
            int(seeds["holds"].sum()),
            *states,
            _agrees(seeds["judged"].dropna()),
        )


def _agrees(judged: pd.Series) -> str:
    return f"{(judged == 'agrees').sum()} of {len(judged)}"


def false_alarms(clean: pd.DataFrame) -> str:
    """How often the alarm fires of the cells and groups of clean networks in which accuracy holds."""
    fires, holds = int((clean["state"] == "fires").sum()), int(clean["holds"].sum())
    return f"{fires} of {holds} ({fires / holds:.1%}, at most {binomtest(fires, holds, alternative='less').proportion_ci(0.95).high:.1%})"
