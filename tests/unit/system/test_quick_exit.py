"""Jobs end without taking their modules apart, and otherwise as Python ends."""

import subprocess
import sys

import pytest

from resomap.system.workflow_files import PACKAGE

# At its end Python calls `__del__` of what modules hold, and a job that ends quickly does not.
JOB = """
import atexit, os, sys
from pathlib import Path
from resomap.entry.arguments import run_entry_point
from resomap.workflow.jobs import Job

class Held:
    def __del__(self, write=os.write):
        write(1, b"taken apart ")

held = Held()
atexit.register(print, "registered", end=" ")

def main(action: str) -> None:
    print("ran", end=" ")
    exec(action)

run_entry_point(main)
"""


@pytest.mark.parametrize(
    ("action", "code", "output", "error"),
    [
        ("None", 0, "ran registered ", ""),
        ("sys.exit()", 0, "ran registered ", ""),
        ("sys.exit(3)", 3, "ran registered ", ""),
        ("sys.exit('error: it is missing')", 1, "ran registered ", "error: it is missing"),
        ("1 / 0", 1, "taken apart ran registered ", "ZeroDivisionError: division by zero"),
    ],
)
def test_job_ends_quickly_unless_it_breaks(tmp_path, action, code, output, error):
    (tmp_path / "fast").mkdir()
    (tmp_path / "fast/__init__.py").write_text("from resomap.system import quick_exit\n")
    (tmp_path / "fast/job.py").write_text(JOB)
    ended = subprocess.run(
        [sys.executable, "-m", "fast.job", "--action", action],
        cwd=tmp_path,
        env={"PYTHONPATH": str(PACKAGE.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr.strip().splitlines()[-1:]) == (
        code,
        [error] * bool(error),
    )
    assert sorted(ended.stdout.split()) == sorted(output.split())
