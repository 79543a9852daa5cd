"""`resomap choose`: its answer, its flags, its exit codes, and what it does not load."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.main import get_command
from typer.testing import CliRunner

from resomap.cli import app
from resomap.config.report import Report
from resomap.system.files import read_arrays, read_json, write_arrays, write_json
from tests.recorded_sweeps import (
    RecordedDirectory,
    small_sweep,
    write_receipt_of_other_recipe,
)
from tests.synthetic import aggregate

SWEEP = small_sweep(models=("tiny_cnn", "simple_cnn"), variants=("eager", "training_step"))


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return RecordedDirectory(tmp_path_factory.mktemp("sweep"), SWEEP).write()


def run(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, ["choose", *map(str, arguments)])


def record(*arguments: str | Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(run(*arguments, "--json").output)
    return values


def test_choice_equals_that_of_the_tables(directory: Path, tmp_path: Path) -> None:
    aggregate(tmp_path, SWEEP)
    assert record(directory) == read_json(tmp_path / "tables" / "choice.json")


def test_answer_holds_every_part(directory: Path) -> None:
    result = run(directory)
    parts = [line.split("  ")[0] for line in result.output.splitlines() if line[0] != " "]
    assert result.exit_code == 0
    assert parts[0].startswith("Choose simple_cnn at 48 px: ")
    assert parts[1:] == ["How sure", "Gives up", "Runner-up", "Why not", "Open", "Otherwise"]


def test_flags_replace_the_budgets_of_the_configuration(directory: Path) -> None:
    limited = record(directory, "--max-latency-ms", "1")
    assert limited["choice"]["model"] == "tiny_cnn"
    assert limited["rules"]["max_latency_ms"] == 1
    assert [one["why"] for one in limited["neighbours"]] == ["worse", "excluded"]
    assert "p90 latency" in limited["neighbours"][-1]["reason"]


def test_filters_narrow_what_may_be_chosen(directory: Path) -> None:
    narrowed = record(directory, "--models", "tiny_cnn", "--modes", "raw")
    assert narrowed["choice"]["model"] == "tiny_cnn"
    assert narrowed["selection"] == {
        "models": ["tiny_cnn"],
        "variants": [],
        "modes": ["raw"],
    }
    reasons = {one["model"]: one["reason"] for one in narrowed["excluded"]}
    assert reasons == {"simple_cnn": "its model is not selected"}


def test_budget_of_the_configuration_is_taken_away_by_none(tmp_path: Path) -> None:
    changes = {"report": {"max_latency_ms": 0.001}}
    directory = RecordedDirectory(tmp_path, small_sweep(), changes).write()
    assert record(directory)["status"] == "none"
    free = record(directory, "--max-latency-ms", "none")
    assert (free["rules"]["max_latency_ms"], free["excluded"]) == (None, [])


@pytest.mark.parametrize(
    ("flags", "code", "status"),
    [
        ((), 0, "chosen"),
        (("--max-latency-ms", "1"), 0, "best"),
        (("--margin", "0.001"), 3, "undecided"),
        (("--max-latency-ms", "0.001"), 4, "none"),
    ],
)
def test_exit_code_tells_the_status(
    directory: Path, flags: tuple[str, ...], code: int, status: str
) -> None:
    assert run(directory, *flags).exit_code == code
    assert record(directory, *flags)["status"] == status


def test_every_key_of_the_report_is_a_flag() -> None:
    command = get_command(app).commands["choose"]  # type: ignore[attr-defined]
    flags = {parameter.name for parameter in command.params}
    others = {"directory", "device", "configfile", "as_json", "models", "variants", "modes"}
    assert flags - others == set(Report.model_fields)


def test_partial_sweep_is_read_and_named(tmp_path: Path) -> None:
    waiting = tuple(("tiny_cnn", px, 1) for px in (24, 48))
    directory = RecordedDirectory(tmp_path, small_sweep(waiting=waiting)).write()
    result = run(directory)
    assert result.exit_code in (0, 3)
    assert "2 of 4 runs have finished; the other 2 may change the answer." in result.output


def test_run_of_another_device_and_version_is_marked_and_accepted_by_name(
    tmp_path: Path,
) -> None:
    directory = RecordedDirectory(tmp_path, SWEEP).write()
    path = directory / "results/runs/custom/simple_cnn/r24/seed1/metrics.json"
    metrics = read_json(path)
    metrics["environment"] |= {"device": "NVIDIA H100", "torch": "2.12.0"}
    write_json(path, metrics)
    found = record(directory)
    assert (found["status"], found["certified"]) == ("undecided", None)
    assert [one["name"] for one in found["confounds"]] == ["torch", "device"]
    text = run(directory).output
    assert text.startswith(
        "Confounded, since compared runs differ in version of torch and device."
    )
    assert "simple_cnn at 24 px (seed 1) has NVIDIA H100; the other" in text
    assert record(directory, "--accept-confounds", "device")["certified"] is None
    for flags in (("device", "torch"), ("device,torch",)):
        accepted = [each for flag in flags for each in ("--accept-confounds", flag)]
        assert record(directory, *accepted)["status"] == "chosen"


def test_sweep_without_a_finished_run_has_no_choice(tmp_path: Path) -> None:
    waiting = tuple(("tiny_cnn", px, seed) for px in (24, 48) for seed in (0, 1))
    result = run(RecordedDirectory(tmp_path, small_sweep(waiting=waiting)).write())
    assert result.exit_code == 4
    assert result.output.startswith("No choice: no run of this sweep has a result.")
    assert "0 of 4 runs have finished; the other 4 may change the answer." in result.output


def test_failed_runs_are_not_awaited(tmp_path: Path) -> None:
    failed = {("tiny_cnn", px, seed): "diverged" for px in (24, 48) for seed in (0, 1)}
    result = run(RecordedDirectory(tmp_path, small_sweep(statuses=failed)).write())
    assert result.exit_code == 4
    assert "4 of 4 runs diverged or did not fit in memory." in result.output
    assert "may change" not in result.output


def test_runs_of_another_configuration_are_left_out(tmp_path: Path) -> None:
    directory = RecordedDirectory(tmp_path, small_sweep()).write()
    name = "train/custom/tiny_cnn/r24/seed0.json"
    write_receipt_of_other_recipe(directory / "results", name)
    assert "3 of 4 runs have finished" in run(directory).output


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--min-accuracy", "1.5"), "--min-accuracy: Input should be less than or equal to 1"),
        (("--attitude", "bold"), "--attitude: Input should be 'certified' or 'frugal', not"),
        (("--min-recall", "torpedo"), "--min-recall: expected CLASS=SHARE"),
        (("--min-recall", "torpdo=0.9"), "did you mean torpedo?"),
        (
            ("--models", "tiny_cn"),
            "--models: no candidate has 'tiny_cn'; did you mean tiny_cnn?",
        ),
        (("--variants", "mian"), "--variants: no candidate has 'mian'; did you mean main?"),
        (("--modes", "int8"), "--modes: no candidate has 'int8'; known are raw"),
        (
            ("--accept-confounds", "devise"),
            "--accept-confounds: unknown confound 'devise'; did you mean device?",
        ),
    ],
)
def test_wrong_flag_is_named_in_one_line(
    directory: Path, flags: tuple[str, ...], message: str
) -> None:
    result = run(directory, *flags)
    assert result.exit_code == 1
    assert message in result.output
    assert result.output.count("\n") == 1


def test_every_wrong_flag_is_named(directory: Path) -> None:
    result = run(directory, "--min-accuracy", "2", "--max-macs", "-1")
    assert result.output.count("\n") == 2
    assert "--max-macs: " in result.output
    assert "--min-accuracy: " in result.output


def test_directory_without_a_sweep_is_refused(tmp_path: Path) -> None:
    result = run(tmp_path)
    assert result.exit_code == 1
    assert "run_config.yaml: not found: no sweep ran in this directory" in result.output


def test_sweep_without_images_is_refused(directory: Path, tmp_path: Path) -> None:
    config = tmp_path / "results" / "run_config.yaml"
    config.parent.mkdir()
    config.write_bytes((directory / "results" / "run_config.yaml").read_bytes())
    result = run(tmp_path)
    assert result.exit_code == 1
    assert (
        "manifest.json: not found: the sweep has not prepared its images yet" in result.output
    )


@pytest.mark.parametrize("kept", [0, 100])
def test_predictions_of_other_images_are_refused(tmp_path: Path, kept: int) -> None:
    directory = RecordedDirectory(tmp_path, small_sweep()).write()
    path = directory / "results/runs/custom/tiny_cnn/r24/seed0/predictions.npz"
    arrays = {name: values[:kept] for name, values in read_arrays(path).items()}
    write_arrays(path, **arrays if kept else {"label": np.arange(400) % 8})
    result = run(directory)
    assert result.exit_code == 1
    assert (
        f"{path}: expected label and logits_r24 of 400 images: delete it and run again"
    ) in result.output.replace("\n", " ")


def test_edited_record_of_the_configuration_is_named_once(tmp_path: Path) -> None:
    directory = RecordedDirectory(tmp_path, small_sweep()).write()
    path = directory / "results" / "run_config.yaml"
    path.write_text("report: [\n - : x")
    output = run(directory).output
    assert output.startswith(f"error: {path}, line ")
    assert "another version" not in output


def test_choosing_loads_neither_torch_nor_matplotlib(directory: Path) -> None:
    program = (
        "import sys\n"
        "from resomap.cli import app\n"
        f"app(['choose', {str(directory)!r}], standalone_mode=False)\n"
        "assert not {'torch', 'matplotlib', 'pandas'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert "Choose" in done.stdout, done.stderr
    assert done.returncode == 0, done.stderr
