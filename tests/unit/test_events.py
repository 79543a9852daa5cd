import subprocess
import sys

import pytest

from resomap.errors import ResoMapError
from resomap.training.events import event_writer

# In a process of its own: TensorBoard's protobuf warns, and warnings are errors here.
ROUND_TRIP = """
import sys
from pathlib import Path
from resomap.training.events import event_writer
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

folder = Path(sys.argv[1])
for factor in (1, 2):  # a second training in the same place
    with event_writer(folder) as write:
        for epoch in range(3 - factor + 1):
            write(epoch, {"epoch": epoch, "train_loss": factor / (epoch + 1), "learning_rate": 0.1})
read = EventAccumulator(str(folder))
read.Reload()
print(sorted(read.Tags()["scalars"]), [(event.step, round(event.value, 3)) for event in read.Scalars("train/loss")])
"""


def test_what_was_written_is_read_back_and_an_earlier_training_is_hidden(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", ROUND_TRIP, str(tmp_path)],
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "['learning_rate', 'train/loss'] [(0, 2.0), (1, 1.0)]"


def test_nothing_is_written_where_nobody_asked():
    with event_writer(None) as write:
        assert write is None


def test_a_missing_tensorboard_is_said_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with (
        pytest.raises(
            ResoMapError, match=r"system\.training\.tensorboard .*resomap\[tracking\]"
        ),
        event_writer(tmp_path),
    ):
        pass
