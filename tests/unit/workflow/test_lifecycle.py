import gc
import os
import shutil
import sys
from collections import OrderedDict
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from resomap.config.load import build_config
from resomap.errors import ConfigError
from resomap.system.files import write_text
from resomap.system.workflow_files import PACKAGE
from resomap.workflow import lifecycle


def test_jobs_find_this_python_and_package(monkeypatch):
    root = str(PACKAGE.parent)
    monkeypatch.setenv("PATH", "/bin")
    monkeypatch.setenv("PYTHONPATH", "/theirs")
    for _ in range(2):  # as of two modules of one workflow
        lifecycle.use_this_interpreter()
    assert os.environ["PATH"].split(os.pathsep) == [str(Path(sys.executable).parent), "/bin"]
    assert os.environ["PYTHONPATH"].split(os.pathsep) == [root, "/theirs"]
    monkeypatch.delenv("PYTHONPATH")
    lifecycle.use_this_interpreter()
    assert os.environ["PYTHONPATH"] == root


def test_same_code_in_the_working_directory_is_no_other(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", os.environ["PATH"])
    monkeypatch.setenv("PYTHONPATH", "")
    monkeypatch.chdir(tmp_path)
    shutil.copytree(PACKAGE, tmp_path / "resomap", ignore=shutil.ignore_patterns("*.pyc"))
    lifecycle.use_this_interpreter()
    (tmp_path / "resomap/text.py").write_text("")
    with pytest.raises(ConfigError, match="holds a ResoMap of its own"):
        lifecycle.use_this_interpreter()


def test_other_code_in_the_working_directory_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_text(tmp_path / "resomap" / "__init__.py", "")
    with pytest.raises(ConfigError, match="holds a ResoMap of its own"):
        lifecycle.use_this_interpreter()


@pytest.mark.parametrize(
    ("dryrun", "jobs", "is_current", "shown"),
    [
        (False, 0, True, True),
        (False, 3, True, False),  # `onsuccess` has printed it
        (True, 0, True, False),
        (False, 0, False, False),
    ],
)
def test_report_is_named_where_nothing_is_to_be_done(
    dryrun, jobs, is_current, shown, monkeypatch, capsys
):
    at_exit = []
    monkeypatch.setattr("atexit.register", at_exit.append)
    monkeypatch.setattr(lifecycle, "end_message", lambda results: f"Report: {results}")
    workflow = SimpleNamespace(
        is_main_process=True, scheduler=object(), dryrun=dryrun, dag=[None] * jobs
    )
    lifecycle.show_report_of_idle_run(workflow, Path("here"), lambda: is_current)
    at_exit[0]()
    assert capsys.readouterr().out == ("Report: here\n" if shown else "")


def test_garbage_is_collected_rarely(monkeypatch):
    thresholds = []
    monkeypatch.setattr("gc.set_threshold", thresholds.append)
    lifecycle.collect_garbage_rarely()
    assert thresholds[0] > 10 * gc.get_threshold()[0]


def test_start_message_has_grid_and_estimate(config):
    message = lifecycle.start_message(config)
    assert message == "ResoMap: 2 models x 2 resolutions x 2 seeds = 8 trainings"
    planned = f"{message}; by its plan it takes about"
    assert lifecycle.start_message(config, 0.2, 1) == f"{planned} 1 minute on 1 core"
    assert lifecycle.start_message(config, 12.3, 2) == f"{planned} 12 minutes on 2 cores"


def test_end_message_has_report_and_headline(tmp_path):
    report, headline = (tmp_path / "report" / name for name in ("index.html", "headline.txt"))
    assert lifecycle.end_message(tmp_path) == ""
    write_text(report, "<html>")
    write_text(headline, "Take 48 px.\n")
    assert lifecycle.end_message(tmp_path) == f"Report: {report}\nTake 48 px."


def test_run_config_is_plain_yaml(tmp_path, defaults):
    path = tmp_path / "results" / "run_config.yaml"
    from_json = OrderedDict(defaults, sweep=OrderedDict(defaults["sweep"]))
    lifecycle.write_run_config(from_json, path)
    assert yaml.safe_load(path.read_text()) == defaults
    assert build_config(yaml.safe_load(path.read_text())) == build_config(defaults)


def test_leftovers_of_killed_writers_are_swept(tmp_path):
    hexadecimal = "0123456789abcdef" * 2
    swept = [
        f"runs/custom/tiny_cnn/r24/seed0/.metrics.{hexadecimal}.json",
        f"data/.native.{hexadecimal}.npy",
        "checkpoints/custom/tiny_cnn/r24/seed0/.tmpA1b2",
    ]
    kept = [
        "data/.lock",
        "data/.hidden.json",
        f"partial/tables/.runs.{hexadecimal}.csv",
        f".state/train/.state.{hexadecimal}.pt",
    ]
    for name in (*swept, *kept):
        write_text(tmp_path / name, "")
    lifecycle.sweep_leftovers(tmp_path)
    assert not any((tmp_path / name).exists() for name in swept)
    assert all((tmp_path / name).exists() for name in kept)
