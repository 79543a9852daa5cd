"""Compare the results of two finished sweeps: the check that a refactoring changed no number.

usage: python -m benchmarks.compare_results BEFORE AFTER [--rename OLD=NEW ...]

BEFORE and AFTER are working directories, each with a `results/` folder. Prints every difference
(file, column, first differing row, both values) and one line per kind of artifact; exits with 1
when there is a difference. Not compared: timings, code digests, environments, state folders,
drawings, reports and receipts. The choice depends on latencies, so it may differ between equal
sweeps.

--rename OLD=NEW declares a column, JSON key or array of BEFORE that has another name in AFTER;
with a slash, it declares the path of a file inside `results/`. It applies only where AFTER has
NEW and no longer has OLD.
"""

import argparse
import csv
import filecmp
import json
import sys
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path
from textwrap import shorten
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np

from resomap.errors import DataError
from resomap.system.files import read_json

# The first pattern that fits a path decides. A file that fits none is compared byte by byte as
# "other", so that no new artifact is skipped silently. `*` of fnmatch also matches a slash.
LEFT_OUT = (
    # Receipts hold digests of jobs, code included, and of files that are compared themselves.
    *("receipts/*", "sweep/*"),
    *(".state/*", "partial/*", "report/*", "profiles/*", "mlflow*", "tracking.json"),
    *("*/timing.json", "*/environment.json", "*/.lock", "plan.json", "run_config.yaml"),
    *("figures/*.svg", "figures/*.png", "figures/accuracy_by_cost.csv", "figures/cost_*.csv"),
    *("tables/stages.csv", "tables/neighbours.csv", "tables/cost.csv", "tables/energy.csv"),
    *("tables/cascades.csv", "figures/cascades*.csv"),
    # Both hold a digest of configuration and code, and the manifest repeats the number.
    *("data/identity.txt", "data/native_resolution.json"),
)  # fmt: skip
KINDS = {
    "weights": ("*.safetensors",),
    "histories": ("runs/*/history.csv",),
    "metrics": ("runs/*/metrics.json",),
    "evaluations": ("runs/*/evaluation.csv",),
    "predictions": ("runs/*/predictions.npz", "runs/*/val_predictions.npz"),
    "explanations": ("runs/*/explanations/*",),
    "agreement": ("agreement/*",),
    "data": ("data/*",),
    "model summaries": ("model_summaries/*",),
    "choice": ("tables/choice.json", "tables/answer.json"),
    "tables": ("tables/*.csv",),
    "figures": ("figures/*.csv",),
    "other": ("*",),
}
TIMING_WORDS = ("seconds", "latency", "per_second", "memory", "energy")
# In profiles.csv most columns depend on time, `n` and `valid` included; these do not.
PROFILE_COLUMNS = (
    *("family", "model", "resolution", "precision", "variant", "threads", "batch_size"),
    *("status", "macs", "flops", "num_parameters", "model_size_mib"),
)  # fmt: skip
DIGEST_KEYS = ("code", "data_code", "listing")
# `cheaper` compares two latencies, `rank` breaks ties by them; the sentences of choice.json
# contain latencies.
VARIABLE_KEYS = ("environment", "cheaper", "rank", "provisional", "headline", "reasons")
ABSENT = "absent"

Renames = Mapping[str, str]


class Difference(NamedTuple):
    """A place of a file at which the two sweeps differ."""

    place: str
    before: object
    after: object

    def __str__(self) -> str:
        before, after = (shorten(str(value), 120) for value in (self.before, self.after))
        return f"{self.place}: {before} -> {after}"


def is_variable(name: str) -> bool:
    """Return whether a column or key holds a timing, a code digest or an environment."""
    return name in DIGEST_KEYS + VARIABLE_KEYS or any(word in name for word in TIMING_WORDS)


def kind_of(path: str) -> str | None:
    """Return the kind of the artifact at `path` inside `results/`; None if it is left out."""
    if any(fnmatch(path, pattern) or fnmatch(f"/{path}", pattern) for pattern in LEFT_OUT):
        return None
    return next(
        kind for kind, patterns in KINDS.items() if any(fnmatch(path, p) for p in patterns)
    )


def rename_keys(
    before: dict[str, Any], after: Container[str], renames: Renames
) -> dict[str, Any]:
    """Return `before` under its new names, in its order."""
    renamed = {}
    for key, value in before.items():
        new = renames.get(key, key)
        renamed[new if new in after and key not in after else key] = value
    return renamed


