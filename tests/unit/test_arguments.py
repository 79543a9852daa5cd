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


def test_the_signature_of_a_main_is_its_command_line(monkeypatch, job):
    seen = {}

    def main(
        job: PrepareData, val_predictions: Path, attributions: tuple[Path, ...], threads: int
    ) -> None:
        """Do it."""
        seen.update(
            job=job, val_predictions=val_predictions, attributions=attributions, threads=threads
        )

    call(
        monkeypatch,
        main,
        "--job",
        job.to_json(),
        "--val-predictions",
        "a b.npz",
        "--attributions",
        "x.npz",
        "y.npz",
        "--threads",
        "3",
    )
    assert seen == {
        "job": job,
        "val_predictions": Path("a b.npz"),
        "attributions": [Path("x.npz"), Path("y.npz")],
        "threads": 3,
    }


def test_a_list_of_paths_may_be_empty(monkeypatch):
    seen = []

    def main(attributions: tuple[Path, ...]) -> None:
        seen.append(list(attributions))

    call(monkeypatch, main, "--attributions")
    assert seen == [[]]


def test_what_a_user_can_mend_is_told_without_a_traceback(monkeypatch):
    def main(data: Path) -> None:
        raise DataError(f"{data}: no pictures")

    with pytest.raises(SystemExit) as stopped:
        call(monkeypatch, main, "--data", "here")
    assert stopped.value.code == "error: here: no pictures"


def test_what_nobody_expected_keeps_its_traceback(monkeypatch):
    def main(data: Path) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        call(monkeypatch, main, "--data", "here")


def test_a_wrong_job_is_told_without_a_traceback(monkeypatch):
    def main(job: PrepareData) -> None:
        raise AssertionError

    with pytest.raises(SystemExit) as stopped:
        call(monkeypatch, main, "--job", '{"code": "c"}')
    assert (
        stopped.value.code
        == "error: --job is no PrepareData job: data: Field required; listing: Field required"
    )


def test_a_missing_option_is_named(monkeypatch, capsys):
    def main(data: Path, threads: int) -> None:
        raise AssertionError

    with pytest.raises(SystemExit):
        call(monkeypatch, main, "--data", "here")
    assert "--threads" in capsys.readouterr().err
