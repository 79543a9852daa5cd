import os
import subprocess
import sys
from pathlib import Path

from resomap.system.locks import hold_lock, read_lock_owner, try_lock

HOLD = "import sys, time; from pathlib import Path; from resomap.system.locks import try_lock\nkept = try_lock(Path(sys.argv[1]), 'this run')\nprint('held', flush=True)\ntime.sleep(60)"
ROOT = Path(__file__).parents[2]


def another_process(path: Path) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    return process


def test_a_lock_is_held_by_one_process_which_can_be_named_until_it_dies(tmp_path):
    path = tmp_path / "deep" / "lock"
    assert read_lock_owner(path) is None
    with another_process(path) as process:
        assert try_lock(path) is None
        told = read_lock_owner(path)
        assert (told["pid"], told["about"]) == (process.pid, "this run")
        process.kill()
        process.wait()
        assert read_lock_owner(path) is None
        mine = try_lock(path, "mine")
        assert read_lock_owner(path)["pid"] == os.getpid()
        mine.close()
    assert read_lock_owner(path) is None


def test_who_must_wait_says_for_whom_and_gets_the_lock_when_its_holder_dies(tmp_path, capfd):
    path = tmp_path / "lock"
    with another_process(path) as process:
        waiting = subprocess.Popen(
            [sys.executable, "-c", WAIT, str(path)], cwd=ROOT, stderr=subprocess.PIPE, text=True
        )
        assert f"waiting for process {process.pid} on " in waiting.stderr.readline()
        assert waiting.poll() is None
        process.kill()
        assert waiting.wait(30) == 0
        waiting.stderr.close()


WAIT = "import sys; from pathlib import Path; from resomap.system.locks import hold_lock\nwith hold_lock(Path(sys.argv[1]), 'this run'): pass"


def test_nobody_waits_for_a_free_lock(tmp_path, capfd):
    with hold_lock(tmp_path / "lock", "this run"):
        assert read_lock_owner(tmp_path / "lock")["about"] == "this run"
    assert capfd.readouterr().err == ""
