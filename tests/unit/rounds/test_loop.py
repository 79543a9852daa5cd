"""The rounds of `resomap run --until-settled`, with a Snakemake that copies finished runs."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from resomap.config.schema import Config
from resomap.errors import ConfigError
from resomap.rounds import loop
from resomap.rounds.loop import RoundOptions, run_rounds
from resomap.workflow.lifecycle import read_run_config
from tests.recorded_sweeps import RecordedDirectory, small_sweep

INTERRUPTED = 130
RUNS = "results/runs/"


class CopyingSnakemake:
    """Copies the runs that are its targets from a finished sweep; may stop after some of them."""

    def __init__(self, finished: Path, stop_after: int | None = None) -> None:
        self.finished, self.stop_after = finished, stop_after
        self.calls: list[list[str]] = []

    def __call__(self, arguments: Sequence[str]) -> int:
        """Return the exit code of one call."""
        targets = [word for word in arguments if word.startswith(RUNS)]
        self.calls.append(list(arguments))
        for target in targets:
            if self.stop_after == 0:
                return INTERRUPTED
            folder = Path(*Path(target).parts[:6])
            if not folder.exists() and "explanations" not in target and "-n" not in arguments:
                shutil.copytree(self.finished / folder, folder)
                self.stop_after = None if self.stop_after is None else self.stop_after - 1
        return 0


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    models, sizes = ("tiny_cnn", "simple_cnn"), (24, 32, 48)
    grid = small_sweep(models=models, resolutions=sizes, seeds=(0, 1, 2), test=600)
    return RecordedDirectory(tmp_path_factory.mktemp("finished"), grid).write()


@pytest.fixture(scope="module")
def whole(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The record of rounds that nothing interrupts."""
    with pytest.MonkeyPatch.context() as patch:
        config = start(finished, tmp_path_factory.mktemp("whole") / "work", patch)
        call(config, CopyingSnakemake(finished), patch)
        return without_times(read_rounds())


