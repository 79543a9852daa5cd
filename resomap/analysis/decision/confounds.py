"""Confounds: what the runs of a comparison differ in beside the model and the resolution.

Cells of one sweep share a recipe, but a run may have been stopped early, squeezed into memory,
trained on another machine, or kept from an earlier version. A difference between such cells has
two explanations, so no certificate may rest on it unless the user accepts that by name.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from resomap.config.report import CONFOUNDS

Facts = Mapping[str, Any]
"""The facts of a run by their names in CONFOUNDS. One that does not apply is left out."""
SeedFacts = Mapping[int, Facts]
"""The facts of the runs of a cell, by seed."""
# Parts of the recipe that change no number, or that have a name of their own.
OTHER_KEYS = {
    *("save_top_k", "save_optimizer", "micro_batch", "batch_size", "precision", "start"),
    *("schedule", "epochs"),
}
VERSIONS = ("torch", "torchvision", "resomap", "device")


def run_facts(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts of a run from its metrics.json; None for what was not recorded."""
    job, environment = metrics["job"], metrics["environment"]
    training, data = dict(job.get("training", {})), dict(job.get("data", {}))
    optimizer = dict(training.pop("optimizer", {}))
    augmentation = dict(training.pop("augmentation", {}))
    rate = optimizer.pop("learning_rate", None)
    rest = {name: value for name, value in training.items() if name not in OTHER_KEYS}
    crop = data.pop("aspect", None), augmentation.pop("random_resized_crop", None)
    return {
        "batch_size": training.get("batch_size"),
        "batchnorm_batch": _batchnorm_batch(metrics, training),
        "steps": metrics.get("optimizer_steps"),
        "images_seen": metrics.get("images_seen"),
        "learning_rate": metrics.get("learning_rate", rate),
        "schedule": _text(training.get("schedule"), training.get("epochs")),
        "precision": environment.get("precision", training.get("precision")),
        "filter": data.pop("filter", None),
        "crop": _text(*crop),
        "start": _start(metrics, training),
        "code": " ".join(filter(None, (job.get("code"), job.get("data_code")))),
        "recipe": _text(rest, optimizer, augmentation),
        "data": _text(data),
        **{name: environment.get(name) for name in VERSIONS},
    }


def _batchnorm_batch(
    metrics: Mapping[str, Any], training: Mapping[str, Any]
) -> int | float | None:
    """Return how many images BatchNorm sees at once: a pass that did not fit was split.

    Other networks accumulate the same gradient in any number of passes, so that they count as
    the recipe has it.
    """
    batch = training.get("batch_size")
    size = training.get("micro_batch")
    if metrics.get("has_batch_norm", True):
        size = metrics.get("micro_batch", size)
    if batch is None or size is None:
        return batch if size is None else size
    # Every process of a training splits its own part, and their statistics are joined.
    return min(size * metrics["environment"].get("processes", 1), batch)


def _start(metrics: Mapping[str, Any], training: Mapping[str, Any]) -> str | None:
    """Return what the training started from: the content of a file, not its place."""
    digests = metrics.get("start_sha256")
    return f"file {digests[0][:12]}" if digests else training.get("start")


def _text(*values: Any) -> str:
    """Return values that are compared as a whole as text."""
    return json.dumps(values, sort_keys=True)


@dataclass(frozen=True)
class Confounds:
    """The pairs of K candidates whose runs differ, (K, K) by the name of the fact.

    Names without such a pair are left out. `accepted` are those that the user accepts.
    """

    pairs: Mapping[str, np.ndarray]
    accepted: frozenset[str] = frozenset()

    @property
    def unaccepted(self) -> tuple[str, ...]:
        """Return the names that prevent a certificate."""
        return tuple(name for name in self.pairs if name not in self.accepted)

    def between(self, first: int, second: int) -> list[str]:
        """Return the names of the facts that two candidates differ in, accepted ones too."""
        return [name for name, pairs in self.pairs.items() if pairs[first, second]]

    def prevents(self, cells: int) -> np.ndarray:
        """Return which of the candidates cannot be certified (K,): one pair is enough."""
        prevented = np.zeros(cells, bool)
        for name in self.unaccepted:
            prevented |= self.pairs[name].any(axis=1)
        return prevented


