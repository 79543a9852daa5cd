import pytest

from resomap.config.data import Reef
from resomap.data.store.prepare import prepare_store
from tests.recipes import reef_data

REEF = Reef(train=24, val=8, test=12, seed=1, frequencies=(10.0, 20.0, 40.0), shortcut=None)


@pytest.fixture(scope="session")
def reef():
    """Settings of a small reef without a shortcut."""
    return REEF


@pytest.fixture
def manifest(tmp_path):
    """The manifest of a store of that reef at 32 pixels."""
    prepare_store(reef_data(REEF, 32, "bilinear"), tmp_path)
    return tmp_path / "manifest.json"
