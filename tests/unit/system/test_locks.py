import os
import subprocess
import sys
from pathlib import Path

import pytest

from resomap.errors import DiskError
from resomap.system.locks import hold_lock, open_lock, read_lock_owner, try_lock

HOLD_LOCK = """
import sys, time
from pathlib import Path
from resomap.system.locks import try_lock
lock = try_lock(Path(sys.argv[1]), 'this run')
print('held', flush=True)
time.sleep(60)
"""
WAIT_FOR_LOCK = """
import sys
from pathlib import Path
from resomap.system.locks import hold_lock
with hold_lock(Path(sys.argv[1]), 'this run'): pass
"""
ROOT = Path(__file__).parents[3]


def start_holder(path: Path) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD_LOCK, str(path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    return process


def test_lock_has_one_owner_until_it_dies(tmp_path):
    path = tmp_path / "deep" / "lock"
    assert read_lock_owner(path) is None
    with start_holder(path) as process:
        assert try_lock(path) is None
        owner = read_lock_owner(path)
        assert (owner["pid"], owner["purpose"]) == (process.pid, "this run")
        process.kill()
        process.wait()
        assert read_lock_owner(path) is None
        lock = try_lock(path, "mine")
        assert read_lock_owner(path)["pid"] == os.getpid()
        lock.close()
    assert read_lock_owner(path) is None


def test_waiting_process_names_owner_and_gets_lock(tmp_path):
    path = tmp_path / "lock"
    with start_holder(path) as process:
        waiting = subprocess.Popen(
            [sys.executable, "-c", WAIT_FOR_LOCK, str(path)],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert f"waiting for process {process.pid} on " in waiting.stderr.readline()
        assert waiting.poll() is None
        process.kill()
        assert waiting.wait(30) == 0
        waiting.stderr.close()


def test_free_lock_is_taken_without_message(tmp_path, capfd):
    with hold_lock(tmp_path / "lock", "this run"):
        assert read_lock_owner(tmp_path / "lock")["purpose"] == "this run"
    assert capfd.readouterr().err == ""


def test_lock_is_not_opened_through_a_link(tmp_path):
    target = tmp_path / "mine"
    target.write_text("content")
    (tmp_path / "lock").symlink_to(target)
    with pytest.raises(DiskError, match="lock is a link"):
        open_lock(tmp_path / "lock")
    with pytest.raises(DiskError, match="lock is a link"):
        try_lock(tmp_path / "lock")
    assert target.read_text() == "content"
