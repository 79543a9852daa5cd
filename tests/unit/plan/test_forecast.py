"""What a sweep will take: measured in pieces by the real trainer, added up, told, and handed to a scheduler."""

import signal
import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from resomap.cli import app
from resomap.config.load import build_config, merge
from resomap.data.loading import placement
from resomap.errors import ConfigError, ResoMapError
from resomap.models.registry import build_model
from resomap.plan import forecast, measure
from resomap.plan.forecast import Capacity, ImageCounts
from resomap.plan.measure import Machine
from resomap.plan.table import plan_lines
from resomap.system.files import read_json, write_json
from resomap.training import autosave, build, steps
from resomap.training.steps import (
    StepTimer,
    TimingBudget,
    TimingDone,
    build_noise_store,
    measure_cells,
)
from resomap.workflow import resources
from resomap.workflow.jobs import MeasureSteps
from tests.pictures import write_classes
from tests.unit.test_memory import Hungry

RECORD = {
    "status": "ok",
    "step_seconds": [0.5, 1.0],
    "val_image_seconds": [0.01, 0.02],
    "save_seconds": [1.0, 0.5],
    "startup_seconds": [2.0, 3.0],
    "end_seconds": [1.0, 1.0],
    "age_seconds": [20.0, 20.0],
    "micro_batch": None,
    "weights_bytes": 100,
    "optimizer_bytes": 200,
    "peak_memory_mib": 700.0,
    "peak_rss_mib": 800.0,
    "device_memory_mib": 1000,
}
MEASURED = {
    name: value for name, value in RECORD.items() if name != "end_seconds"
}  # which its process cannot tell
IMAGES = ImageCounts(train=320, val=100, test=300, classes=6, stored_bytes=2**30)
QUICK = TimingBudget(warmup_seconds=0.0, interval_seconds=0.0, max_seconds=0.0)
CPU = Machine("a processor", 0)


@pytest.fixture(autouse=True)
def work(tmp_path, monkeypatch) -> Path:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def changed(defaults: dict[str, Any], **change: Any):
    return build_config(merge(merge(defaults, {"system": {"device": "cpu"}}), change))


def silent(_: str) -> None:
    """Hears what is being measured."""


def test_a_training_is_its_epochs_its_start_and_end_and_its_saving(defaults):
    config = changed(defaults, training={"epochs": 4})
    found = forecast.training_seconds(RECORD, config.training, config.system.training, IMAGES)
    # 10 steps and 100 pictures an epoch; 24 s on the wall are too short for a state, whose 3 s may be 2 % of the time at most.
    assert found == pytest.approx([3 + 4 * (5 + 1) + 2 * 1, 4 + 4 * (10 + 2) + 2 * 0.5])


def test_kept_epochs_and_states_cost_their_saving(defaults):
    config = changed(defaults, training={"epochs": 100, "save_top_k": 2})
    found = forecast.training_seconds(RECORD, config.training, config.system.training, IMAGES)
    trained, states = 100 * (5 + 1 + 1), 700 // 150
    assert found[0] == pytest.approx(3 + trained + (2 + 3 * states) * 1)


def test_the_other_jobs_are_made_of_the_same_pieces(defaults):
    asked = {
        "methods": ["gradcam", "integrated_gradients"],
        "ig_steps": 5,
        "images": 16,
        "sanity": {"images": 0},
    }
    config = changed(defaults, explainability={**asked, "faithfulness": {"images": 0}})
    assert forecast.evaluation_seconds(RECORD, [RECORD, RECORD], IMAGES) == pytest.approx(
        [3 + 400 * 0.02, 4 + 400 * 0.04]
    )
    assert forecast.explanation_seconds(RECORD, 32, config.explainability) == pytest.approx(
        [3 + 1.5, 4 + 3]
    )
    judged = changed(
        defaults,
        explainability={
            **asked,
            "sanity": {"images": 4},
            "faithfulness": {"images": 2, "bandwidths": [6]},
        },
    )
    more = np.array([24 * 6 * 0.5 / 32 + 6 * 2 * 4 * 0.01, 24 * 6 * 1 / 32 + 6 * 2 * 4 * 0.02])
    assert forecast.explanation_seconds(RECORD, 32, judged.explainability) == pytest.approx(
        np.array([4.5, 7]) + more
    )
    profiling = config.system.profiling.model_copy(
        update={
            "warmup_seconds": 1.0,
            "rounds": 5,
            "round_seconds": 0.2,
            "variants": ("eager",),
            "cpu_threads": 2,
        }
    )
    assert forecast.profile_seconds([RECORD] * 3, profiling) == pytest.approx([3 + 12, 4 + 24])


