"""What envs/setup.sh prints before it installs anything."""

import subprocess
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "envs" / "setup.sh"
# An interpreter as far as the script looks at one: its version, and an answer to a question.
OLD_PYTHON = """#!/bin/sh
[ "$1" = --version ] && echo "Python 3.9.2" && exit 0
exit 1
"""


def set_up(directory: Path, python: str) -> subprocess.CompletedProcess:
    command = ["sh", str(SCRIPT), ".venv", python]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)


def test_old_or_missing_python_is_refused_in_two_lines(tmp_path):
    old = tmp_path / "python3.9"
    old.write_text(OLD_PYTHON)
    old.chmod(0o755)
    for python, state in ((str(old), "Python 3.9.2"), ("no-such-python", "not found")):
        done = set_up(tmp_path, python)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == (
            f"error: ResoMap needs Python 3.11 to 3.13, and {python} is: {state}\n"
            "name another one: make run PYTHON=python3.12\n"
        )
    assert not (tmp_path / ".venv").exists()
