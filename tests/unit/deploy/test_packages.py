import sys

import pytest

from resomap.deploy.packages import import_package
from resomap.errors import ConfigError


def test_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ConfigError) as error:
        import_package("onnx")
    assert str(error.value) == (
        "config/system.yaml: system.deploy: onnx is not installed: install with "
        "`pip install 'resomap[deploy]'`"
    )


def test_installed_module_is_imported():
    assert import_package("json.decoder").__name__ == "json.decoder"


def test_module_missing_inside_a_package_is_no_missing_package():
    with pytest.raises(ModuleNotFoundError):
        import_package("json.nothing")
