"""A planted winner and repaired BatchNorm: bounded sweeps of benchmarks/modes.py."""

from pathlib import Path

import pytest

from benchmarks.modes import choose, evaluate_spoilt, own_accuracies, planted_values
from benchmarks.reef_sweeps import SmallSweep, accuracy, reef_values

SMALL = {"train": 1000, "val": 400, "test": 400, "frequencies": [4.0, 7.0, 10.0]}


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> SmallSweep:
    values = planted_values((24, 32), 1, SMALL, data={"native_resolution": 64})
    return SmallSweep(tmp_path_factory.mktemp("planted"), values).run()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> SmallSweep:
    images = {"train": 800, "val": 80, "test": 400, "frequencies": [4.0, 7.0, 10.0]}
    changes = {"data": {"native_resolution": 64}, "training": {"epochs": 6}}
    values = reef_values((16, 24), 2, images, **changes)
    return SmallSweep(tmp_path_factory.mktemp("plain"), values).run()


def test_planted_winner_of_two_sizes_is_best(planted: SmallSweep) -> None:
    winner, other = planted.runs
    best = accuracy(winner.folder, 32, "bn")
    assert best > accuracy(winner.folder, 24, "bn") + 0.03
    assert best > accuracy(other.folder, 32, "bn") + 0.03
    assert (
        best > max(accuracy(run.folder, px) for run in planted.runs for px in (24, 32)) + 0.03
    )


def test_choose_names_the_planted_winner(planted: SmallSweep) -> None:
    record = choose(planted)
    choice = record["choice"]
    named = choice["resolution"], choice["eval_resolution"], choice["mode"]
    assert named == (24, 32, "bn")
    assert record["status"] in ("best", "chosen")


def test_bn_at_the_training_size_reproduces_raw(plain: SmallSweep) -> None:
    pairs = [own_accuracies(run, run.folder) for run in plain.runs]
    differences = [raw - bn for raw, bn in pairs]
    assert len(differences) == 4
    assert abs(sum(differences) / len(differences)) < 0.01


def test_bn_repairs_spoilt_statistics(plain: SmallSweep, tmp_path: Path) -> None:
    run = plain.runs[-1]
    raw, bn = own_accuracies(run, run.folder)
    spoilt_raw, spoilt_bn = own_accuracies(run, evaluate_spoilt(plain, run, tmp_path))
    assert spoilt_raw < raw - 0.1
    # The statistics are taken anew, so nothing of the spoilt ones is left.
    assert spoilt_bn == bn
