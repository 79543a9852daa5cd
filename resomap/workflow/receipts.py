"""Receipts: what a finished job was, what it read, and the digest of every file it wrote.

A job writes its receipt last, to results/receipts/ (decision 0018). Whoever reads a file of another
job compares its content with the receipt of that job, so that a damaged file, or a file of another
run in its place, is an error that names the file and never a wrong number.
"""

import ast
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from hashlib import sha256
from itertools import product
from pathlib import Path
from string import Formatter
from typing import Any, NamedTuple

from resomap.errors import DataError
from resomap.system.files import (
    check_writable,
    damaged,
    file_sha256,
    remove_leftovers_of,
    write_json,
)
from resomap.workflow.layout import ARTIFACTS, STAGE_OF, WITHOUT_RECEIPT, Artifact, Stage
from resomap.workflow.snakemake_records import read_record

MARK_FOLDER = "receipts/.checked"
MAX_SMALL_BYTES = 2**24
"""Larger files are read in full once, and again only when the file system reports a change."""
FIELDS = {"resolution": r"\d+", "seed": r"\d+"}
RECEIPT_SUFFIX = "_receipt"
CODE_FIELDS = {"code", "data_code", "codes", "tables", "figures"}
"""Fields of jobs that are digests of code, or of jobs with such fields."""


class FileDigest(NamedTuple):
    """Size and sha256 of a file."""

    size: int
    sha256: str


class FileLocation(NamedTuple):
    """The results folder that holds a file, the artifact that the file is, and its wildcards."""

    results: Path
    artifact: Artifact
    wildcards: dict[str, str]

    @property
    def stage(self) -> Stage:
        """The stage that writes the file."""
        return STAGE_OF[self.artifact.writer]

    @property
    def wildcards_of_job(self) -> dict[str, str]:
        """The wildcards without those that number the files of one job."""
        return {
            name: value
            for name, value in self.wildcards.items()
            if f"{{{name}}}" in self.stage.log
        }

    @property
    def receipt(self) -> Path:
        """Path of the receipt of the job that writes the file."""
        return receipt_path(self.results, self.stage, self.wildcards)


class JobDigest(NamedTuple):
    """The sha256 of a job without the reason of a retry, and of its recipe: the code aside."""

    whole: str
    recipe: str

    def __str__(self) -> str:
        return f"{self.whole} {self.recipe}"


@dataclass(frozen=True)
class Receipt:
    """The digests of a job, of what it read, and of what it wrote, by paths inside results/."""

    job: JobDigest
    inputs: dict[str, str]
    outputs: dict[str, FileDigest]


def receipt_path(results: Path, stage: Stage, wildcards: Mapping[str, Any]) -> Path:
    """Return the path of the receipt of a job below the folder `results`."""
    return results / stage.receipt.format(**wildcards).removeprefix("results/")


@cache
def _patterns() -> dict[str, list[tuple[re.Pattern[str], Artifact]]]:
    """Return the pattern of every artifact, by the ending of its name."""
    patterns: dict[str, list[tuple[re.Pattern[str], Artifact]]] = {}
    for artifact in ARTIFACTS:
        if artifact.writer in STAGE_OF and artifact.writer not in WITHOUT_RECEIPT:
            pattern = re.compile(rf"(?:(?P<results>.*)/)?{_path_pattern(artifact.path)}")
            patterns.setdefault(Path(artifact.path).suffix, []).append((pattern, artifact))
    return patterns


def _path_pattern(path: str) -> str:
    parts = []
    for literal, field, _, _ in Formatter().parse(path.removeprefix("results/")):
        parts.append(re.escape(literal))
        if field:
            parts.append(f"(?P<{field}>{FIELDS.get(field, '[^/]+')})")
    return "".join(parts)


@lru_cache(maxsize=2**14)
def locate_file(path: Path) -> FileLocation | None:
    """Return which artifact a path is; None for files that no job with a receipt writes."""
    # The run of a path is in its last folders, whatever folder holds the results.
    text = path.as_posix()
    for pattern, artifact in _patterns().get(path.suffix, ()):
        match = pattern.fullmatch(text)
        if match:
            fields = match.groupdict()
            return FileLocation(Path(fields.pop("results") or "."), artifact, fields)
    return None


