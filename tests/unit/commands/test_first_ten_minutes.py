"""The outputs on docs/first-ten-minutes.md are those of the commands, durations aside."""

import pytest
import yaml
from typer.testing import CliRunner

from resomap.cli import app
from resomap.report.text.answer import INDENT
from resomap.suggest import suggestion
from tests.planted_steps import measure_nothing
from tests.ten_minutes_page import LABELS, blocks, draw_images, masked, shown_output


@pytest.fixture
def tiles(tmp_path, monkeypatch):
    """The images of the page in an empty directory, on a machine without weights."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.setattr(suggestion, "measure", measure_nothing)
    draw_images()
    return tmp_path


def test_page_shows_what_init_prints_and_writes(tiles):
    result = CliRunner().invoke(app, ["init", "tiles"])
    assert result.exit_code == 0, result.output
    assert masked(result.stdout.splitlines()) == masked(shown_output("resomap init tiles"))
    (file,) = blocks("yaml")
    written = (tiles / "resomap.yaml").read_text(encoding="utf-8")
    assert masked(written.splitlines()) == masked(file.splitlines())
    assert yaml.safe_load(file) == yaml.safe_load(written)


def test_page_shows_the_lines_of_a_try():
    lines = shown_output("resomap try tiles")
    assert lines[:5] == shown_output("resomap init tiles")[:5]
    report = next(place for place, line in enumerate(lines) if line.startswith("Report "))
    # The headline of the answer, below the path of the report, has no label.
    labels = [line[:INDENT].strip() for line in lines[report + 2 :]]
    assert set(labels) <= LABELS
    assert labels[-1] == "Time"