def test_pictures_count_as_memory_unless_they_stay_on_the_disk():
    side = 256  # 420 pictures of 192 KiB
    assert forecast.add_image_memory(RECORD, side, IMAGES) == {
        "peak_memory_mib": 700 + 78.75,
        "peak_rss_mib": 800 + 78.75,
    }
    assert (
        forecast.add_image_memory(RECORD, side, replace(IMAGES, train=10_000))["peak_rss_mib"]
        == 800
    )


def test_what_is_assumed_of_modules_that_load_torch_is_so():
    assert (forecast.AUTOSAVE_SHARE, forecast.RESIDENT_SHARE) == (
        autosave.MAX_SAVE_SHARE,
        placement.SHARE,
    )


def test_checkpoints_are_the_best_weights_and_the_kept_epochs(defaults):
    for change, size in (
        ({}, 100),
        ({"save_top_k": 9}, 900),
        ({"save_top_k": 2, "save_optimizer": True}, 700),
    ):
        assert (
            forecast.checkpoint_bytes(
                RECORD, changed(defaults, training={"epochs": 8, **change}).training
            )
            == size
        )


@pytest.mark.parametrize(("workers", "wall"), [(1, 16), (2, 8), (3, 7), (9, 7)])
def test_jobs_share_the_workers_the_longest_first(workers, wall):
    assert forecast.makespan([1, 7, 3, 5], workers) == wall


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, "yes"),
        ({"micro_batch": 8}, "in micro-batches of 8"),
        ({"peak_memory_mib": 995.0}, "tightly"),
        ({"status": "infeasible", "reason": "not even 1 picture"}, "no"),
    ],
)
def test_a_cell_says_whether_it_fits(config, change, said):
    assert (
        forecast.forecast_cells(config, config.models[0], {256: RECORD | change}, IMAGES)[0][
            "fits"
        ]
        == said
    )


@pytest.mark.parametrize(("on_gpus", "hours", "unit"), [(False, 4, "core"), (True, 2, "GPU")])
def test_a_sweep_is_paid_by_the_core_or_the_gpu(config, monkeypatch, on_gpus, hours, unit):
    jobs = {
        "train": [np.array([1800.0, 3600.0])] * 2,
        "evaluate": [],
        "explain": [],
        "profile": [np.array([3600.0, 7200.0])],
    }
    monkeypatch.setattr(forecast, "_job_seconds", lambda *_: jobs)
    told = forecast.forecast_sweep(config, {}, IMAGES, Capacity(2, on_gpus, 1.5))
    assert (told["hours"], told["unit"], told["price"]) == (hours, unit, 1.5 * hours)
    assert told["sweep_seconds"] == (
        3600 if on_gpus else 1800 + 3600
    )  # a profile has every core to itself, or a GPU


@pytest.mark.parametrize(
    ("machine", "options", "said"),
    [
        (CPU, (None, 0, None), "--jobs: 0 is too few: give 1 or more"),
        (CPU, (-1, None, None), "--gpus: -1 is too few: give 1 or more"),
        (
            CPU,
            (2, None, None),
            "--gpus: trainings would run on the CPU here (a processor): give --jobs, or plan where a GPU is",
        ),
        (
            Machine("a card", 4),
            (None, 2, None),
            "--jobs: trainings would run on a GPU each (a card): give --gpus",
        ),
        (CPU, (None, None, 0.0), "--rate: 0.0 is no price of an hour: give a number above 0"),
        (
            CPU,
            (None, None, float("nan")),
            "--rate: nan is no price of an hour: give a number above 0",
        ),
    ],
)
def test_a_wrong_option_is_named_with_what_would_be_right(machine, options, said):
    with pytest.raises(ConfigError) as error:
        measure.resolve_capacity(machine, *options)
    assert str(error.value) == said


def test_what_is_not_asked_for_is_what_the_machine_has(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 6)
    assert measure.resolve_capacity(CPU, None, None, None) == Capacity(6, False, None)
    assert measure.resolve_capacity(CPU, None, 3, 0.5) == Capacity(3, False, 0.5)
    assert measure.resolve_capacity(Machine("a card", 4), None, None, None) == Capacity(
        4, True, None
    )
    assert measure.resolve_capacity(Machine("a card", 4), 64, None, None) == Capacity(
        64, True, None
    )


