"""`resomap compare`: what it prints and what it refuses."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from resomap.cli import app
from tests.recorded_sweeps import RecordedDirectory, small_sweep


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return RecordedDirectory(tmp_path_factory.mktemp("first"), small_sweep()).write()


def run(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, ["compare", *map(str, arguments)])


def test_sweeps_of_the_same_images_are_compared(first: Path, tmp_path: Path) -> None:
    changes = {"data": {"aspect": "center_crop"}}
    other = small_sweep(resolutions=(48,), aspect="center_crop")
    second = RecordedDirectory(tmp_path, other, changes).write()
    result = run(first, second)
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0] == f"{second} compared with {first}, on 400 test images"
    assert "  data.aspect: squash -> center_crop" in lines
    assert "0 of 1 cell shown to differ, all cells together" in lines
    assert lines[-1] == "in one sweep only: tiny_cnn at 24 px"
    record = json.loads(run(first, second, "--json").output)
    assert record["cells"][0]["resolution"] == 48
    assert record["cells"][0]["difference"]["mean"] == 0


def test_other_images_are_refused_in_one_line(first: Path, tmp_path: Path) -> None:
    second = RecordedDirectory(tmp_path, small_sweep(test=200)).write()
    result = run(first, second)
    assert result.exit_code == 1
    assert result.output.startswith(f"error: {second}/results/data/pictures.csv: not the test")
    assert result.output.count("\n") == 1


def test_other_content_of_one_file_is_named(first: Path, tmp_path: Path) -> None:
    table = RecordedDirectory(tmp_path, small_sweep()).write() / "results/data/pictures.csv"
    lines = table.read_text().splitlines()
    place = next(number for number, line in enumerate(lines) if "test/5.jpg" in line)
    lines[place] = lines[place].rpartition(",")[0] + ",ffffffffffffffff"
    table.write_text("\n".join(lines) + "\n")
    assert "the first is test/5.jpg with other content" in run(first, tmp_path).output


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "pictures.csv: not found"), ("a,b\n1,2\n", "pictures.csv is damaged")],
)
def test_unreadable_list_of_images_is_named(
    first: Path, tmp_path: Path, content: str | None, message: str
) -> None:
    table = RecordedDirectory(tmp_path, small_sweep()).write() / "results/data/pictures.csv"
    table.unlink()
    if content:
        table.write_text(content)
    result = run(first, tmp_path)
    assert result.exit_code == 1
    assert message in result.output
    assert result.output.count("\n") == 1


def test_directory_without_a_sweep_is_named(first: Path, tmp_path: Path) -> None:
    result = run(first, tmp_path)
    assert result.exit_code == 1
    assert f"{tmp_path}/results/run_config.yaml: not found" in result.output
