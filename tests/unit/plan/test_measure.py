import signal
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from resomap.cli import app
from resomap.errors import ConfigError, ResoMapError
from resomap.plan import measure
from resomap.plan.forecast import Capacity
from resomap.plan.measure import Machine
from resomap.system.files import read_json, write_json
from resomap.workflow import resources
from resomap.workflow.jobs import MeasureSteps
from tests.image_files import write_classes
from tests.unit.plan.test_forecast import IMAGES, RECORD, cpu_config

CPU, GPUS = Machine("a processor", 0), Machine("a card", 4)
# The process cannot measure its own end.
MEASURED = {name: value for name, value in RECORD.items() if name != "end_seconds"}


@pytest.fixture(autouse=True)
def work(tmp_path, monkeypatch) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


@pytest.fixture
def measured(monkeypatch) -> list[tuple[str, tuple[int, ...]]]:
    """Replace measuring processes; returns the list of measured models and resolutions.

    Each process takes 25 wall seconds and 27 CPU seconds.
    """
    calls = list[tuple[str, tuple[int, ...]]]()
    clock = iter(np.arange(0, 1000)[:, None] * np.array([25.0, 27.0]))

    def process(command: list[str], **_: Any) -> SimpleNamespace:
        job = MeasureSteps.from_json(command[command.index("--job") + 1])
        paths = command[command.index("--cells") + 1 : command.index("--threads")]
        calls.append((job.architecture.name, job.resolutions))
        for resolution, path in zip(job.resolutions, paths, strict=True):
            identity = job.for_resolution(resolution).model_dump(mode="json")
            write_json(Path(path), {"job": identity, **MEASURED})
        return SimpleNamespace(returncode=0, stderr="")

    monkeypatch.setattr(measure, "_children_seconds", lambda: next(clock))
    monkeypatch.setattr(subprocess, "run", process)
    return calls


def plan(config, jobs: int | None = None, rate: float | None = None) -> dict[str, Any]:
    return measure.plan_sweep(config, None, jobs, rate, lambda line: None)


@pytest.mark.parametrize(
    ("machine", "options", "message"),
    [
        (CPU, (None, 0, None), "--jobs: 0 is too few: give 1 or more"),
        (CPU, (-1, None, None), "--gpus: -1 is too few: give 1 or more"),
        (CPU, (2, None, None), "--gpus: trainings would run on the CPU (a processor): "),
        (GPUS, (None, 2, None), "--jobs: each training would run on a GPU (a card): "),
        (CPU, (None, None, 0.0), "--rate: 0.0 is not a price: give a number above 0"),
        (CPU, (None, None, float("nan")), "--rate: nan is not a price: give a number above 0"),
    ],
)
def test_wrong_option_is_refused_with_the_right_one(machine, options, message):
    with pytest.raises(ConfigError) as error:
        measure.resolve_capacity(machine, *options)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("machine", "options", "capacity"),
    [
        (CPU, (None, None, None), Capacity(6, False, None)),
        (CPU, (None, 3, 0.5), Capacity(3, False, 0.5)),
        (GPUS, (None, None, None), Capacity(4, True, None)),
        (GPUS, (64, None, None), Capacity(64, True, None)),
    ],
)
def test_capacity_defaults_to_that_of_the_machine(monkeypatch, machine, options, capacity):
    monkeypatch.setattr("os.cpu_count", lambda: 6)
    assert measure.resolve_capacity(machine, *options) == capacity


def test_images_are_counted_before_splits_are_assigned(defaults, tmp_path):
    reef = {"train": 40, "val": 16, "test": 24}
    counts = measure.count_images(cpu_config(defaults, data={"reef": reef}))
    assert (counts.train, counts.val, counts.test, counts.classes) == (40, 16, 24, 8)
    path = write_classes(tmp_path / "images", {"cat": 40, "dog": 24})
    folder = cpu_config(defaults, data={"dataset": "folder", "path": str(path)})
    counts = measure.count_images(folder)
    assert (counts.train, counts.val, counts.test, counts.classes) == (41, 10, 13, 2)
    assert counts.stored_bytes == 64 * 3 * (16**2 + 24**2 + 48**2)


def test_every_cell_is_measured_once(defaults, measured):
    first = plan(cpu_config(defaults), jobs=2)
    assert measured == [("tiny_cnn", (24, 48)), ("simple_cnn", (24, 48))]
    assert plan(cpu_config(defaults), jobs=2) == first == read_json(resources.PLAN)
    assert len(measured) == 2
    assert read_json(Path("results/.plan/custom/tiny_cnn/r24.json"))["end_seconds"] == [5, 7]


TINY_ONLY = {"models": ["tiny_cnn"]}
CHANGES = {
    "nothing": (
        {
            "training": {"epochs": 30},
            "data": {"reef": {"train": 800}},
            "report": {"margin": 0.05},
        },
        [],
    ),
    "model": (
        {"sweep": {"models": ["tiny_cnn", "simple_cnn", "vgg11"], "resolutions": [48]}},
        [("vgg11", (48,))],
    ),
    "resolution": (
        {"sweep": {**TINY_ONLY, "resolutions": [24, 32, 48]}},
        [("tiny_cnn", (32,))],
    ),
    "batch size": (
        {"sweep": TINY_ONLY, "training": {"batch_size": 16}},
        [("tiny_cnn", (24, 48))],
    ),
    "runtime": (
        {"sweep": TINY_ONLY, "system": {"training": {"cudnn_benchmark": False}}},
        [("tiny_cnn", (24, 48))],
    ),
}