def test_pictures_are_counted_before_they_are_dealt(defaults, tmp_path):
    reef = measure.count_images(
        changed(defaults, data={"reef": {"train": 40, "val": 16, "test": 24}})
    )
    assert (reef.train, reef.val, reef.test, reef.classes) == (40, 16, 24, 8)
    folder = write_classes(tmp_path / "pictures", {"cat": 40, "dog": 24})
    own = measure.count_images(
        changed(defaults, data={"dataset": "folder", "path": str(folder)})
    )
    assert (own.train, own.val, own.test, own.classes) == (41, 10, 13, 2)
    assert own.stored_bytes == 64 * 3 * (16**2 + 24**2 + 48**2)


# Measuring


class Clock:
    """Seconds that pass only in steps."""

    seconds = 100.0

    def now(self) -> np.ndarray:
        return np.array([self.seconds, 2 * self.seconds])


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(steps, "read_clocks", clock.now)
    monkeypatch.setattr(steps, "process_age", clock.now)
    return clock


def taken(clock: Clock, watch: StepTimer, seconds: list[float]) -> int:
    """How many of these steps were wanted."""
    for number, each in enumerate(seconds, start=1):
        clock.seconds += each
        try:
            watch.step()
        except TimingDone:
            return number
    return len(seconds) + 1


def test_steps_are_timed_in_stretches(clock):
    watch = StepTimer(
        torch.device("cpu"), num_intervals=2, min_steps=2, min_seconds=1.0, max_seconds=99.0
    )
    assert taken(clock, watch, [0.25] * 20) == 8
    assert np.array(watch.interval_means) == pytest.approx(np.array([[0.25, 0.5], [0.25, 0.5]]))
    assert watch.first_step_age == pytest.approx([100.25, 200.5])


def test_long_steps_are_taken_twice_and_no_more(clock):
    assert (
        taken(
            clock,
            StepTimer(
                torch.device("cpu"),
                num_intervals=5,
                min_steps=1,
                min_seconds=1.0,
                max_seconds=20.0,
            ),
            [30.0] * 9,
        )
        == 2
    )


def cells(
    config, resolutions: tuple[int, ...] = (16, 24), **recipe: Any
) -> list[dict[str, Any]]:
    training = config.training.model_copy(update=recipe)
    return list(
        measure_cells(
            config.models[0],
            training,
            resolutions,
            6,
            config.system.training,
            torch.device("cpu"),
            QUICK,
        )
    )


def test_every_piece_of_a_training_is_measured(config):
    small, large = cells(config)
    for record in (small, large):
        assert (record["status"], record["micro_batch"]) == ("ok", None)
        for piece in ("step", "val_image", "save", "startup"):
            assert min(record[f"{piece}_seconds"]) > 0, piece
        assert record["weights_bytes"] < record["optimizer_bytes"]
        assert 0 < record["peak_rss_mib"] < record["device_memory_mib"]
    assert small["startup_seconds"] == large["startup_seconds"]


def test_the_trainer_is_the_real_one_with_all_that_the_recipe_says(config, monkeypatch):
    built = []

    def noted(recipe, *others):
        built.append((recipe, build.build_trainer(recipe, *others)))
        return built[-1][1]

    monkeypatch.setattr(steps, "build_trainer", noted)
    cells(config, (16,), batch_size=8, ema_decay=0.9, precision="bf16")
    recipe, trainer = built[0]
    assert (recipe.batch_size, trainer.precision, trainer.ema is not None) == (8, "bf16", True)
    assert len(next(iter(trainer.train_loader))[0]) == 8
    assert trainer.optimizer.state


def test_noise_has_every_class_and_fills_no_memory():
    noise = build_noise_store(32, 16, 6)
    assert noise.images("train", 16).shape == (50 * 32, 16, 16, 3)
    assert set(noise.labels("val")) == set(range(6))
    assert build_noise_store(32, 1024, 6).counts == {"train": 2 * 32, "val": 4 * 32}


def test_a_cell_that_is_short_of_memory_is_measured_in_parts_or_does_not_fit(
    config, monkeypatch
):
    for most, found in (
        (10, ("ok", 8, None)),
        (1, ("infeasible", None, "not even 2 images at once fit into memory")),
    ):
        monkeypatch.setattr(
            build,
            "build_model",
            lambda *arguments, most=most, **named: Hungry(
                build_model(*arguments, **named), most
            ),
        )
        (record,) = cells(config, (16,))
        assert (record["status"], record.get("micro_batch"), record.get("reason")) == found


