"""A damaged state, or one of another training, is never resumed from."""

import errno
from pathlib import Path
from pickle import UnpicklingError

import pytest
import torch

from resomap.system.files import file_sha256
from resomap.training import states
from resomap.training.states import StateFolder, compute_fingerprint


@pytest.fixture
def saved(tmp_path) -> StateFolder:
    """Two states, numbers 0 and 1."""
    folder = StateFolder(tmp_path, "mine")
    for number in range(2):
        folder.save({"number": number, "weights": torch.arange(1000.0) + number})
    return folder


def newest(folder: Path) -> Path:
    return max(folder.glob("state*"))


def test_newest_state_is_loaded_and_two_kept(tmp_path, saved):
    for number in range(2, 5):
        saved.save({"number": number})
    assert saved.load() == {"number": 4}
    assert len(list(tmp_path.iterdir())) == 2


def test_missing_folder_has_no_state(tmp_path):
    assert StateFolder(tmp_path / "missing", "mine").load() is None


def test_state_keeps_types_and_layout(saved):
    tensor = torch.ones(2, 3, 4, 4).to(memory_format=torch.channels_last)
    saved.save({1: (0.9, None), "values": [True, float("inf")], "tensor": tensor})
    state = saved.load()
    assert (state[1], state["values"]) == ((0.9, None), [True, float("inf")])
    assert state["tensor"].stride() == tensor.stride()


@pytest.mark.parametrize("length", [0, 1, 100, 3000, -1], ids="{} bytes".format)
def test_truncated_state_falls_back_to_previous(tmp_path, saved, length, capsys):
    newest(tmp_path).write_bytes(newest(tmp_path).read_bytes()[:length])
    assert saved.load()["number"] == 0
    assert f"{newest(tmp_path)} is damaged" in capsys.readouterr().err


def test_flipped_bits_leave_no_state(tmp_path, saved):
    for path in tmp_path.iterdir():
        content = bytearray(path.read_bytes())
        content[-8] ^= 1
        path.write_bytes(content)
    assert saved.load() is None


class RunsCode:
    """What a crafted pickle holds: a call that is made when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_code_in_a_state_is_not_run(tmp_path):
    crafted, trace = tmp_path / "crafted", tmp_path / "trace"
    torch.save({"fingerprint": "mine", "state": RunsCode(trace)}, crafted)
    torch.load(crafted, weights_only=False)
    trace.unlink()  # the pickle works where code is allowed
    folder = tmp_path / "states"
    folder.mkdir()
    crafted.rename(folder / f"state00000009.{file_sha256(crafted)}.pt")
    with pytest.raises(UnpicklingError):
        StateFolder(folder, "mine").load()
    assert not trace.exists()


def test_state_of_other_training_is_ignored_and_removed(tmp_path, saved):
    other = StateFolder(tmp_path, "another")
    assert other.load() is None
    other.tidy(foreign=True)
    assert list(tmp_path.iterdir()) == []


def test_leftover_of_killed_writer_is_removed(tmp_path, saved):
    (tmp_path / ".tmpAbC123").write_bytes(b"half")
    saved.tidy(foreign=False)
    assert saved.load()["number"] == 1
    assert len(list(tmp_path.iterdir())) == 2


def test_full_disk_leaves_previous_state(tmp_path, saved, monkeypatch):
    def write_half(path: Path, state: object) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(states, "write_state", write_half)
    with pytest.raises(OSError, match="No space left"):
        saved.save({"number": 2})
    assert saved.load()["number"] == 1
    assert len(list(tmp_path.iterdir())) == 2


def test_full_disk_raises_numbered_os_error():
    with pytest.raises(OSError, match="No space left") as raised:
        states.write_state(Path("/dev/full"), {"weights": torch.zeros(10**6)})
    assert raised.value.errno == errno.ENOSPC


def test_fingerprint_covers_job_data_device_processes(tmp_path):
    manifest = tmp_path / "manifest.json"
    manifest.write_text("one")
    first = compute_fingerprint("job", [manifest], "cpu", 1)
    assert compute_fingerprint("job", [manifest], "cpu", 1) == first
    others = {
        compute_fingerprint("other", [manifest], "cpu", 1),
        compute_fingerprint("job", [manifest], "cuda", 1),
        compute_fingerprint("job", [manifest], "cpu", 2),
    }
    manifest.write_text("two")
    assert len({first, *others, compute_fingerprint("job", [manifest], "cpu", 1)}) == 5
