"""A damaged or a foreign state is never gone on from."""

import errno
from pathlib import Path

import pytest
import torch

from resomap.training import states as module
from resomap.training.states import StateFolder, compute_fingerprint


def saved(folder: Path, count: int = 2) -> StateFolder:
    states = StateFolder(folder, "mine")
    for number in range(count):
        states.save({"number": number, "weights": torch.arange(1000.0) + number})
    return states


def newest(folder: Path) -> Path:
    return max(folder.glob("state*"))


def test_the_newest_state_is_gone_on_from_and_one_more_is_kept(tmp_path):
    assert saved(tmp_path, 5).load()["number"] == 4
    assert len(list(tmp_path.iterdir())) == 2


def test_without_a_state_there_is_none(tmp_path):
    assert StateFolder(tmp_path / "nothing here", "mine").load() is None


@pytest.mark.parametrize("length", [0, 1, 100, 3000, -1], ids="{} bytes".format)
def test_a_truncated_state_falls_back_to_the_one_before_it(tmp_path, length, capsys):
    states = saved(tmp_path)
    newest(tmp_path).write_bytes(newest(tmp_path).read_bytes()[:length])
    assert states.load()["number"] == 0
    assert "is damaged; resuming from the state before it" in capsys.readouterr().err


def test_one_flipped_bit_is_enough(tmp_path):
    states = saved(tmp_path)
    for path in tmp_path.iterdir():
        content = bytearray(path.read_bytes())
        content[-8] ^= 1
        path.write_bytes(content)
    assert states.load() is None


def test_the_state_of_another_training_is_not_gone_on_from_and_can_be_removed(tmp_path):
    saved(tmp_path)
    other = StateFolder(tmp_path, "another")
    assert other.load() is None
    other.tidy(foreign=True)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_writer_left_is_removed_and_not_read(tmp_path):
    states = saved(tmp_path)
    (tmp_path / ".tmpAbC123").write_bytes(b"half")
    states.tidy(foreign=False)
    assert states.load()["number"] == 1
    assert len(list(tmp_path.iterdir())) == 2


def test_a_full_disk_leaves_the_last_good_state(tmp_path, monkeypatch):
    states = saved(tmp_path)

    def full(path: Path, tree: object) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(module, "write_state", full)
    with pytest.raises(OSError, match="No space left"):
        states.save({"number": 2})
    assert states.load()["number"] == 1
    assert len(list(tmp_path.iterdir())) == 2


def test_a_training_is_named_by_its_job_its_data_its_device_and_its_processes(tmp_path):
    manifest = tmp_path / "manifest.json"
    manifest.write_text("one")
    mine = compute_fingerprint("job", [manifest], "cpu", 1)
    assert compute_fingerprint("job", [manifest], "cpu", 1) == mine
    others = [
        compute_fingerprint("other", [manifest], "cpu", 1),
        compute_fingerprint("job", [manifest], "cuda", 1),
        compute_fingerprint("job", [manifest], "cpu", 2),
    ]
    manifest.write_text("two")
    assert len({mine, *others, compute_fingerprint("job", [manifest], "cpu", 1)}) == 5