# Planning


@pytest.fixture
def measured(monkeypatch) -> list[tuple[str, tuple[int, ...]]]:
    """What was asked of planted processes, each of which takes 25 wall seconds and 27 CPU seconds."""
    asked = list[tuple[str, tuple[int, ...]]]()
    spent = iter(np.arange(0, 1000)[:, None] * np.array([25.0, 27.0]))

    def process(command: list[str], **_: Any) -> SimpleNamespace:
        job = MeasureSteps.from_json(command[command.index("--job") + 1])
        asked.append((job.architecture.name, job.resolutions))
        for resolution, path in zip(
            job.resolutions,
            command[command.index("--cells") + 1 : command.index("--threads")],
            strict=True,
        ):
            write_json(
                Path(path),
                {"job": job.for_resolution(resolution).model_dump(mode="json"), **MEASURED},
            )
        return SimpleNamespace(returncode=0, stderr="")

    monkeypatch.setattr(measure, "_children_seconds", lambda: next(spent))
    monkeypatch.setattr(subprocess, "run", process)
    return asked


def test_every_cell_is_measured_once(defaults, measured):
    told = measure.plan_sweep(changed(defaults), None, 2, None, silent)
    assert measured == [("tiny_cnn", (24, 48)), ("simple_cnn", (24, 48))]
    assert (
        measure.plan_sweep(changed(defaults), None, 2, None, silent)
        == told
        == read_json(resources.PLAN)
    )
    assert len(measured) == 2
    assert read_json(Path("results/.plan/custom/tiny_cnn/r24.json"))["end_seconds"] == [5, 7]


@pytest.mark.parametrize(
    ("change", "asked"),
    [
        (
            {
                "training": {"epochs": 30},
                "data": {"reef": {"train": 800}},
                "report": {"margin": 0.05},
            },
            [],
        ),
        (
            {"sweep": {"models": ["tiny_cnn", "simple_cnn", "vgg11"], "resolutions": [48]}},
            [("vgg11", (48,))],
        ),
        (
            {"sweep": {"models": ["tiny_cnn"], "resolutions": [24, 32, 48]}},
            [("tiny_cnn", (32,))],
        ),
        (
            {"sweep": {"models": ["tiny_cnn"]}, "training": {"batch_size": 16}},
            [("tiny_cnn", (24, 48))],
        ),
        (
            {
                "sweep": {"models": ["tiny_cnn"]},
                "system": {"training": {"cudnn_benchmark": False}},
            },
            [("tiny_cnn", (24, 48))],
        ),
    ],
    ids=["nothing", "a model", "a resolution", "the batch", "how it runs"],
)
def test_only_what_is_new_is_measured(defaults, measured, change, asked):
    measure.plan_sweep(changed(defaults), None, None, None, silent)
    measured.clear()
    measure.plan_sweep(changed(defaults, **change), None, None, None, silent)
    assert measured == asked


def test_nothing_is_fetched_to_measure_a_step(defaults):
    config = changed(defaults, sweep={"models": ["resnet18"]}, training={"start": "pretrained"})
    assert [job.training.start for job in measure.jobs_of(config, CPU, 8)] == ["random"]


def test_another_machine_measures_again(defaults, measured, monkeypatch):
    for name in ("one", "other"):
        monkeypatch.setattr(measure, "this_machine", lambda _, name=name: Machine(name, 0))
        measure.plan_sweep(changed(defaults), None, None, None, silent)
    assert len(measured) == 4


def test_the_whole_sweep_adds_up(defaults, measured):
    config = changed(
        defaults, training={"epochs": 4}, data={"reef": {"train": 320, "val": 100}}
    )
    totals = measure.plan_sweep(config, None, 2, 3.6, silent)["totals"]
    training = np.array(
        [8 + 1 - 2 + 24 + 2, 10 - 3 + 3 + 48 + 1]
    )  # ends 5 and 7 after a start of 2 and 3
    assert totals["trainings"] == 8
    assert totals["stage_wall_seconds"]["train"] == pytest.approx(8 * training[0])
    assert totals["stage_cpu_seconds"]["train"] == pytest.approx(8 * training[1])
    assert totals["price"] == pytest.approx(sum(totals["stage_cpu_seconds"].values()) / 1000)
    assert totals["disk_bytes"]["checkpoints"] == 8 * 100


