"""Error rates of the alarm "evidence off the object" on models of clean and of sticker data.

Every model is judged alone. In the sticker data a sticker gives the answer away.
"""

import importlib
import inspect
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd
from scipy.stats import binomtest

from benchmarks.harness import job_module, markdown, shipped_config, spread
from resomap.analysis.alarm import COIN_TOSS, HOLDS
from resomap.config.data import Provision
from resomap.config.schema import Config
from resomap.workflow import jobs
from resomap.workflow.data_digest import provision_json
from resomap.workflow.job_params import build_job

MODEL, FAMILY = "tiny_cnn", "custom"
RESOLUTIONS = (24, 48)
STICKER_AGREEMENT = 0.95
NUM_TEST_IMAGES = 400
# The jobs of a run in their order, with the last file that each writes.
RUN_JOBS = (
    (jobs.Train, "metrics"),
    (jobs.Evaluate, "evaluation"),
    (jobs.Explain, "interventions"),
)
STATES = ("fires", "silent", "unknown")
KEYS = ["family", "model", "resolution", "group"]
HEAD = (
    *("reef", "px", "group", "seeds", "accuracy", "share", "holds", *STATES),
    "intervention agrees",
)
NOTE = """{model} with the shipped recipe, every model judged alone: a row of `alarms.csv` per seed, resolution and
group, from {images} explained images of {test}. `clean` has no shortcut; in `sticker` a sticker
agrees with the stripes 95 times in 100, and the alarm should fire for medium and fine at 24 px
and for fine at 48 px. `accuracy`: within the pair. `share`: of the evidence of correct answers
on the object, 0 by chance, 1 the most that the grid allows. Median (lowest-highest) over seeds.
`holds`: models whose accuracy holds; the alarm fires for no others. `intervention agrees`:
among those whose answers to exchanged objects are clear, how often they confirm the alarm or
its silence.

False alarms of clean models: {false} resolutions and groups in which accuracy holds (at most:
one-sided 95 %, Clopper-Pearson, treating the groups of a model as independent).
"""


@dataclass(frozen=True)
class LocalSweep:
    """A sweep whose jobs run in this process, without Snakemake; `results` is as always."""

    results: Path
    config: Config

    def prepare(self) -> None:
        """Prepare the data and resize it to every resolution, unless that is done."""
        if not (self.results / "data" / "manifest.json").exists():
            self.run_job(jobs.PrepareData)
        for resolution in self.config.sweep.resolutions:
            if not (self.results / "data" / f"r{resolution}" / "test.npy").exists():
                self.run_job(jobs.ResizeData, resolution=str(resolution))

    def run_job(self, kind: type[jobs.Job], **wildcards: str) -> None:
        """Call the entry point of a job with the files of its rule."""
        main = importlib.import_module(job_module(kind)).main
        files = self.shared_files()
        if "seed" in wildcards:
            files |= self.run_files(wildcards["resolution"], wildcards["seed"])
            wildcards |= {"family": FAMILY, "model": MODEL}
        names = [name for name in inspect.signature(main).parameters if name != "job"]
        job = build_job(self.config, kind, **wildcards)
        main(job, **{name: files[name] for name in names})

    def shared_files(self) -> dict[str, Any]:
        """Return the arguments of entry points that are the same for all runs."""
        manifest = self.results / "data" / "manifest.json"
        folders = ("runs", "profiles", "agreement", "tables")
        return {
            **{name: self.results / name for name in folders},
            "data": manifest,
            "manifest": manifest,
            "threads": 1,
            "provision": Provision.model_validate_json(provision_json(self.config)),
            "runtime": self.config.system.training,
        }

    def run_files(self, resolution: str, seed: str) -> dict[str, Any]:
        """Return the file arguments of the jobs of one run."""
        cell = Path(FAMILY, MODEL, f"r{resolution}", f"seed{seed}")
        run = self.results / "runs" / cell
        maps = run / "explanations"
        methods = self.config.explainability.methods
        tables = ("localisation", "faithfulness", "sanity", "interventions")
        return {
            "weights": self.results / "checkpoints" / cell / "best.safetensors",
            "state": self.results / ".state" / cell,
            **{name: run / f"{name}.csv" for name in ("evaluation", "history")},
            **{name: run / f"{name}.json" for name in ("metrics", "timing")},
            **{name: run / f"{name}.npz" for name in ("predictions", "val_predictions")},
            **{name: maps / f"{name}.csv" for name in tables},
            "attributions": tuple(maps / f"{method}.npz" for method in methods),
        }


