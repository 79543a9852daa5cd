import json
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from resomap.callbacks import EarlyStopping, ModelCheckpoint
from resomap.errors import ConfigError
from resomap.training.checkpoint import load_optimizer_state, load_weights

VALUES = st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.4, math.nan]), min_size=1, max_size=12)


def stopped_at(stopping: EarlyStopping, values: list[float]) -> int | None:
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
def test_a_training_stops_after_so_many_epochs_in_a_row_that_were_no_better(
    options, values, end
):
    assert stopped_at(EarlyStopping(**options), values) == end


@given(values=VALUES, cut=st.integers(0, 12))
def test_a_stopping_that_was_put_down_and_taken_up_is_the_same(values, cut):
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
def test_the_kept_epochs_are_the_first_of_all_in_order(tmp_path_factory, mode, top, values):
    folder, model = tmp_path_factory.mktemp("kept"), nn.Linear(1, 1)
    checkpoint = ModelCheckpoint(folder, "val_loss", mode, save_top_k=top)
    for epoch, value in enumerate(values):
        nn.init.constant_(model.weight, epoch)
        checkpoint.step(epoch, {"val_loss": value}, model, resolution=48)
    sign = 1 if mode == "min" else -1
    numbers = [epoch for epoch, value in enumerate(values) if not math.isnan(value)]
    expected = sorted(numbers, key=lambda epoch: (sign * values[epoch], epoch))[:top]
    assert [kept.epoch for kept in checkpoint.kept] == expected
    assert {path.name for path in folder.glob("*.safetensors")} == {
        f"r48_epoch{epoch:04d}.safetensors" for epoch in expected
    }
    best = checkpoint.get_best_checkpoint_path()
    assert (best is None) == (not expected)
    if best:
        weights, about = load_weights(best)
        assert (weights["weight"].item(), about["epoch"], about["resolution"]) == (
            expected[0],
            expected[0],
            48,
        )
        assert json.loads(best.with_suffix(".json").read_text()) == about
    checkpoint.kept = []
    checkpoint.tidy()
    assert list(folder.iterdir()) == []


def test_the_optimizer_is_kept_where_it_is_asked_for(tmp_path):
    model = nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    checkpoint = ModelCheckpoint(tmp_path, "loss", save_optimizer=True)
    checkpoint.step(0, {"loss": 1.0}, model, optimizer, 24)
    stored = load_optimizer_state(tmp_path / "r24_epoch0000.optimizer.safetensors")
    other = torch.optim.AdamW(model.parameters(), lr=0.2)
    other.load_state_dict(stored)
    assert other.param_groups[0]["lr"] == 0.1
    torch.testing.assert_close(
        other.state_dict()["state"], optimizer.state_dict()["state"], rtol=0, atol=0
    )


def test_a_monitor_that_is_not_measured_is_named_beside_those_that_are(tmp_path):
    with pytest.raises(
        ConfigError, match="unknown metric 'val_auc'; known are val_loss, val_f1"
    ):
        ModelCheckpoint(tmp_path, "val_auc").step(
            0, {"val_loss": 1.0, "val_f1": 0.5}, nn.Linear(1, 1)
        )