def compare_json(
    before: Any, after: Any, renames: Renames, place: str = ""
) -> Iterator[Difference]:
    """Yield where two JSON values differ, each place as a dotted path."""
    if isinstance(before, dict) and isinstance(after, dict):
        before = rename_keys(before, after, renames)
        for key in sorted({*before, *after}):
            if not is_variable(key):
                values = before.get(key, ABSENT), after.get(key, ABSENT)
                yield from compare_json(*values, renames, f"{place}.{key}".lstrip("."))
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, values in enumerate(zip(before, after, strict=True)):
            yield from compare_json(*values, renames, f"{place}[{index}]")
    # As text: JSON distinguishes 1 from 1.0 and from true, Python does not.
    elif json.dumps(before) != json.dumps(after):
        yield Difference(place, before, after)


def compare_arrays(before: np.ndarray, after: np.ndarray, place: str) -> Iterator[Difference]:
    """Yield the first element at which two arrays differ, or their shapes and types.

    Compares bytes, so that NaN equals NaN and 0.0 differs from -0.0.
    """
    kinds = [f"{array.dtype} {array.shape}" for array in (before, after)]
    if kinds[0] != kinds[1]:
        yield Difference(place, *kinds)
        return
    # Row by row: native.npy of a large dataset does not fit into memory twice.
    for row, (first, second) in enumerate(
        zip(np.atleast_1d(before), np.atleast_1d(after), strict=True)
    ):
        if first.tobytes() != second.tobytes():
            index = _first_difference(first, second)
            values = first.ravel()[index], second.ravel()[index]
            yield Difference(f"{place} row {row} element {index}", *values)
            return


def _first_difference(before: np.ndarray, after: np.ndarray) -> int:
    size = before.dtype.itemsize
    first, second = (np.frombuffer(array.tobytes(), np.uint8) for array in (before, after))
    return int(np.flatnonzero(first != second)[0]) // size


def compare_array_files(before: Path, after: Path, renames: Renames) -> Iterator[Difference]:
    """Yield where two .npz files differ, or two .npy files."""
    if before.suffix == ".npy":
        yield from compare_arrays(
            *(np.load(path, mmap_mode="r") for path in (before, after)), "array"
        )
        return
    with np.load(before) as first, np.load(after) as second:
        yield from _compare_named(dict(first), dict(second), renames)


def _compare_named(
    before: dict[str, np.ndarray], after: dict[str, np.ndarray], renames: Renames
) -> Iterator[Difference]:
    before = rename_keys(before, after, renames)
    for name in [*before, *(name for name in after if name not in before)]:
        if name in before and name in after:
            yield from compare_arrays(before[name], after[name], name)
        else:
            yield Difference(
                name, *("present" if name in side else ABSENT for side in (before, after))
            )


