"""What the benchmarks compare with is a training that works, and what they run and write is what they say."""

import csv
import importlib
import inspect
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.processes import job_module, measure
from benchmarks.startup import tiny_arguments
from benchmarks.tables import put_section, ratios, spread
from benchmarks.textbook import train


@pytest.fixture
def pictures(tmp_path):
    """Two classes that any network can tell apart: dark and bright."""
    generator = np.random.default_rng(0)
    for split, number, level in ((split, n, level) for split in ("train", "val", "test") for n in range(6) for level in (40, 180)):
        path = tmp_path / "pictures" / split / f"of_{level}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(level, level + 40, (24, 24, 3), dtype=np.uint8)).save(path)
    return tmp_path / "pictures"


def test_the_textbook_trains_keeps_its_best_and_scores_it(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    words = "--model tiny_cnn --size 16 --epochs 4 --batch-size 4 --workers 0 --test-sizes 16 24"
    train.main([str(pictures), "--out", str(tmp_path / "out"), *words.split()])
    with (tmp_path / "out" / "history.csv").open(newline="") as stream:
        losses = [float(row["val_loss"]) for row in csv.DictReader(stream)]
    with (tmp_path / "out" / "test.csv").open(newline="") as stream:
        scores = {row["size"]: float(row["test_accuracy"]) for row in csv.DictReader(stream)}
    assert len(losses) == 4
    assert min(losses) < losses[0]
    assert scores["16"] > 0.5
    assert (tmp_path / "out" / "best.pt").exists()


def test_the_textbooks_learning_rate_is_that_of_our_schedule(config):
    from resomap.training.optimizers import build_optimizer
    from resomap.training.schedules import build_schedule

    steps, epochs = 5, 3
    args = train.get_args(["data", "--out", "out", "--epochs", str(epochs), "--lr", str(config.training.optimizer.lr)])
    theirs, their_schedule = train.get_optimizer(args, torch.nn.Linear(2, 2), steps)
    ours = build_optimizer(config.training.optimizer, torch.nn.Linear(2, 2))
    our_schedule = build_schedule(config.training.schedule, ours, steps, epochs, config.training.monitor)
    for _ in range(steps * epochs):
        assert theirs.param_groups[0]["lr"] == pytest.approx(ours.param_groups[0]["lr"])
        for optimizer, schedule in ((theirs, their_schedule), (ours, our_schedule)):
            optimizer.step()
            schedule.step()


def test_every_entry_point_is_given_what_it_asks_for(tmp_path):
    for kind, arguments in tiny_arguments(tmp_path, ["gradcam"], "{}"):
        wanted = inspect.signature(importlib.import_module(job_module(kind)).main).parameters
        assert set(wanted) == {"job", *arguments}, f"{job_module(kind)} asks for other files than benchmarks/startup.py gives"


def test_a_part_that_is_run_again_replaces_its_own_section(tmp_path):
    page = tmp_path / "training.md"
    put_section(page, "One (cpu)", "first")
    put_section(page, "Two (cpu)", "second\n\n| a |\n| --- |\n")
    put_section(page, "One (cpu)", "third")
    assert page.read_text().split("\n## ")[1:] == ["One (cpu)\n\nthird\n", "Two (cpu)\n\nsecond\n\n| a |\n| --- |\n"]


def test_a_spread_names_its_ends_and_ratios_pair_rounds():
    assert spread([3.0, 1.0, 2.0]) == "2.00 (1.00-3.00)"
    assert ratios([1.0, 4.0], [2.0, 2.0]) == [0.5, 2.0]


def test_the_cost_of_a_process_holds_that_of_its_children():
    program = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'sum(range(10**7))'])"
    cost = measure([sys.executable, "-c", program], [sys.executable, "-c", "print('told')"])
    assert cost.output == "told\n"
    assert cost.cpu > 0.05
