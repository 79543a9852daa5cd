"""One explained synthetic sweep, shared by the tests of its figures, which only read it."""

from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
import pytest

from resomap.analysis.tables import Tables, read_tables
from resomap.report.figures.panels import StoredImages
from resomap.report.figures.style import STYLE
from tests.drawings import stored_images
from tests.synthetic import Sweep, aggregate


@pytest.fixture(scope="session")
def explained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("explained")
    sweep = Sweep(
        models=("simple_cnn",),
        resolutions=(24, 48, 96),
        test=80,
        val=40,
        explained=24,
        failed_methods=("saliency",),
    )
    aggregate(folder, sweep)
    return folder


@pytest.fixture
def tables(explained: Path) -> Tables:
    return read_tables(explained / "tables")


@pytest.fixture
def images(explained: Path) -> StoredImages:
    return stored_images(explained)


@pytest.fixture(autouse=True)
def style() -> Iterator[None]:
    with mpl.rc_context(STYLE):
        yield