def test_a_process_that_linux_killed_is_a_cell_that_does_not_fit_and_is_tried_again(
    defaults, measured, monkeypatch
):
    config, planted = changed(defaults, sweep={"models": ["tiny_cnn"]}), subprocess.run

    def killed(command: list[str], **options: Any) -> SimpleNamespace:
        planted(command, **options)
        Path("results/.plan/custom/tiny_cnn/r48.json").unlink()
        return SimpleNamespace(returncode=-signal.SIGKILL, stderr="")

    monkeypatch.setattr(subprocess, "run", killed)
    write_json(Path("results/.plan/custom/tiny_cnn/r24.json"), {"job": "of another"})
    told = measure.plan_sweep(config, None, 1, None, silent)
    assert [cell["fits"] for cell in told["cells"]] == ["yes", "no"]
    assert told["totals"]["trainings"] == 2
    assert "does not fit: tiny_cnn at 48 px: the process was killed" in "\n".join(
        plan_lines(told)
    )
    monkeypatch.setattr(subprocess, "run", planted)
    assert [
        cell["fits"] for cell in measure.plan_sweep(config, None, 1, None, silent)["cells"]
    ] == [
        "yes",
        "yes",
    ]
    assert measured == [("tiny_cnn", (24, 48)), ("tiny_cnn", (48,))]


def test_what_went_wrong_in_the_process_is_said_in_one_line(defaults, monkeypatch):
    failed = SimpleNamespace(
        returncode=1, stderr="some progress\nerror: config/system.yaml: no CUDA\n"
    )
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(ResoMapError, match=r"^tiny_cnn: config/system\.yaml: no CUDA$"):
        measure.plan_sweep(changed(defaults), None, None, None, silent)


def test_a_plan_is_told_as_a_table_and_its_sums(defaults, measured):
    lines = list(plan_lines(measure.plan_sweep(changed(defaults), None, 1, 0.05, silent)))
    assert lines[0].split() == [
        "model",
        "px",
        "step",
        "ms",
        "images/s",
        "s",
        "a",
        "training",
        "CPU",
        "s",
        "peak",
        "MiB",
        "fits",
    ]
    assert lines[1].split()[:4] == ["tiny_cnn", "24", "500.0", "64"]
    assert lines[5].endswith("8 epochs of 1,600 pictures, 2 seeds")
    assert lines[6].startswith("8 trainings: 33 min one after the other, 3,8")
    assert "with 1 job at once" in lines[8]
    assert lines[9].startswith("price: ") and lines[9].endswith("at 0.05 a core hour")
    assert lines[10].startswith("disk: ")


def test_a_busy_machine_is_said(defaults, measured):
    told = measure.plan_sweep(changed(defaults), None, 1, None, silent)
    assert "busy" not in "\n".join(plan_lines(told))
    told["totals"]["stage_wall_seconds"]["train"] = (
        2 * told["totals"]["stage_cpu_seconds"]["train"]
    )
    assert "this machine was busy" in "\n".join(plan_lines(told))


def test_the_command_measures_for_real_and_the_second_time_not_at_all(tmp_path, monkeypatch):
    mine = tmp_path / "mine.yaml"
    mine.write_text(
        "sweep: {models: [tiny_cnn], resolutions: [16], seeds: [0]}\ntraining: {batch_size: 4}\nsystem: {device: cpu}\n"
        "data: {native_resolution: 32, reef: {train: 32, val: 16, test: 24}}\n"
    )
    command = ["plan", "--configfile", str(mine), "--jobs", "2", "--rate", "0.05"]
    first = CliRunner().invoke(app, command)
    assert first.exit_code == 0, first.output
    assert "measuring a training step of tiny_cnn at 16 px" in first.stderr
    record = read_json(Path("results/.plan/custom/tiny_cnn/r16.json"))
    assert min(record["end_seconds"]) > 0
    assert [path.name for path in Path().iterdir()] == ["results"]
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("measured again"))
    assert CliRunner().invoke(app, command).stdout == first.stdout


def test_the_command_fails_in_one_line():
    result = CliRunner().invoke(app, ["plan", "--jobs", "0"])
    assert (result.exit_code, result.output) == (
        1,
        "error: --jobs: 0 is too few: give 1 or more\n",
    )
