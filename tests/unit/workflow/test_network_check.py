import json
from types import SimpleNamespace

import pytest

from resomap.config import deploy
from resomap.config.load import build_config
from resomap.errors import ConfigError
from resomap.system.files import read_json, write_json
from resomap.workflow import network_check
from resomap.workflow.network_check import check_networks

SMALL = {"sweep": {"models": ["tiny_cnn"], "resolutions": [24]}}
BAD = {
    **SMALL,
    "models": {"tiny_cnn": {"builder": "tinycnn"}},
}


def test_networks_are_checked_once_for_each_configuration(tmp_path, monkeypatch):
    path, runs, run = tmp_path / "checked.json", [], network_check.subprocess.run
    monkeypatch.setattr(
        network_check.subprocess,
        "run",
        lambda *arguments, **options: runs.append(1) or run(*arguments, **options),
    )
    check_networks(build_config(SMALL), path)
    assert read_json(path)["job"]["resolutions"] == [24]
    check_networks(build_config(SMALL), path)
    assert len(runs) == 1
    path.write_text("{")  # damaged
    check_networks(build_config(SMALL), path)
    assert len(runs) == 2


def test_problem_names_file_and_key_and_leaves_no_mark(tmp_path):
    path = tmp_path / "checked.json"
    with pytest.raises(
        ConfigError, match=r"config/models.yaml: models\.tiny_cnn\.builder: unknown"
    ):
        check_networks(build_config(BAD), path)
    assert not path.exists()


def test_environment_without_torch_leaves_the_check_to_others(tmp_path, monkeypatch):
    monkeypatch.setattr(network_check, "find_spec", lambda _: None)
    check_networks(build_config(BAD), tmp_path / "checked.json")


def test_missing_runtime_is_named_before_the_networks(tmp_path, monkeypatch):
    monkeypatch.setattr(deploy, "find_spec", lambda _: None)
    values = {"runtimes": ["onnxruntime"], "precisions": ["fp32"], "cells": "all"}
    values |= {"max_flips": None, "measurements": []}
    with pytest.raises(ConfigError, match=r"system\.deploy: onnx, .* are not installed"):
        check_networks(
            build_config({**SMALL, "system": {"deploy": values}}), tmp_path / "c.json"
        )


def test_missing_runtime_of_a_profile_is_named_before_the_networks(tmp_path, monkeypatch):
    monkeypatch.setattr(deploy, "find_spec", lambda name: None if name == "openvino" else 1)
    values = {"profiling": {"variants": ["eager", "openvino"]}}
    with pytest.raises(ConfigError) as error:
        check_networks(build_config({**SMALL, "system": values}), tmp_path / "c.json")
    assert str(error.value) == (
        "config/system.yaml: system.profiling.variants: openvino is not installed: install with "
        "`pip install 'resomap[openvino]'`"
    )


def test_lines_of_a_download_stay_out_of_the_message(tmp_path, monkeypatch):
    stderr = "Downloading: https://x/y.pth\nerror: training.start: one\nmodels: two\n"
    failed = SimpleNamespace(returncode=1, stderr=stderr)
    monkeypatch.setattr(network_check.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(ConfigError) as caught:
        check_networks(build_config(SMALL), tmp_path / "checked.json")
    assert str(caught.value) == "training.start: one\nmodels: two"


def test_published_weights_are_checked_each_time(tmp_path, monkeypatch):
    path, runs = tmp_path / "checked.json", list[str]()

    def check(command: list[str], **_: object) -> SimpleNamespace:
        runs.append(command[command.index("--job") + 1])
        write_json(path, {"job": json.loads(runs[-1]), "notes": []})
        return SimpleNamespace(returncode=0, stderr="")

    monkeypatch.setattr(network_check.subprocess, "run", check)
    for start, count in (("random", 1), ("pretrained", 2)):
        runs.clear()
        sweep = {"models": ["resnet18"], "resolutions": [24]}
        config = build_config({"sweep": sweep, "training": {"start": start}})
        for _ in range(2):
            check_networks(config, path)
        assert len(runs) == count
