from pathlib import Path

import pytest
from typer.testing import CliRunner

from resomap.cli import app


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
        ("sweep: {seeds: [0]}\nsweep: {seeds: [1]}\n", "mine.yaml, line 2: the key 'sweep' is written twice"),
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
