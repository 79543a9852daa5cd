"""What Snakemake leaves in a directory is what `resomap.status.snakemake_files` reads."""

import os
import socket
import subprocess
import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from snakemake.persistence.file import FilePersistence

from resomap.status import snakemake_files
from resomap.system.files import write_text
from resomap.workflow import snakemake_records
from resomap.workflow.snakemake_records import SNAKEMAKE_FOLDER

ROOT = Path(__file__).parents[3]


def test_stale_lock_differs_from_lock_of_another_machine():
    assert snakemake_files.find_snakemake() == "none"
    write_text(SNAKEMAKE_FOLDER / "locks/0.output.lock", "results/x\n")
    for date, host, state in (
        ("2026-01-01", socket.gethostname(), "killed"),
        ("2026-01-02", "another.cluster", "elsewhere"),
    ):
        log = SNAKEMAKE_FOLDER / f"log/{date}T000000.000000.snakemake.log"
        write_text(log, f"SNAKEMAKE\n  Host: {host}\n")
        assert snakemake_files.find_snakemake() == state


@given(
    st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=400).filter(
        lambda text: "/" not in text
    )
)
def test_record_names_equal_snakemakes(output):
    persistence = FilePersistence.__new__(FilePersistence)
    persistence._max_len = snakemake_records.MAX_NAME_BYTES
    path = persistence._record_path("folder", output)
    assert path == str("folder" / snakemake_records.record_name(output))


SNAKEFILE = """
rule all:
    input: "{long}", "results/broken"

rule long:
    output: "results/{{name}}.txt"
    log: "logs/{{name}}.log"
    shell: "(sleep 1; find .snakemake/incomplete -type f; ls .snakemake/locks; {python} -c '{program}') > {{output}} 2> {{log}}"

rule broken:
    output: "results/broken"
    log: "logs/broken.log"
    shell: "echo error: it broke 2> {{log}} >&2; exit 3"
"""
PROGRAM = "from resomap.status.snakemake_files import find_snakemake; print(find_snakemake())"


def test_snakemake_leaves_the_files_read_here(directory):
    long = f"results/{'/'.join(map(str, range(100)))}.txt"
    text = SNAKEFILE.format(long=long, python=sys.executable, program=PROGRAM)
    write_text(directory / "Snakefile", text)
    run = subprocess.run(
        [str(Path(sys.executable).parent / "snakemake"), "--cores", "1", "--keep-going"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1, run.stderr
    assert set(Path(long).read_text().split()) == {
        f".snakemake/incomplete/{snakemake_records.record_name(long)}",
        "0.input.lock",
        "0.output.lock",
        "here",
    }
    for output in (long, "results/broken"):
        assert snakemake_files.submission_time(output) == 0.0
    record = snakemake_records.read_record(long)
    assert record["rule"] == "long"
    assert 1.0 < record["endtime"] - record["starttime"] < 60.0
    assert not Path("results/broken").exists()
    assert Path("logs/broken.log").read_text() == "error: it broke\n"
    assert snakemake_files._last_host(SNAKEMAKE_FOLDER) == socket.gethostname()
