import signal
import subprocess
import sys
from pathlib import Path

import pytest

from resomap.system.interrupts import STOPPED

ROOT = Path(__file__).parents[3]
# Importing a package of entry points must be enough: a job imports torch before it does anything.
PROGRAM = """
import importlib, os, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
importlib.import_module({package!r})
{statement}
"""


@pytest.mark.parametrize("package", ["resomap.entry", "workflow_scripts"])
def test_interrupt_during_imports_is_one_line(package):
    run = run_program(package, "os.kill(os.getpid(), signal.SIGINT); import torch")
    assert run.returncode == -signal.SIGINT
    assert run.stderr == f"{STOPPED}\n"


def test_other_errors_keep_their_traceback():
    run = run_program("resomap.entry", "1 / 0")
    assert run.returncode == 1
    assert run.stderr.endswith("ZeroDivisionError: division by zero\n")


def run_program(package: str, statement: str) -> subprocess.CompletedProcess[str]:
    program = PROGRAM.format(package=package, statement=statement)
    command = [sys.executable, "-c", program]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