def _list_outputs(stage: Stage, wildcards: Mapping[str, str], job: Any) -> Iterator[str]:
    """Yield the path, inside results/, of every file that the job `job` of a stage writes."""
    for artifact in ARTIFACTS:
        if artifact.writer == stage.name and not artifact.name.endswith(RECEIPT_SUFFIX):
            yield from _expand(artifact.path.removeprefix("results/"), wildcards, job)


def _expand(pattern: str, wildcards: Mapping[str, str], job: Any) -> Iterator[str]:
    fields = {field for _, field, _, _ in Formatter().parse(pattern) if field}
    values: dict[str, Iterable[Any]] = {name: [value] for name, value in wildcards.items()}
    missing = fields - set(values)
    if "split" in missing:
        values["split"] = ("train", "val", "test")
    if "method" in missing:
        values["method"] = job.explainability.methods
    if "model" in missing:
        values["model"] = [model.name for model in job.models]
        values["resolution"] = job.resolutions
    if "figure" in missing:
        values["figure"] = ["*"]
    names = sorted(fields)
    for combination in product(*(values[name] for name in names)):
        yield pattern.format(**dict(zip(names, combination, strict=True)))


def digest_job(job: Any) -> JobDigest:
    """Return the digests of a job."""
    return digest_job_values(job.model_dump(mode="json"))


def digest_job_values(values: Mapping[str, Any]) -> JobDigest:
    """Return the digests of a job from the values of its fields."""
    whole = {name: value for name, value in values.items() if name != "retry_reason"}
    return JobDigest(_sha256(whole), _sha256(_without_code(whole)))


def _without_code(values: Any) -> Any:
    if not isinstance(values, dict):
        return values
    return {
        name: _without_code(value) for name, value in values.items() if name not in CODE_FIELDS
    }


def _sha256(values: Any) -> str:
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()


def output_paths(receipt: Path, job: Any) -> list[Path]:
    """Return the files that the job with this receipt writes; of figures, those that exist."""
    located = locate_file(receipt)
    if located is None:
        raise ValueError(f"{receipt} is not the path of a receipt")
    paths = []
    for pattern in _list_outputs(located.stage, located.wildcards, job):
        results = located.results
        paths += sorted(results.glob(pattern)) if "*" in pattern else [results / pattern]
    return paths


def write_receipt(path: Path, job: Any) -> None:
    """Write the receipt `path` of the job: digests of it, of what it read and of its outputs."""
    located = locate_file(path)
    assert located is not None, path
    outputs = {}
    for output in output_paths(path, job):
        name = output.relative_to(located.results).as_posix()
        outputs[name] = [output.stat().st_size, file_sha256(output)]
    inputs = _digests_read(located.results)
    body = {"job": digest_job(job), "inputs": inputs, "outputs": outputs}
    # The receipt's own digest: a bit flipped in it is found where it is, not in another file.
    write_json(path, {**body, "sha256": _sha256(body)})


_receipts: dict[Path, tuple[tuple[int, ...], Receipt]] = {}
_checked: dict[Path, tuple[tuple[int, ...], str]] = {}
"""Receipts and digests that this process has read, each valid while the file does not change."""


def read_receipt(path: Path) -> Receipt | None:
    """Return the receipt; None without one. DataError where it is damaged."""
    try:
        version = _version(path)
    except FileNotFoundError:
        return None
    known = _receipts.get(path)
    if known is None or known[0] != version:
        known = version, _parse_receipt(path)
        _receipts[path] = known
    return known[1]


def _parse_receipt(path: Path) -> Receipt:
    try:
        body = json.loads(path.read_bytes())
        digest = body.pop("sha256")
        outputs = {name: FileDigest(*values) for name, values in body["outputs"].items()}
        receipt = Receipt(JobDigest(*body["job"]), body["inputs"], outputs)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise damaged(path) from None
    if digest != _sha256(body):
        raise damaged(path)
    return receipt


