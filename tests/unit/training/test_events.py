import subprocess
import sys

import pytest

from resomap.errors import ResoMapError
from resomap.training.events import event_writer

# In a process of its own: TensorBoard's protobuf warns, and warnings are errors here. The second
# training writes into the folder of the first.
PROGRAM = """
import sys
from pathlib import Path
from resomap.training.events import event_writer
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

folder = Path(sys.argv[1])
for factor, epochs in ((1, 3), (2, 2)):
    with event_writer(folder) as write:
        for epoch in range(epochs):
            values = {"train_loss": factor / (epoch + 1), "learning_rate": 0.1}
            write(epoch, {"epoch": epoch, **values})
events = EventAccumulator(str(folder))
events.Reload()
print(*sorted(events.Tags()["scalars"]))
print([(event.step, round(event.value, 3)) for event in events.Scalars("train/loss")])
"""


def test_events_round_trip_and_hide_earlier_training(tmp_path):
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout == "learning_rate train/loss\n[(0, 2.0), (1, 1.0)]\n"


def test_no_directory_gives_no_writer():
    with event_writer(None) as write:
        assert write is None


def test_missing_tensorboard_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    message = r"system\.training\.tensorboard .*resomap\[tracking\]"
    with pytest.raises(ResoMapError, match=message), event_writer(tmp_path):
        pass
