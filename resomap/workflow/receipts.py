"""Receipts: what a finished job was, what it read, and the digest of every file it wrote.

A job writes its receipt last, to results/receipts/ (decision 0018). A reader of a file of
another job compares its content with the receipt of that job, so that a damaged file, or a file
of another run in its place, is an error that names the file and never a wrong number.
"""

import ast
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from resomap.errors import DataError
from resomap.system.files import (
    check_writable,
    damaged,
    file_sha256,
    remove_leftovers_of,
    write_json,
)
from resomap.workflow.artifact_paths import locate_file, output_paths, receipt_path
from resomap.workflow.layout import STAGE_OF
from resomap.workflow.snakemake_records import read_record

MARK_FOLDER = "receipts/.checked"
MAX_SMALL_BYTES = 2**24
"""Larger files are read in full once, and again only when the file system reports a change."""
CODE_FIELDS = {"code", "data_code", "codes", "own_codes", "tables", "figures"}
"""Fields of jobs that are digests of code, or of jobs with such fields."""


class FileDigest(NamedTuple):
    """Size and sha256 of a file."""

    size: int
    sha256: str


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
    # Where the mark is missing or differs, the file itself is read.
    with suppress(OSError, ValueError):
        if json.loads(mark.read_bytes()) == marked:
            return True
    if file_sha256(path) != expected:
        return False
    # A copy of the results may be read-only: then the file is read in full each time.
    with suppress(OSError):
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