def start(finished: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """Go to a directory that has the images and the profiles of the sweep, and no run."""
    shutil.copytree(finished, folder, ignore=shutil.ignore_patterns("runs"))
    monkeypatch.chdir(folder)
    return read_run_config(folder)


def call(
    config: Config, snakemake: CopyingSnakemake, monkeypatch: pytest.MonkeyPatch, **options: Any
) -> tuple[int, list[str]]:
    """Run rounds; returns the exit code and what was shown."""
    monkeypatch.setattr(loop, "call_snakemake", snakemake)
    defaults = {"arguments": (), "hours": None, "max_seeds": None, "dry_run": False}
    shown: list[str] = []
    code = run_rounds(config, RoundOptions(**defaults | options), shown.extend)
    return code, shown


def read_rounds() -> dict[str, Any]:
    return json.loads(Path("results/rounds.json").read_text())


def without_times(record: dict[str, Any]) -> dict[str, Any]:
    rounds = [{**one, "seconds": None} for one in record["rounds"]]
    return {**record, "rounds": rounds}


def test_rounds_profile_first_then_train_and_end_in_an_answer(finished, tmp_path, monkeypatch):
    config = start(finished, tmp_path / "work", monkeypatch)
    snakemake = CopyingSnakemake(finished)
    code, shown = call(config, snakemake, monkeypatch)
    record = read_rounds()
    assert code == 0
    assert snakemake.calls[0] == [
        f"results/profiles/custom/{m}.json" for m in config.sweep.models
    ]
    assert len(record["rounds"][0]["runs"]) == 6
    assert record["end"] in ("settled", "hopeless", "seeds")
    assert any(line.startswith("Round 1 of at most 3: 6 trainings") for line in shown)
    assert any("trained" in line and "of 18 runs" in line for line in shown)


@pytest.mark.parametrize("stop_after", [0, 2, 6, 7])
def test_interrupted_rounds_end_in_the_same_record(
    finished, whole, tmp_path, monkeypatch, stop_after
):
    config = start(finished, tmp_path / "stopped", monkeypatch)
    code, _ = call(config, CopyingSnakemake(finished, stop_after), monkeypatch)
    assert code == INTERRUPTED
    code, _ = call(config, CopyingSnakemake(finished), monkeypatch)
    assert code == 0
    assert without_times(read_rounds()) == whole


def test_ended_rounds_train_nothing_more(finished, tmp_path, monkeypatch):
    config = start(finished, tmp_path / "work", monkeypatch)
    call(config, CopyingSnakemake(finished), monkeypatch)
    before = Path("results/rounds.json").read_bytes()
    snakemake = CopyingSnakemake(finished)
    call(config, snakemake, monkeypatch)
    assert Path("results/rounds.json").read_bytes() == before
    trained = [
        word for one in snakemake.calls for word in one if word.endswith("evaluation.csv")
    ]
    assert trained == []


def test_dry_run_shows_the_next_round_and_trains_nothing(finished, tmp_path, monkeypatch):
    config = start(finished, tmp_path / "work", monkeypatch)
    snakemake = CopyingSnakemake(finished)
    code, shown = call(config, snakemake, monkeypatch, arguments=("-n",), dry_run=True)
    assert code == 0
    assert shown[0].startswith("Round 1 of at most 3")
    assert not Path(RUNS).exists()
    assert not Path("results/rounds.json").exists()


def test_cell_over_its_budget_is_never_trained(finished, tmp_path, monkeypatch):
    config = start(finished, tmp_path / "work", monkeypatch)
    costs = sorted(
        cell["latency_ms_p90"]
        for model in config.sweep.models
        for cell in json.loads(Path(f"results/profiles/custom/{model}.json").read_text())[
            "cells"
        ]
        if cell["batch_size"] == 1
    )
    limit = 1.5 * costs[0]
    report = config.report.model_copy(update={"max_latency_ms": limit})
    config = config.model_copy(update={"report": report})
    call(config, CopyingSnakemake(finished), monkeypatch)
    first = read_rounds()["rounds"][0]
    assert 0 < len(first["runs"]) < 6
    assert len(first["runs"]) + len(first["dropped"]) == 6
    assert all("latency" in one["reason"] for one in first["dropped"])


def test_round_that_does_not_fit_the_hours_is_not_started(finished, tmp_path, monkeypatch):
    config = start(finished, tmp_path / "work", monkeypatch)
    monkeypatch.setattr(loop, "estimate_round", lambda *_: 7200.0)
    code, _ = call(config, CopyingSnakemake(finished), monkeypatch, hours=1.0)
    assert code == 0
    assert read_rounds()["end"] == "budget"
    assert not Path(RUNS).exists()
    # With more time the same rounds go on.
    call(config, CopyingSnakemake(finished), monkeypatch, hours=100.0)
    assert read_rounds()["end"] in ("settled", "hopeless", "seeds")


def test_other_margin_after_a_look_is_refused(finished, tmp_path, monkeypatch):
    config = start(finished, tmp_path / "work", monkeypatch)
    call(config, CopyingSnakemake(finished), monkeypatch)
    report = config.report.model_copy(update={"margin": 0.2})
    other = config.model_copy(update={"report": report})
    with pytest.raises(ConfigError, match=r"rounds\.json"):
        call(other, CopyingSnakemake(finished), monkeypatch)


def test_more_seeds_than_the_sweep_has_are_refused(finished, tmp_path, monkeypatch):
    config = start(finished, tmp_path / "work", monkeypatch)
    with pytest.raises(ConfigError, match="--max-seeds 4"):
        call(config, CopyingSnakemake(finished), monkeypatch, max_seeds=4)


def test_choice_after_the_rounds_spends_the_share_of_its_look(finished, tmp_path, monkeypatch):
    from resomap.analysis.decision.inputs import read_inputs

    config = start(finished, tmp_path / "work", monkeypatch)
    call(config, CopyingSnakemake(finished), monkeypatch)
    sweep = read_inputs(Path("results"), config, config.report)
    assert 0 < sweep.looks.error_share < 1
