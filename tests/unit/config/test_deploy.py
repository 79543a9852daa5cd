import pytest

from resomap.config import deploy as deploy_section
from resomap.config.deploy import check_deploy_packages
from resomap.config.load import build_config, merge
from resomap.errors import ConfigError

DEPLOY = {
    "runtimes": ["onnxruntime"],
    "precisions": ["fp32", "int8"],
    "cells": "chosen",
    "max_flips": 0.01,
    "measurements": ["pi5.json"],
}


def build(defaults, **changes):
    values = {"system": {"deploy": {**DEPLOY, **changes}}}
    return build_config(merge(defaults, values)).system.deploy


def test_nothing_is_exported_by_default(config):
    assert config.system.deploy is None
    check_deploy_packages(config.system.deploy)


def test_section_holds_what_it_is_given(defaults):
    deploy = build(defaults)
    assert deploy.precisions == ("fp32", "int8")
    assert deploy.measurements == ("pi5.json",)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"runtimes": []}, "runtimes"),
        ({"runtimes": ["tensorrt"]}, "runtimes"),
        ({"precisions": ["fp16"]}, "precisions"),
        ({"precisions": ["int8", "int8"]}, "precisions"),
        ({"cells": "best"}, "cells"),
        ({"max_flips": 1.5}, "max_flips"),
        ({"measurements": [""]}, "measurements"),
    ],
)
def test_wrong_value_is_refused_with_its_key(defaults, change, key):
    with pytest.raises(ConfigError, match=rf"config/system.yaml: system\.deploy\.{key}"):
        build(defaults, **change)


def test_missing_packages_are_named_with_their_extras(defaults, monkeypatch):
    monkeypatch.setattr(
        deploy_section, "find_spec", lambda name: None if name in ("onnx", "openvino") else 1
    )
    with pytest.raises(ConfigError) as error:
        check_deploy_packages(build(defaults, runtimes=["onnxruntime", "openvino"]))
    assert str(error.value) == (
        "config/system.yaml: system.deploy: onnx, openvino are not installed: install with "
        "`pip install 'resomap[deploy,openvino]'`"
    )


def test_packages_of_runtimes_that_are_not_asked_for_are_not_needed(defaults, monkeypatch):
    monkeypatch.setattr(
        deploy_section, "find_spec", lambda name: None if name == "openvino" else 1
    )
    check_deploy_packages(build(defaults))


def test_unknown_key_is_refused(defaults):
    with pytest.raises(ConfigError, match=r"unknown key system\.deploy\.device"):
        build(defaults, device="pi5")


def test_missing_packages_of_each_key_have_a_line_each(defaults, monkeypatch):
    monkeypatch.setattr(
        deploy_section,
        "find_spec",
        lambda name: None if name in ("onnxruntime", "openvino") else 1,
    )
    with pytest.raises(ConfigError) as error:
        check_deploy_packages(build(defaults), ("eager", "openvino-int8"))
    assert str(error.value).splitlines() == [
        "config/system.yaml: system.deploy: onnxruntime is not installed: install with "
        "`pip install 'resomap[deploy]'`",
        "config/system.yaml: system.profiling.variants: onnxruntime, openvino are not installed: "
        "install with `pip install 'resomap[deploy,openvino]'`",
    ]


def test_variants_of_torch_need_no_package(monkeypatch):
    monkeypatch.setattr(deploy_section, "find_spec", lambda _: None)
    check_deploy_packages(None, ("eager", "compiled-bf16", "training_step"))