def run_alarm(options: Namespace, work: Path) -> str:
    """Train and explain all models and count alarms; return the section."""
    clean, sticker = options.seeds
    sweeps = {
        "clean": _sweep(options, work / "clean", None, clean),
        f"sticker {STICKER_AGREEMENT}": _sweep(
            options, work / "sticker", STICKER_AGREEMENT, sticker
        ),
    }
    _explain_all(list(sweeps.values()), options.cores)
    alarms = {name: _read_alarms(sweep) for name, sweep in sweeps.items()}
    rows = [(name, *row) for name, table in alarms.items() for row in alarm_rows(table)]
    note = NOTE.format(
        model=MODEL,
        images=options.images,
        test=NUM_TEST_IMAGES,
        false=false_alarms(alarms["clean"]),
    )
    return f"{note}\n{markdown(HEAD, rows)}"


def _sweep(options: Namespace, results: Path, shortcut: float | None, seeds: int) -> LocalSweep:
    """Return a sweep with few test images, without the evidence that alarms do not use."""
    changes: dict[str, Any] = {
        "sweep": {
            "models": [MODEL],
            "resolutions": list(options.resolutions or RESOLUTIONS),
            "seeds": list(range(seeds)),
        },
        "data": {"reef": {"test": NUM_TEST_IMAGES, "shortcut": shortcut}},
        "explainability": {"images": options.images, "faithfulness": {"images": 0}},
        "system": {"device": "cpu"},
    }
    return LocalSweep(results, shipped_config(changes))


def _explain_all(sweeps: Sequence[LocalSweep], cores: int) -> None:
    """Complete all runs, `cores` at a time, the most expensive first."""
    runs = []
    for sweep in sweeps:
        sweep.prepare()
        cells = product(sweep.config.sweep.resolutions, sweep.config.sweep.seeds)
        runs += [(sweep, *cell) for cell in cells]
    runs.sort(key=lambda run: -run[1])
    with ProcessPoolExecutor(cores, mp_context=get_context("spawn")) as pool:
        for number, name in enumerate(pool.map(complete_run, runs), start=1):
            print(f"{number} of {len(runs)}: {name}", file=sys.stderr)


def complete_run(run: tuple[LocalSweep, int, int]) -> str:
    """Run the jobs of a run whose files are missing; return its name."""
    sweep, resolution, seed = run
    files = sweep.run_files(str(resolution), str(seed))
    for kind, last_file in RUN_JOBS:
        if not files[last_file].exists():
            sweep.run_job(kind, resolution=str(resolution), seed=str(seed))
    return f"{sweep.results.name}, {resolution} px, seed {seed}"


def _read_alarms(sweep: LocalSweep) -> pd.DataFrame:
    """Return the rows of tables/alarms.csv of each seed by itself."""
    seeds = sweep.config.sweep.seeds
    return pd.concat([_seed_alarms(sweep, seed) for seed in seeds], ignore_index=True)


def _seed_alarms(sweep: LocalSweep, seed: int) -> pd.DataFrame:
    """Return the alarms of one seed, with `holds`: accuracy holds by the alarm's definition."""
    config = sweep.config
    grid = config.sweep.model_copy(update={"seeds": (seed,)})
    alone = LocalSweep(sweep.results, config.model_copy(update={"sweep": grid}))
    alone.run_job(jobs.Aggregate)
    tables = sweep.results / "tables"
    alarms, groups = (pd.read_csv(tables / f"{name}.csv") for name in ("alarms", "groups"))
    groups = groups[[*KEYS, "pair_accuracy_low"]]
    merged = alarms.merge(groups, on=KEYS, validate="one_to_one")
    enough = merged["accuracy"] >= merged["accuracy_best"] - HOLDS
    return merged.assign(holds=enough & (merged["pair_accuracy_low"] > COIN_TOSS))


def alarm_rows(alarms: pd.DataFrame) -> Iterator[tuple[object, ...]]:
    """Yield a row per resolution and group."""
    for (resolution, group), seeds in alarms.groupby(["resolution", "group"], sort=False):
        judged = seeds["judged"].dropna()
        yield (
            *(resolution, group, len(seeds)),
            *(_known_spread(seeds["accuracy"]), _known_spread(seeds["share"])),
            int(seeds["holds"].sum()),
            *(int((seeds["state"] == state).sum()) for state in STATES),
            f"{(judged == 'agrees').sum()} of {len(judged)}",
        )


def _known_spread(values: pd.Series) -> str:
    known = values.dropna().tolist()
    return spread(known) if known else ""


def false_alarms(clean: pd.DataFrame) -> str:
    """Return how often the alarm fires where accuracy of clean models holds, with a bound."""
    fires, holds = int((clean["state"] == "fires").sum()), int(clean["holds"].sum())
    bound = binomtest(fires, holds, alternative="less").proportion_ci(0.95).high
    return f"{fires} of {holds} ({fires / holds:.1%}, at most {bound:.1%})"