def read_weights(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return metadata and tensors of a safetensors file.

    Parses the format (https://huggingface.co/docs/safetensors) as NumPy has no bfloat16: such
    tensors are returned as 16-bit integers.
    """
    stored = path.read_bytes()
    header_end = 8 + int.from_bytes(stored[:8], "little")
    header = json.loads(stored[8:header_end])
    metadata = {key: _parse(value) for key, value in header.pop("__metadata__", {}).items()}
    tensors = {}
    for name, entry in header.items():
        start, end = (header_end + offset for offset in entry["data_offsets"])
        numbers = np.frombuffer(stored[start:end], NUMPY_TYPES[entry["dtype"]])
        tensors[f"{name} ({entry['dtype']})"] = numbers.reshape(entry["shape"])
    return metadata, dict(sorted(tensors.items()))


_OTHER_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "BOOL": "?"}
_SIGNED_TYPES = {f"I{bits}": f"<i{bits // 8}" for bits in (8, 16, 32, 64)}
_UNSIGNED_TYPES = {f"U{bits}": f"<u{bits // 8}" for bits in (8, 16, 32, 64)}
NUMPY_TYPES = _OTHER_TYPES | _SIGNED_TYPES | _UNSIGNED_TYPES


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def compare_weights(before: Path, after: Path, renames: Renames) -> Iterator[Difference]:
    """Yield where two safetensors files differ: metadata but for code digests, then tensors."""
    (old_metadata, old), (new_metadata, new) = read_weights(before), read_weights(after)
    yield from compare_json(old_metadata, new_metadata, renames, "metadata")
    yield from _compare_named(old, new, renames)


def read_table(path: Path) -> dict[str, list[str]]:
    """Return the columns of a CSV file as text, but for those that hold timings or digests."""
    with path.open(newline="", encoding="utf-8") as stream:
        names, *rows = csv.reader(stream)
    profiles = path.name == "profiles.csv"
    kept = [name in PROFILE_COLUMNS if profiles else not is_variable(name) for name in names]
    columns = enumerate(zip(names, kept, strict=True))
    return {name: [row[index] for row in rows] for index, (name, keep) in columns if keep}


def compare_tables(before: Path, after: Path, renames: Renames) -> Iterator[Difference]:
    """Yield the first differing row of every column, missing columns, and changed order."""
    new = read_table(after)
    old = rename_keys(read_table(before), new, renames)
    for name in [*old, *(name for name in new if name not in old)]:
        if name not in old or name not in new:
            yield Difference(
                f"column {name}",
                *("present" if name in side else ABSENT for side in (old, new)),
            )
        elif len(old[name]) != len(new[name]):
            yield Difference(
                f"column {name}", f"{len(old[name])} rows", f"{len(new[name])} rows"
            )
        elif old[name] != new[name]:
            cells = zip(old[name], new[name], strict=True)
            row, values = next(
                (row, pair) for row, pair in enumerate(cells) if pair[0] != pair[1]
            )
            yield Difference(f"column {name} row {row}", *values)
    if set(old) == set(new) and list(old) != list(new):
        yield Difference("order of columns", ", ".join(old), ", ".join(new))


def compare_texts(before: Path, after: Path, renames: Renames) -> Iterator[Difference]:
    """Yield the first line at which two files differ, read as bytes."""
    first, second = (path.read_bytes().splitlines(keepends=True) for path in (before, after))
    longest = max(len(first), len(second))
    for line in range(longest):
        pair = [side[line] if line < len(side) else ABSENT for side in (first, second)]
        if pair[0] != pair[1]:
            yield Difference(f"line {line + 1}", *pair)
            return


def compare_json_files(before: Path, after: Path, renames: Renames) -> Iterator[Difference]:
    """Yield where two JSON files differ."""
    yield from compare_json(read_json(before), read_json(after), renames)


COMPARISONS: dict[str, Callable[[Path, Path, Renames], Iterable[Difference]]] = {
    ".safetensors": compare_weights,
    ".json": compare_json_files,
    ".csv": compare_tables,
    ".npz": compare_array_files,
    ".npy": compare_array_files,
}


def compare_files(before: Path, after: Path, renames: Renames) -> list[Difference]:
    """Return the differences of two files of one artifact."""
    if filecmp.cmp(before, after, shallow=False):
        return []
    try:
        compare = COMPARISONS.get(after.suffix, compare_texts)
        return list(compare(before, after, renames))
    except (DataError, ValueError, KeyError, IndexError, OSError, BadZipFile) as error:
        return [Difference("file", "readable", f"not readable: {error}")]


def list_results(folder: Path) -> dict[str, Path]:
    """Return the files of a `results/` folder that are compared, by their path inside it."""
    if not (folder / "results").is_dir():
        raise SystemExit(f"{folder} has no results/ folder")
    files = (path for path in sorted((folder / "results").rglob("*")) if path.is_file())
    named = ((path.relative_to(folder / "results").as_posix(), path) for path in files)
    return {name: path for name, path in named if kind_of(name)}


def compare_sweeps(
    before: Path, after: Path, renames: Renames
) -> Iterator[tuple[str, list[Difference]]]:
    """Yield every compared path (its name in `after`) with its differences."""
    new = list_results(after)
    old = rename_keys(list_results(before), new, renames)
    for name in sorted({*old, *new}):
        if name in old and name in new:
            yield name, compare_files(old[name], new[name], renames)
        else:
            yield (
                name,
                [
                    Difference(
                        "file", *("present" if name in side else ABSENT for side in (old, new))
                    )
                ],
            )


def parse_rename(text: str) -> tuple[str, str]:
    """Return the two names of OLD=NEW."""
    old, separator, new = text.partition("=")
    if not (old and separator and new):
        raise argparse.ArgumentTypeError(f"{text!r} is not OLD=NEW")
    return old, new


def main(arguments: list[str] | None = None) -> int:
    """Print all differences and one line per kind; return 1 if there is a difference."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument(
        "--rename", type=parse_rename, action="append", default=[], metavar="OLD=NEW"
    )
    options = parser.parse_args(arguments)
    compared, different = Counter[str](), Counter[str]()
    for name, differences in compare_sweeps(
        options.before, options.after, dict(options.rename)
    ):
        kind = kind_of(name) or "other"
        compared[kind] += 1
        different[kind] += bool(differences)
        for difference in differences:
            print(f"{name}: {difference}")
    for kind in [kind for kind in KINDS if compared[kind]]:
        equal = compared[kind] - different[kind]
        counts = f"{compared[kind]:5} compared {equal:5} equal {different[kind]:5} different"
        print(f"{kind:16} {counts}")
    if not compared:
        print("nothing to compare")
    return int(bool(different.total() or not compared))


if __name__ == "__main__":
    sys.exit(main())
