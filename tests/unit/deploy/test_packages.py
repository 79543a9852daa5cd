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


def test_package_that_is_broken_is_named_with_the_reason(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(tmp_path)
    reasons = {"import missing_inside": "No module named 'missing_inside'"}
    reasons["raise ImportError('libgomp.so.1: no such file')"] = "libgomp.so.1: no such file"
    for number, (line, reason) in enumerate(reasons.items()):
        (tmp_path / f"broken{number}.py").write_text(line)
        with pytest.raises(ConfigError) as error:
            import_package(f"broken{number}")
        expected = f"config/system.yaml: system.deploy: broken{number} cannot be imported: "
        assert str(error.value) == expected + reason