def _version(path: Path) -> tuple[int, ...]:
    # The time of the last change of the inode, which a program cannot set back as it can that of
    # the content.
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def check_content(path: Path) -> None:
    """Raise DataError unless the file has the content that the job which wrote it recorded.

    Files without a receipt are not checked: Snakemake makes missing receipts, and no job with a
    receipt writes the others.
    """
    located = locate_file(path)
    if located is None:
        return
    receipt = read_receipt(located.receipt)
    if receipt is None:
        return
    name = path.relative_to(located.results).as_posix()
    expected = receipt.outputs.get(name)
    if expected is None:
        raise DataError(
            f"{path} is not a file of the job that {located.receipt} records: delete the receipt "
            "and run again"
        )
    version = _version(path)
    if _checked.get(path) != (version, expected.sha256):
        mark = located.results / MARK_FOLDER / f"{name}.json"
        if version[0] != expected.size or not _has_digest(path, version, expected.sha256, mark):
            raise damaged(path)
        _checked[path] = version, expected.sha256


def _has_digest(path: Path, version: tuple[int, ...], expected: str, mark: Path) -> bool:
    """Return whether the sha256 of a file is `expected`; see MAX_SMALL_BYTES for `mark`."""
    if version[0] <= MAX_SMALL_BYTES:
        return file_sha256(path) == expected
    marked = {"version": list(version), "sha256": expected}
    # Where the mark is missing or says something else, the file itself is read.
    with suppress(OSError, ValueError):
        if json.loads(mark.read_bytes()) == marked:
            return True
    if file_sha256(path) != expected:
        return False
    write_json(mark, marked)
    return True


def was_touched(receipt: Path, job: JobDigest) -> bool:
    """Return whether `snakemake --touch` declared the files of this receipt to be those of `job`.

    That is the way to keep results after a change of code which changes no number. Snakemake
    then records the parameters of the job as it is now.
    """
    for text in read_record(str(receipt)).get("params", ()):
        with suppress(ValueError, SyntaxError, TypeError, AttributeError):
            # The record holds the repr of a parameter, and that of ours is JSON.
            if digest_job_values(json.loads(ast.literal_eval(text))) == job:
                return True
    return False


def is_receipt_of(path: Path, receipt: Receipt, job: JobDigest) -> bool:
    """Return whether a receipt belongs to this very job, or was declared to by `--touch`."""
    if receipt.job == job:
        return True
    return receipt.job.recipe == job.recipe and was_touched(path, job)


def check_receipt(stage: str, results: Path, job: str) -> None:
    """Raise DataError where the files of a stage belong to another job than `job` (digests).

    Without a receipt nothing is known: a partial report writes none.
    """
    path = receipt_path(results, STAGE_OF[stage], {})
    receipt = read_receipt(path)
    if receipt and not is_receipt_of(path, receipt, JobDigest(*job.split())):
        raise DataError(
            f"{path}: the {stage} belong to another configuration: delete it and run again"
        )


@contextmanager
def writing_receipt(path: Path, job: Any) -> Iterator[None]:
    """Test that the outputs of `job` can be written; after the block write the receipt `path`.

    Of a training on several GPUs, only the leading process does either.
    """
    if int(os.environ.get("RANK", "0")) != 0:
        yield
        return
    located = locate_file(path)
    if located is None:
        raise ValueError(f"{path} is not the path of a receipt")
    forget_reads()
    # An old receipt must not stand beside new outputs if this job is killed between the two.
    path.unlink(missing_ok=True)
    for output in output_paths(path, job):
        check_writable(output)
        # An orphan may be publishing the training that this job waits for, under its lock.
        if located.stage.name != "train":
            remove_leftovers_of(output)
    yield
    write_receipt(path, job)


def forget_reads() -> None:
    """Forget what this process has read, so that the next receipt lists what one job read."""
    _checked.clear()
    _receipts.clear()


def _digests_read(results: Path) -> dict[str, str]:
    """Return the digest of every checked file below `results` that this process has read."""
    return {
        path.relative_to(results).as_posix(): digest
        for path, (_, digest) in sorted(_checked.items())
        if path.is_relative_to(results)
    }
