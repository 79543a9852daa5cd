"""What the stages of explaining cost in one process, after imports: the job of one run, part by part, and the comparison of a network's maps."""

from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import product
from pathlib import Path
from time import process_time
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd

from benchmarks.in_process import Sweep
from benchmarks.maps import cpu, network, prepare_process
from benchmarks.processes import shipped_config
from benchmarks.tables import markdown, spread
from benchmarks.turns import Way, take_turns
from resomap.config.load import find_architecture
from resomap.data.store.store import open_store
from resomap.explain.grids import reduce_maps
from resomap.explain.run import ExplainedRun
from resomap.models.inspect import find_layer
from resomap.system.files import write_arrays
from resomap.training.checkpoint import save_weights
from resomap.workflow import jobs

MODEL = "tiny_cnn"
MODELS = (MODEL, "simple_cnn")
RESOLUTIONS = (24, 48, 96)
METHODS = ("gradcam", "integrated_gradients", "saliency")
SEEDS = (2, 5)
UNTRAINED = 24
PARTS = {
    "attributions": "explain",
    "localisation": "localisation_rows",
    "faithfulness": "faithfulness_rows",
    "sanity": "sanity_rows",
    "interventions": "intervention_rows",
}
"""Each part of the job and the method of ExplainedRun that computes it."""
RUN_NOTE = """CPU seconds of `resomap.entry.explain` after imports, fresh weights, one torch thread, the shipped configuration on {pictures} pictures of the
reef: {methods}; sanity on {sanity}, faithfulness on {faithfulness}. `rest`: reading, what is explained, writing.
"""
AGREEMENT_NOTE = """CPU seconds of `resomap.entry.compare_explanations` after imports: {methods} of {model} at {resolutions} px
and three baselines, {pictures} pictures, planted maps on the grids that the network's have: what all maps of a picture share, and as much noise, each
map its own, so that every normalised agreement is 1 in truth. Reading and writing included.
"""


def run_run(options: Namespace, work: Path) -> str:
    """The explain job of each cell, as text for the page."""
    prepare_process()
    models, resolutions = options.models or MODELS, options.resolutions or RESOLUTIONS
    sweep = Sweep(
        work / "fresh", shipped_config(small_reef(options.pictures, resolutions, 1, models))
    )
    sweep.prepare()
    rows = [
        row
        for cell in product(models, resolutions)
        for row in run_rows(sweep, *cell, options.rounds)
    ]
    chosen = sweep.config.explainability
    note = RUN_NOTE.format(
        pictures=options.pictures,
        methods=", ".join(METHODS),
        sanity=f"{chosen.sanity.images}, {chosen.sanity.draws} draws",
        faithfulness=f"{chosen.faithfulness.images}, bandwidths {', '.join(map(str, chosen.faithfulness.bandwidths))}",
    )
    return f"{note}\n{markdown(('model', 'px', 'all', *PARTS, 'rest'), rows)}"


def run_rows(
    sweep: Sweep, model: str, resolution: int, rounds: int
) -> Iterator[tuple[object, ...]]:
    """The row of one cell."""
    cell = {"model": model, "resolution": str(resolution), "seed": "0"}
    family = find_architecture(sweep.config.models, model).family
    save_weights(
        sweep.of_run(family, **cell)["weights"],
        network(model).state_dict(),
        {"status": "ok", "model": model},
    )
    way = Way(
        f"{model}, {resolution} px",
        sweep.config.explainability.images,
        partial(sweep.do, jobs.Explain, **cell),
    )
    way.call()  # its imports are not measured
    found: list[dict[str, float]] = []
    for _ in range(rounds):
        with parts_timed() as spent:
            take_turns([way], 1)
        found.append(spent)
    rest = [whole - sum(parts.values()) for whole, parts in zip(cpu(way), found, strict=True)]
    yield (
        model,
        resolution,
        spread(cpu(way)),
        *(spread([parts[part] for parts in found]) for part in PARTS),
        spread(rest),
    )


