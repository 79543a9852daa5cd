import pytest

from resomap.system import workflow_files
from resomap.system.workflow_files import container_image, import_folder, workflow_folder


@pytest.fixture
def installed(tmp_path):
    """A package as a wheel installs it, in a folder with other packages."""
    site = tmp_path / "site-packages"
    for name in ("resomap/shipped", "workflow_scripts", "numpy"):
        (site / name).mkdir(parents=True)
    return site / "resomap"


def test_checkout_has_the_workflow_at_its_root():
    root = workflow_files.PACKAGE.parent
    assert workflow_folder() == import_folder(False) == import_folder(True) == root
    assert workflow_files.snakefile() == root / "Snakefile"
    assert container_image() == root / "resomap.sif"


def test_wheel_has_the_workflow_in_its_package(installed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert workflow_folder(installed) == installed / "shipped"
    assert container_image(installed) == tmp_path / "resomap.sif"
    # The jobs run in the Python of the wheel, which finds it by itself.
    assert import_folder(False, installed) is None


def test_other_environments_find_only_the_code_of_a_wheel(installed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = import_folder(True, installed)
    assert import_folder(True, installed) == folder
    linked = {path.name: path.resolve() for path in folder.iterdir()}
    names = ("resomap", "workflow_scripts")
    assert linked == {name: installed.parent / name for name in names}
