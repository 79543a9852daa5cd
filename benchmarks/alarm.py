"""Error rates of the alarm "evidence off the object" on models of clean and of sticker data.

Every model is judged alone. In the sticker data a sticker gives the answer away.
"""

import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from scipy.stats import binomtest

from benchmarks.harness import markdown, module_command, run_processes, spread
from resomap.analysis.alarm import ACCURACY_TOLERANCE, COIN_TOSS

MODEL = "tiny_cnn"
RESOLUTIONS = (24, 48)
STICKER_AGREEMENT = 0.95
NUM_TEST_IMAGES = 400
STATES = ("fires", "silent", "unknown")
KEYS = ["family", "model", "resolution", "group"]
HEAD = (
    *("reef", "px", "group", "seeds", "accuracy", "share", "holds", *STATES),
    "intervention agrees",
)
NOTE = """\
{model} with the shipped recipe, every model judged alone: a row of `alarms.csv` per seed,
resolution and group, from {images} explained images of {test}. `clean` has no shortcut; in
`sticker` a sticker agrees with the stripes 95 times in 100, and the alarm should fire for
medium and fine at 24 px and for fine at 48 px. `accuracy`: within the pair. `share`: of the
evidence of correct answers on the object, 0 by chance, 1 the most that the grid allows. Median
(lowest-highest) over seeds. `holds`: models whose accuracy holds; the alarm fires for no
others. `intervention agrees`: among those whose answers to exchanged objects are clear, how
often they confirm the alarm or its silence.

False alarms of clean models: {false} resolutions and groups in which accuracy holds (at most:
one-sided 95 %, Clopper-Pearson, treating the groups of a model as independent).
"""


def run_alarm(options: Namespace, work: Path) -> str:
    """Train and explain all models and count alarms; return the section."""
    clean, sticker = options.seeds
    alarms = {
        "clean": _run_sweep(options, work / "clean", None, clean),
        f"sticker {STICKER_AGREEMENT}": _run_sweep(
            options, work / "sticker", STICKER_AGREEMENT, sticker
        ),
    }
    rows = [(name, *row) for name, table in alarms.items() for row in alarm_rows(table)]
    note = NOTE.format(
        model=MODEL,
        images=options.images,
        test=NUM_TEST_IMAGES,
        false=false_alarms(alarms["clean"]),
    )
    return f"{note}\n{markdown(HEAD, rows)}"


def _run_sweep(
    options: Namespace, folder: Path, shortcut: float | None, num_seeds: int
) -> pd.DataFrame:
    """Run a sweep in `folder`; return the rows of tables/alarms.csv of each seed by itself."""
    sweep = {"models": [MODEL], "resolutions": list(options.resolutions or RESOLUTIONS)}
    config = {
        "data": {"reef": {"test": NUM_TEST_IMAGES, "shortcut": shortcut}},
        "explainability": {"images": options.images, "faithfulness": {"images": 0}},
        "system": {"device": "cpu", "profiling": {"rounds": 5, "end_to_end": False}},
    }
    seeds = list(range(num_seeds))
    _run_snakemake(folder, options.cores, {**config, "sweep": {**sweep, "seeds": seeds}})
    tables = []
    for seed in seeds:
        alone = {**config, "sweep": {**sweep, "seeds": [seed]}}
        _run_snakemake(folder, options.cores, alone, "results/tables/alarms.csv")
        tables.append(_read_alarms(folder / "results" / "tables"))
    return pd.concat(tables, ignore_index=True)


def _run_snakemake(
    folder: Path, cores: int, config: dict[str, Any], target: str = "explain"
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    overlay = folder / "overlay.yaml"
    overlay.write_text(yaml.safe_dump(config), encoding="utf-8")
    options = ("--cores", cores, "--directory", folder, "--configfile", overlay)
    print(f"{folder.name}: {target} of seeds {config['sweep']['seeds']}", file=sys.stderr)
    run_processes(module_command("snakemake", target, *options))


def _read_alarms(tables: Path) -> pd.DataFrame:
    """Return the alarms, with `holds`: whether accuracy holds by the alarm's definition."""
    alarms, groups = (pd.read_csv(tables / f"{name}.csv") for name in ("alarms", "groups"))
    merged = alarms.merge(groups[[*KEYS, "pair_accuracy_low"]], on=KEYS, validate="one_to_one")
    enough = merged["accuracy"] >= merged["accuracy_best"] - ACCURACY_TOLERANCE
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
