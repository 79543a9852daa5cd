import errno
import resource
import sys
from pathlib import Path

import pytest

from resomap.entry.arguments import run_entry_point
from resomap.errors import DataError
from resomap.workflow.jobs import PrepareData


@pytest.fixture
def job(config):
    return PrepareData(code="c", data=config.data, listing="")


def call(monkeypatch, main, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["main", *arguments])
    run_entry_point(main)


def test_command_line_follows_signature_of_main(monkeypatch, job):
    calls = []

    def main(
        job: PrepareData, val_predictions: Path, attributions: tuple[Path, ...], threads: int
    ) -> None:
        """Record the arguments."""
        calls.append((job, val_predictions, list(attributions), threads))

    files = ("--val-predictions", "a b.npz", "--attributions", "x.npz", "y.npz")
    call(monkeypatch, main, "--job", job.to_json(), *files, "--threads", "3")
    assert calls == [(job, Path("a b.npz"), [Path("x.npz"), Path("y.npz")], 3)]


def test_list_of_paths_may_be_empty(monkeypatch):
    calls = []

    def main(attributions: tuple[Path, ...]) -> None:
        calls.append(list(attributions))

    call(monkeypatch, main, "--attributions")
    assert calls == [[]]


def test_user_error_is_printed_without_traceback(monkeypatch):
    def main(data: Path) -> None:
        raise DataError(f"{data}: no images")

    with pytest.raises(SystemExit) as stopped:
        call(monkeypatch, main, "--data", "here")
    assert stopped.value.code == "error: here: no images"


def test_unexpected_error_keeps_traceback(monkeypatch):
    def main(data: Path) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        call(monkeypatch, main, "--data", "here")


def test_invalid_job_is_reported_with_fields(monkeypatch):
    def main(job: PrepareData) -> None:
        raise AssertionError

    with pytest.raises(
        SystemExit, match=r"--job .*data: Field required; listing: Field required"
    ):
        call(monkeypatch, main, "--job", '{"code": "c"}')


def test_missing_option_is_named(monkeypatch, capsys):
    def main(data: Path, threads: int) -> None:
        raise AssertionError

    with pytest.raises(SystemExit):
        call(monkeypatch, main, "--data", "here")
    assert "--threads" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EROFS, "mounted read-only"),
        (errno.EACCES, "no permission; give your user access"),
        (errno.EPERM, "not permitted"),
        (errno.ENAMETOOLONG, "the name is too long"),
        (errno.EISDIR, "a folder where a file belongs"),
        (errno.ENOTDIR, "a folder of this path is a file"),
        (errno.EMFILE, "too many open files"),
        (errno.ENOENT, "no such file: it was removed or moved"),
        (errno.EFBIG, "larger than this process may write"),
        (errno.ENOMEM, "not enough memory"),
    ],
)
def test_error_of_the_disk_names_file_and_advice(monkeypatch, number, advice):
    def main(data: Path) -> None:
        raise OSError(number, "no", str(data))

    with pytest.raises(SystemExit, match=f"^error: here: .*{advice}"):
        call(monkeypatch, main, "--data", "here")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        # Of the allocator of torch on a CPU.
        RuntimeError(
            "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
        ),
    ],
)
def test_lack_of_memory_is_reported_without_traceback(monkeypatch, error):
    def main(data: Path) -> None:
        raise error

    with pytest.raises(SystemExit, match=r"^error: not enough memory for this job"):
        call(monkeypatch, main, "--data", "here")


def import_failing_module() -> None:
    exec(
        compile("raise ValueError('a rule twice')", "library.py", "exec"),
        {"__name__": "library"},
    )


@pytest.mark.parametrize("error", [SystemError, ValueError])
def test_failure_of_a_library_under_a_memory_limit_is_lack_of_memory(monkeypatch, error):
    def main(data: Path) -> None:
        if error is ValueError:
            import_failing_module()
        raise SystemError("error return without exception set")

    with pytest.raises(error):
        call(monkeypatch, main, "--data", "here")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (2**30, 2**30))
    with pytest.raises(SystemExit, match=r"^error: not enough memory for this job"):
        call(monkeypatch, main, "--data", "here")


def test_interrupted_job_ends_with_the_code_of_the_signal(monkeypatch, capsys):
    def main(data: Path) -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as stopped:
        call(monkeypatch, main, "--data", "here")
    assert stopped.value.code == 130
    assert (
        capsys.readouterr().err == "stopped by SIGINT; the same command runs this job again\n"
    )
