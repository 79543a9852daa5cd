import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = """
import signal, subprocess, sys
from tests.interrupts import obey_interrupts

obey_interrupts()
child = subprocess.Popen([sys.executable, "-c", "print(flush=True); import time; time.sleep(60)"],
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
child.stdout.readline()
child.send_signal(signal.SIGINT)
print(child.wait(30))
"""


def test_background_process_starts_processes_that_can_be_interrupted():
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    assert int(run.stdout) == -signal.SIGINT
