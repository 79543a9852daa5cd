import sys

import pytest
from typer.testing import CliRunner

from resomap.cli import app
from resomap.system.workflow_files import snakefile


@pytest.mark.parametrize(
    ("words", "passed"),
    [
        ([], ["--snakefile", str(snakefile())]),
        (
            ["train", "-nq", "--config", "sweep={seeds: [1]}"],
            ["--snakefile", str(snakefile()), "train", "-nq", "--config", "sweep={seeds: [1]}"],
        ),
        (
            ["--configfile", "a.yaml", "--configfile", "b.yaml", "train"],
            ["--configfile", "a.yaml", "b.yaml", "--snakefile", str(snakefile()), "train"],
        ),
    ],
)
def test_run_becomes_snakemake_on_the_packaged_workflow(words, passed, monkeypatch):
    replaced = []
    monkeypatch.setattr("os.execv", lambda *arguments: replaced.append(arguments))
    done = CliRunner().invoke(app, ["run", *words])
    assert done.exit_code == 0, done.output
    command = [sys.executable, "-P", "-m", "snakemake", *passed]
    assert replaced == [(sys.executable, command)]


def test_snakefile_is_printed():
    assert CliRunner().invoke(app, ["snakefile"]).stdout == f"{snakefile()}\n"