def find_confounds(facts: Sequence[SeedFacts], accepted: Iterable[str] = ()) -> Confounds:
    """Compare the facts of all candidates with each other.

    Runs of the same seed are compared, as the accuracies are: a device that trained the same
    seeds of every cell favours none. Where a seed is missing, all runs of both have to agree.
    """
    seeds = sorted({seed for of_cell in facts for seed in of_cell})
    pairs: dict[str, np.ndarray] = {}
    for name in CONFOUNDS:
        codes = _codes(facts, seeds, name)
        if len(set(codes[codes >= 0].tolist())) > 1:
            differing = _differing_pairs(codes)
            if differing.any():
                pairs[name] = differing
    return Confounds(pairs, frozenset(accepted))


def _codes(facts: Sequence[SeedFacts], seeds: Sequence[int], name: str) -> np.ndarray:
    """Return a number per value of one fact (K, seeds); -1 where there is none."""
    numbers: dict[Any, int] = {}
    codes = np.full((len(facts), len(seeds)), -1)
    for row, of_cell in enumerate(facts):
        for column, seed in enumerate(seeds):
            if name in of_cell.get(seed, {}):
                value = of_cell[seed][name]
                codes[row, column] = numbers.setdefault(value, len(numbers))
    return codes


def _differing_pairs(codes: np.ndarray) -> np.ndarray:
    """Return where two rows differ at a seed of both, or over all seeds if some are unshared."""
    known = codes >= 0
    both = known[:, None] & known
    unequal = ((codes[:, None] != codes) & both).any(axis=2)
    unshared = (known[:, None] ^ known).any(axis=2)
    # Of one value in both rows, the least code is the greatest.
    least = np.where(known, codes, np.iinfo(codes.dtype).max).min(axis=1)
    greatest = codes.max(axis=1)
    several = np.asarray(np.minimum.outer(least, least) != np.maximum.outer(greatest, greatest))
    measured = known.any(axis=1)
    return np.asarray(
        (unequal | (unshared & several)) & np.logical_and.outer(measured, measured)
    )


def confound_classes(facts: Sequence[SeedFacts]) -> list[dict[str, Any]]:
    """Return a record per fact that differs: candidates of one class have the same values.

    `classes` has the class of each candidate, and `differ` the pairs of classes that differ.
    """
    records = []
    seeds = sorted({seed for of_cell in facts for seed in of_cell})
    for name in find_confounds(facts).pairs:
        rows, classes = np.unique(_codes(facts, seeds, name), axis=0, return_inverse=True)
        differ = np.argwhere(np.triu(_differing_pairs(rows)))
        record = {"name": name, "classes": classes.ravel().tolist(), "differ": differ.tolist()}
        records.append(record)
    return records


def confound_records(
    confounds: Confounds, cells: Sequence[tuple[Mapping[str, Any], SeedFacts]]
) -> list[dict[str, Any]]:
    """Return a record per fact that differs: its values, and the runs that have each.

    `cells` are the identities and facts of the candidates. The value of most runs comes first.
    """
    records = []
    for name in confounds.pairs:
        runs = dict(_values_of_runs(cells, name))
        counts = Counter(runs.values())
        groups = [
            {"value": value, "runs": [dict(run) for run in runs if runs[run] == value]}
            for value, _ in counts.most_common()
        ]
        records.append({"name": name, "accepted": name in confounds.accepted, "groups": groups})
    return records


def _values_of_runs(
    cells: Sequence[tuple[Mapping[str, Any], SeedFacts]], name: str
) -> Iterator[tuple[tuple[tuple[str, Any], ...], Any]]:
    """Yield every run, as the columns that identify it, and its value of a fact."""
    for identity, facts in cells:
        # The cost of a network is that at the size where it predicts, and of no seed.
        of_cost = name == "latency_device"
        size = identity["eval_resolution"] if of_cost else identity["resolution"]
        key = ("family", identity["family"]), ("model", identity["model"]), ("resolution", size)
        for seed, of_run in facts.items():
            if name in of_run:
                yield (*key, ("seed", None if of_cost else seed)), of_run[name]
