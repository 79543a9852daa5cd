import json
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from resomap.callbacks import EarlyStopping, LRSchedulerCallback, ModelCheckpoint
from resomap.errors import ConfigError
from resomap.training.checkpoint import load_weights

VALUES = st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.4, math.nan]), min_size=1, max_size=12)


def stopping_epoch(stopping: EarlyStopping, values: list[float]) -> int | None:
    for epoch, value in enumerate(values):
        stopping.step(epoch, value)
        if stopping.stop:
            return epoch
    return None


@pytest.mark.parametrize(
    ("options", "values", "end"),
    [
        ({"patience": 2}, [3, 2, 1, 0, -1, -2], None),
        ({"patience": 2}, [1, 1, 1, 1], 2),
        ({"patience": 2}, [1, 2, 0.5, 2, 3], 4),
        ({"patience": 2, "mode": "max"}, [1, 2, 1, 1], 3),
        ({"patience": 1, "min_delta": 0.1}, [1, 0.95], 1),
        ({"patience": 1, "min_delta": 0.1}, [1, 0.85], None),
        ({"patience": 1, "warmup_epochs": 3}, [1, 2, 3, 4, 4], 4),
        ({"patience": 2}, [1, math.nan, math.nan], 2),
    ],
)
def test_early_stopping_ends_after_patience(options, values, end):
    assert stopping_epoch(EarlyStopping(**options), values) == end


@given(values=VALUES, cut=st.integers(0, 12))
def test_early_stopping_resumes_from_state(values, cut):
    whole, first, second = (EarlyStopping(patience=2) for _ in range(3))
    for epoch, value in enumerate(values):
        whole.step(epoch, value)
        (first if epoch < cut else second).step(epoch, value)
        if epoch + 1 == cut:
            second.load_state_dict(first.state_dict())
    last = first if cut >= len(values) else second
    assert last.state_dict() == whole.state_dict()


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("top", [0, 1, 3])
@given(values=VALUES)
def test_checkpoint_keeps_best_epochs(tmp_path_factory, mode, top, values):
    folder, model = tmp_path_factory.mktemp("kept"), nn.Linear(1, 1)
    checkpoint = ModelCheckpoint(folder, "val_loss", mode, save_top_k=top)
    for epoch, value in enumerate(values):
        nn.init.constant_(model.weight, epoch)
        checkpoint.step(epoch, {"val_loss": value}, model, resolution=48)
    expected = best_epochs(values, mode)[:top]
    assert [kept.epoch for kept in checkpoint.kept] == expected
    names = {f"r48_epoch{epoch:04d}.safetensors" for epoch in expected}
    assert {path.name for path in folder.glob("*.safetensors")} == names
    assert_best_file_holds(checkpoint, expected)
    checkpoint.kept = []
    checkpoint.tidy()
    assert list(folder.iterdir()) == []


def best_epochs(values: list[float], mode: str) -> list[int]:
    sign = 1 if mode == "min" else -1
    numbers = [epoch for epoch, value in enumerate(values) if not math.isnan(value)]
    return sorted(numbers, key=lambda epoch: (sign * values[epoch], epoch))


def assert_best_file_holds(checkpoint: ModelCheckpoint, epochs: list[int]) -> None:
    best = checkpoint.get_best_checkpoint_path()
    assert (best is None) == (not epochs)
    if best:
        weights, metadata = load_weights(best)
        assert weights["weight"].item() == metadata["epoch"] == epochs[0]
        assert metadata["resolution"] == 48
        assert json.loads(best.with_suffix(".json").read_text()) == metadata


def test_checkpoint_saves_optimizer_beside_weights(tmp_path):
    model = nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    checkpoint = ModelCheckpoint(tmp_path, "loss", save_optimizer=True)
    checkpoint.step(0, {"loss": 1.0}, model, optimizer, 24)
    assert (tmp_path / "r24_epoch0000.optimizer.safetensors").is_file()


def test_unknown_monitor_is_named_with_known_ones(tmp_path):
    checkpoint, metrics = ModelCheckpoint(tmp_path, "val_auc"), {"val_loss": 1.0, "val_f1": 0.5}
    with pytest.raises(ConfigError, match=r"'val_auc'.* val_loss, val_f1"):
        checkpoint.step(0, metrics, nn.Linear(1, 1))


@pytest.mark.parametrize(
    ("monitor", "mode"),
    [("val_accuracy", "max"), ("val_loss", "min"), ("f1", "max"), ("train_recall", "max")],
)
def test_direction_follows_from_name_of_metric(tmp_path, monitor, mode):
    assert ModelCheckpoint(tmp_path, monitor).mode == mode
    assert ModelCheckpoint(tmp_path, monitor, mode).mode == mode


def test_direction_of_other_metric_is_given(tmp_path):
    assert ModelCheckpoint(tmp_path, "val_kappa").mode == "min"
    assert ModelCheckpoint(tmp_path, "val_kappa", "max").mode == "max"


def test_plateau_on_accuracy_waits_for_a_larger_value():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    params = {"monitor": "val_accuracy", "factor": 0.1, "patience": 0}
    schedule = LRSchedulerCallback(optimizer, "plateau", params)
    for accuracy in (0.3, 0.5, 0.7):
        schedule.step(metrics={"val_accuracy": accuracy})
    assert schedule.get_last_lr() == [1.0]
    schedule.step(metrics={"val_accuracy": 0.2})
    assert schedule.get_last_lr() == [0.1]
