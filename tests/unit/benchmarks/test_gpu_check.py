"""The check of a GPU, rehearsed from start to end on this CPU with tiny sizes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "gpu_check.sh"
FILES = [
    *("1_card.md", "2_right.txt", "3_settings.md", "4_peers.md"),
    *("5_sheet.md", "6_energy.md", "7_maps.md", "8_idle.txt"),
]
LIMIT_SECONDS = 560


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("rehearsal")
    environment = {**os.environ, "OUT": str(folder), "PYTHON": sys.executable}
    command = ["bash", str(SCRIPT), "rehearse"]
    subprocess.run(command, env=environment, check=True, timeout=3600, capture_output=True)
    return folder


def test_every_part_completes_and_writes_its_file(rehearsal):
    assert sorted(path.name for path in rehearsal.iterdir()) == FILES
    for path in rehearsal.iterdir():
        text = path.read_text()
        assert re.search(r"^part complete after \d+ s$", text, re.MULTILINE), text[-2000:]
        assert "Traceback" not in text, text[-2000:]
        # Of a row. CUDA, too, says of its start on a CPU that it failed.
        assert "failed: " not in text, text[-2000:]


def test_a_cpu_claims_nothing_of_a_gpu(rehearsal):
    assert (
        "no GPU: a rehearsal on a CPU, whose numbers mean nothing"
        in (rehearsal / "1_card.md").read_text()
    )
    settings = (rehearsal / "3_settings.md").read_text()
    for name in ("tf32", "cuda_graph", "compiled"):
        assert f"\n| tiny_cnn | 16 | {name} | not measured |" in settings
    assert "| eager-tf32 |  | unsupported |" in (rehearsal / "5_sheet.md").read_text()
    assert "| tiny_cnn | 16 | not measured | 0 |" in (rehearsal / "8_idle.txt").read_text()


def test_limits_of_all_parts_fit_into_one_call():
    _, on_a_gpu = SCRIPT.read_text().split("\nelse\n")
    limits = re.findall(r"^  part (\d+) (\S+) ", on_a_gpu, re.MULTILINE)
    assert [name for _, name in limits] == FILES
    kill_after = 2
    assert sum(int(limit) + kill_after for limit, _ in limits) <= LIMIT_SECONDS


def test_part_that_fails_is_named_and_ends_no_other(tmp_path):
    python = tmp_path / "python"
    python.write_text(
        '#!/bin/sh\n[ "$2" = pytest ] && exit 3\n[ "$2" = benchmarks.gpu.maps ] && exec sleep 9\nexit 0\n'
    )
    python.chmod(0o755)
    # One second for each part.
    script = tmp_path / "benchmarks" / "gpu_check.sh"
    script.parent.mkdir()
    script.write_text(
        re.sub(r"^  part \d+ ", "  part 1 ", SCRIPT.read_text(), flags=re.MULTILINE)
    )
    environment = {**os.environ, "OUT": str(tmp_path / "out"), "PYTHON": str(python)}
    subprocess.run(["bash", str(script)], env=environment, check=True, capture_output=True)
    last = {path.name: path.read_text() for path in (tmp_path / "out").iterdir()}
    assert sorted(last) == FILES
    assert "failed with exit status 3" in last["2_right.txt"]
    assert "cut off after 1 s" in last["7_maps.md"]
    assert "part complete" in last["8_idle.txt"]