@pytest.mark.parametrize(("change", "expected"), CHANGES.values(), ids=CHANGES)
def test_only_new_cells_are_measured(defaults, measured, change, expected):
    plan(cpu_config(defaults))
    measured.clear()
    plan(cpu_config(defaults, **change))
    assert measured == expected


def test_pretrained_weights_are_not_downloaded(defaults):
    config = cpu_config(
        defaults, sweep={"models": ["resnet18"]}, training={"start": "pretrained"}
    )
    (job,) = measure.measurement_jobs(config, CPU, IMAGES)
    assert job.training.start.is_random


@pytest.mark.parametrize(("crop_from", "side"), [("native", 128), ("resized", None)])
def test_native_crops_are_measured_on_native_images(defaults, crop_from, side):
    crop = {"scale": [0.35, 1.0], "ratio": [0.75, 1.3333], "crop_from": crop_from}
    augmentation = {"random_resized_crop": crop}
    config = cpu_config(
        defaults, sweep={"models": ["tiny_cnn"]}, training={"augmentation": augmentation}
    )
    (job,) = measure.measurement_jobs(config, CPU, IMAGES)
    assert job.native_side == side


def test_another_machine_measures_again(defaults, measured, monkeypatch):
    for name in ("one", "other"):
        monkeypatch.setattr(measure, "detect_machine", lambda _, name=name: Machine(name, 0))
        plan(cpu_config(defaults))
    assert len(measured) == 4


def test_totals_add_up_over_the_sweep(defaults, measured):
    reef = {"train": 320, "val": 100}
    config = cpu_config(defaults, training={"epochs": 4}, data={"reef": reef})
    totals = plan(config, jobs=2, rate=3.6)["totals"]
    # The process ends 5 and 7 seconds after its last record, and starts in 2 and 3.
    wall, cpu = 2 + 5 + 24 + 2, 3 + 7 + 48 + 1
    assert totals["trainings"] == 8
    assert totals["stage_wall_seconds"]["train"] == pytest.approx(8 * wall)
    assert totals["stage_cpu_seconds"]["train"] == pytest.approx(8 * cpu)
    assert totals["price"] == pytest.approx(sum(totals["stage_cpu_seconds"].values()) / 1000)
    assert totals["disk_bytes"]["checkpoints"] == 8 * 100


def test_killed_process_is_an_infeasible_cell_and_retried(defaults, measured, monkeypatch):
    config, process = cpu_config(defaults, sweep=TINY_ONLY), subprocess.run

    def killed(command: list[str], **options: Any) -> SimpleNamespace:
        process(command, **options)
        Path("results/.plan/custom/tiny_cnn/r48.json").unlink()
        return SimpleNamespace(returncode=-signal.SIGKILL, stderr="")

    monkeypatch.setattr(subprocess, "run", killed)
    write_json(Path("results/.plan/custom/tiny_cnn/r24.json"), {"job": "another"})
    result = plan(config, jobs=1)
    assert [cell["fits"] for cell in result["cells"]] == ["yes", "no"]
    assert "the process was killed" in result["cells"][1]["reason"]
    assert result["totals"]["trainings"] == 2
    monkeypatch.setattr(subprocess, "run", process)
    assert [cell["fits"] for cell in plan(config, jobs=1)["cells"]] == ["yes", "yes"]
    assert measured == [("tiny_cnn", (24, 48)), ("tiny_cnn", (48,))]


def test_error_of_the_process_is_one_line(defaults, monkeypatch):
    failed = SimpleNamespace(
        returncode=1, stderr="some progress\nerror: config/system.yaml: no CUDA\n"
    )
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(ResoMapError, match=r"^tiny_cnn: config/system\.yaml: no CUDA$"):
        plan(cpu_config(defaults))


def test_command_measures_once_for_real(tmp_path, monkeypatch):
    overlay = tmp_path / "mine.yaml"
    overlay.write_text(
        "sweep: {models: [tiny_cnn], resolutions: [16], seeds: [0]}\n"
        "training: {batch_size: 4}\nsystem: {device: cpu}\n"
        "data: {native_resolution: 32, reef: {train: 32, val: 16, test: 24}}\n"
    )
    # What is free on the disk is printed, and others write to it between the commands.
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=2**40))
    command = ["plan", "--configfile", str(overlay), "--jobs", "2", "--rate", "0.05"]
    first = CliRunner().invoke(app, command)
    assert first.exit_code == 0, first.output
    assert "measuring a training step of tiny_cnn at 16 px" in first.stderr
    record = read_json(Path("results/.plan/custom/tiny_cnn/r16.json"))
    assert min(record["end_seconds"]) > 0
    assert [path.name for path in Path().iterdir()] == ["results"]
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("measured again"))
    assert CliRunner().invoke(app, command).stdout == first.stdout


def test_command_fails_in_one_line():
    result = CliRunner().invoke(app, ["plan", "--jobs", "0"])
    assert result.exit_code == 1
    assert result.output == "error: --jobs: 0 is too few: give 1 or more\n"