@contextmanager
def parts_timed() -> Iterator[dict[str, float]]:
    """CPU seconds of each of PARTS, added up while the block runs."""
    spent = dict.fromkeys(PARTS, 0.0)

    def timed(part: str, method: Callable[..., Iterable[Any]]) -> Callable[..., list[Any]]:
        def call(*arguments: Any) -> list[Any]:
            started = process_time()
            found = list(method(*arguments))
            spent[part] += process_time() - started
            return found

        return call

    with ExitStack() as stack:
        for part, name in PARTS.items():
            stack.enter_context(
                patch.object(ExplainedRun, name, timed(part, getattr(ExplainedRun, name)))
            )
        yield spent


def small_reef(
    pictures: int, resolutions: Sequence[int], seeds: int, models: Sequence[str]
) -> dict[str, object]:
    """Changes of the shipped configuration: `pictures` test pictures, all of them explained by the default methods."""
    return {
        "sweep": {
            "models": list(models),
            "resolutions": list(resolutions),
            "seeds": list(range(seeds)),
        },
        "data": {"reef": {"train": 16, "val": 8, "test": pictures}},
        "explainability": {"images": pictures, "methods": list(METHODS)},
        "system": {"device": "cpu"},
    }


def run_agreement(options: Namespace, work: Path) -> str:
    """The comparison with few and with more seeds, as text for the page."""
    prepare_process()
    resolutions = options.resolutions or RESOLUTIONS
    sweeps = [
        Sweep(
            work / f"planted_{seeds}_seeds",
            shipped_config(small_reef(options.pictures, resolutions, seeds, [MODEL])),
        )
        for seeds in SEEDS
    ]
    for sweep in sweeps:
        sweep.prepare()
        plant(sweep)
    ways = [
        Way(
            str(seeds),
            options.pictures,
            partial(sweep.do, jobs.CompareExplanations, model=MODEL),
        )
        for seeds, sweep in zip(SEEDS, sweeps, strict=True)
    ]
    ways[0].call()  # its imports are not measured
    take_turns(ways, options.rounds)
    note = AGREEMENT_NOTE.format(
        methods=", ".join(METHODS),
        model=MODEL,
        resolutions=", ".join(map(str, resolutions)),
        pictures=options.pictures,
    )
    head = ("seeds", "CPU s", "normalised agreement found")
    return f"{note}\n{markdown(head, ((way.name, spread(cpu(way)), normalised_found(sweep)) for way, sweep in zip(ways, sweeps, strict=True)))}"


def normalised_found(sweep: Sweep) -> str:
    """What the comparison made of the planted maps, over all its measures, blocks, populations and resolutions."""
    found = (
        pd.read_csv(sweep.of_model("custom", MODEL)["agreement"])["normalised"]
        .dropna()
        .tolist()
    )
    return f"{spread(found)} in {len(found)} rows"


def plant(sweep: Sweep) -> None:
    """Write maps and answers as explained and evaluated runs do."""
    resolutions, seeds = sweep.config.sweep.resolutions, sweep.config.sweep.seeds
    labels = open_store(sweep.results / "data" / "manifest.json").labels("test")
    rng, index = np.random.default_rng(0), np.arange(len(labels))
    shared = rng.normal(size=(len(labels), max(resolutions), max(resolutions)))

    def maps(side: int) -> np.ndarray:
        signal = reduce_maps(shared, side)
        return (signal / signal.std() + rng.normal(size=signal.shape)).astype(np.float32)

    model = network(MODEL)
    fixed = find_layer(model, min(resolutions), "auto")[0]
    for resolution, seed in product(resolutions, seeds):
        files = sweep.of_run("custom", MODEL, str(resolution), str(seed))
        logits = np.eye(8, dtype=np.float32)[labels] + rng.normal(
            scale=0.2, size=(len(labels), 8)
        )
        write_arrays(
            files["predictions"], label=labels, index=index, **{f"logits_r{resolution}": logits}
        )
        layer, _, rule_side = find_layer(model, resolution, "auto")
        fixed_side = find_layer(model, resolution, fixed)[2]
        for path in files["attributions"]:
            found = {
                "index": index,
                "target": labels,
                "layer": np.array("input"),
                "attribution": maps(resolution),
            }
            if path.stem == "gradcam":
                found |= {"layer": np.array(layer), "attribution": maps(rule_side)}
                found |= {"fixed_layer": np.array(fixed), "fixed_attribution": maps(fixed_side)}
            write_arrays(
                path,
                **found,
                untrained=maps(found.get("fixed_attribution", found["attribution"]).shape[-1])[
                    :UNTRAINED
                ],
            )
