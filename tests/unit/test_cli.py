from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from resomap.cli import app
from tests.pictures import write_classes


@pytest.fixture
def check(tmp_path: Path):
    def run(text: str):
        mine = tmp_path / "mine.yaml"
        mine.write_text(text, encoding="utf-8")
        return CliRunner().invoke(app, ["check", "--configfile", str(mine)])

    return run


def test_a_right_configuration_passes_and_says_what_it_holds(check):
    result = check("sweep: {seeds: [0, 1, 2]}\n")
    assert result.exit_code == 0
    assert "2 models x 3 resolutions x 3 seeds = 18 trainings" in result.output
    assert "device:" in result.output


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sweep:\n  seeds: [0\n", "mine.yaml, line 3"),
        (
            "sweep: {seeds: [0]}\nsweep: {seeds: [1]}\n",
            "mine.yaml, line 2: the key 'sweep' is written twice",
        ),
        ("sweep: {seed: [0]}\n", "did you mean seeds?"),
        ("- sweep\n", "expected sections"),
    ],
)
def test_a_wrong_configuration_fails_with_its_place_in_three_lines(check, text, said):
    result = check(text)
    assert result.exit_code == 1
    assert said in result.output
    assert len(result.output.strip().splitlines()) <= 3


def test_a_file_that_is_not_there_is_named():
    result = CliRunner().invoke(app, ["check", "--configfile", "nowhere.yaml"])
    assert result.exit_code == 1
    assert "nowhere.yaml" in result.output


@pytest.fixture
def inspect(tmp_path, monkeypatch, check):
    """Check a sweep over tmp_path/pictures, from an empty working directory."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return lambda: check(
        f"data: {{dataset: folder, path: {tmp_path / 'pictures'}}}\ntraining: {{batch_size: 8}}\n"
    )


def test_a_check_looks_at_every_picture_and_says_what_the_sweep_needs(tmp_path, inspect):
    write_classes(tmp_path / "pictures", {"cat": 30, "dog": 15})
    result = inspect()
    assert result.exit_code == 0, result.output
    assert (
        "the sweep needs: 45 pictures, 49 jobs (12 of them trainings), 0.00 GiB of disk"
        in result.output
    )
    assert "45 pictures" in result.output
    page = tmp_path / "work" / "results" / "check.html"
    assert f"The page with all of it: {page}" in result.output
    assert 'id="contact_sheet"' in page.read_text(encoding="utf-8")
    assert [path.name for path in (tmp_path / "work" / "results").iterdir()] == ["check.html"]


def test_a_check_names_every_bad_picture_and_exits_with_1(tmp_path, inspect):
    write_classes(tmp_path / "pictures", {"cat": 20, "dog": 20})
    (tmp_path / "pictures" / "cat" / "a.png").write_bytes(b"")
    (tmp_path / "pictures" / "dog" / "b.png").write_bytes(b"no picture")
    result = inspect()
    assert result.exit_code == 1
    assert (
        "error: 2 of the files are no pictures that can be used:\n  cat/a.png: 0 bytes\n  dog/b.png: not an image"
        in result.output
    )


def test_a_check_of_a_folder_that_is_not_there_fails_in_one_line(inspect):
    result = inspect()
    assert result.exit_code == 1
    assert result.output.count("\n") == 1
    assert "there is no folder" in result.output


def test_a_check_says_when_the_disk_is_too_small(tmp_path, inspect, monkeypatch):
    write_classes(tmp_path / "pictures", {"cat": 20, "dog": 20})
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=2**10))
    result = inspect()
    assert result.exit_code == 1
    assert "error: only 0.00 GiB are free here: make room" in result.output


def test_a_check_of_a_set_that_is_not_there_says_how_to_get_it(tmp_path, check):
    result = check(f"data: {{dataset: CIFAR10, root: {tmp_path}}}\n")
    assert result.exit_code == 1
    assert "download: true" in result.output
