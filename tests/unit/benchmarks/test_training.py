import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from benchmarks.textbook import train
from benchmarks.training import draw_jpegs, link_first, prepare_and_resize, textbook_result
from resomap.data.store.store import open_store
from resomap.training.optimizers import build_optimizer
from resomap.training.schedules import build_schedule


@pytest.fixture
def images(tmp_path):
    """Write two classes that any model separates: dark and bright."""
    generator = np.random.default_rng(0)
    for split in ("train", "val"):
        for level in (40, 180):
            folder = tmp_path / "images" / split / f"of_{level}"
            folder.mkdir(parents=True)
            for number in range(6):
                pixels = generator.integers(level, level + 40, (24, 24, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    return tmp_path / "images"


def test_textbook_trains_and_saves_best(images, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    options = "--model tiny_cnn --size 16 --epochs 4 --batch-size 4 --workers 0"
    out = tmp_path / "out"
    train.main([str(images), "--out", str(out), *options.split()])
    rate, accuracy = textbook_result(out)
    losses = pd.read_csv(out / "history.csv")["val_loss"]
    assert len(losses) == 4
    assert losses.min() < losses[0]
    assert rate > 0
    assert accuracy > 0.5
    assert (out / "best.pt").exists()


def test_textbook_has_our_learning_rate_schedule(config):
    steps, epochs, recipe = 5, 3, config.training
    rate = str(recipe.optimizer.learning_rate)
    args = train.get_args(["data", "--out", "out", "--epochs", str(epochs), "--lr", rate])
    theirs, their_schedule = train.get_optimizer(args, torch.nn.Linear(2, 2), steps)
    ours = build_optimizer(recipe.optimizer, torch.nn.Linear(2, 2))
    our_schedule = build_schedule(recipe.schedule, ours, steps, epochs, recipe.monitor)
    for _ in range(steps * epochs):
        assert theirs.param_groups[0]["lr"] == pytest.approx(ours.param_groups[0]["lr"])
        for optimizer, schedule in ((theirs, their_schedule), (ours, our_schedule)):
            optimizer.step()
            schedule.step()


def test_store_holds_the_linked_images(config, tmp_path):
    draw_jpegs(config.data, tmp_path / "many", 32)
    link_first(tmp_path / "many", tmp_path / "few", 16)
    dataset = prepare_and_resize(tmp_path / "few", tmp_path / "store", config.data, 24)
    store = open_store(dataset.manifest)
    assert dataset.train == 16
    assert store.counts == {"train": 16, "val": 3, "test": 8}
    assert store.images("train", 24).shape == (16, 24, 24, 3)
    assert dataset.wall > 0 < dataset.cpu
