"""A finished sweep of one small network, trained for a second and evaluated as a sweep would."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from resomap.config.load import merge, shipped_values
from resomap.config.schema import Config
from resomap.data.loading.augment import Normalise
from resomap.data.loading.loader import EvalLoader
from resomap.data.store.prepare import prepare_store
from resomap.data.store.resize import resize_store
from resomap.data.store.store import Store, open_store
from resomap.models.registry import build_model
from resomap.system import files
from resomap.training.checkpoint import save_weights
from resomap.training.evaluation.predict import Adapter, predict_modes, score_predictions
from resomap.workflow.layout import table_columns
from resomap.workflow.lifecycle import read_run_config, write_run_config
from tests.image_files import save

MODEL, SIDE, NATIVE, SEEDS = "tiny_cnn", 24, 48, (0, 1)
CLASSES = ("fine", "coarse", "red")
CPU = torch.device("cpu")
EPOCHS = 6


def draw_image(label: int, index: int) -> np.ndarray:
    """Return stripes or a red cast on noise: what antialiasing and colour order decide about."""
    generator = np.random.default_rng([label, index])
    height, width = generator.integers(50, 80, 2)
    cycles = (0.36, 0.09, 0.0)[label]
    waves = np.sin(2 * np.pi * cycles * np.arange(width) + generator.uniform(0, 6))
    pixels = generator.normal(120, 25, (height, width, 3)) + 55 * waves[None, :, None]
    if label == 2:
        pixels += (35, 0, -35)
    return pixels.clip(0, 255).astype(np.uint8)


def write_images(folder: Path, each: int) -> None:
    """Write PNG and JPEG files by split and class, some rotated by EXIF, grey or transparent."""
    for split, start in (("train", 0), ("val", 1000), ("test", 2000)):
        for label, name in enumerate(CLASSES):
            for index in range(start, start + (each if split == "train" else each // 2)):
                image = Image.fromarray(draw_image(label, index))
                path = folder / split / name / f"{index}.png"
                exif = Image.Exif()
                exif[0x0112] = 1 + index % 8
                if index % 5 == 1:
                    image.putalpha(200)
                elif index % 5 == 2 and label != 2:
                    image = image.convert("L")
                    # The same grey values in 16 bit.
                    if index % 10 == 2:
                        image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
                elif index % 5 >= 3:
                    path = path.with_suffix(".jpg")
                save(path, image, exif=exif)


def write_sweep(
    directory: Path, each: int = 60, *, sides: Sequence[int] = (SIDE,), **changes: Any
) -> Config:
    """Write results/ of a cell a side, with two seeds and no receipts; returns its configuration."""
    write_images(directory / "images", each)
    values = merge(
        shipped_values(),
        {
            "sweep": {"models": [MODEL], "resolutions": list(sides), "seeds": list(SEEDS)},
            "data": {
                "dataset": "folder",
                "folder": {"path": str(directory / "images"), "masks": None, "group": None},
                "native_resolution": NATIVE,
                **changes,
            },
            "evaluation": {"modes": ["raw"]},
            "explainability": {"enabled": False},
        },
    )
    results = directory / "results"
    write_run_config(values, results / "run_config.yaml")
    config = read_run_config(directory)
    prepare_store(config.data, results / "data")
    for side in sides:
        resize_store(results / "data" / "manifest.json", side, config.data.filter)
    store = open_store(results / "data" / "manifest.json")
    for side, seed in product(sides, SEEDS):
        _write_run(results, store, config, side, seed)
    return config


def _write_run(results: Path, store: Store, config: Config, side: int, seed: int) -> None:
    architecture = next(model for model in config.models if model.name == MODEL)
    run = Path(architecture.family, MODEL, f"r{side}", f"seed{seed}")
    torch.manual_seed(seed)
    model = build_model(architecture, store.num_classes, side)
    train(model, store, side)
    metadata = {"status": "ok", "normalisation": {"mean": store.mean, "std": store.std}}
    save_weights(
        results / "checkpoints" / run / "best.safetensors", model.state_dict(), metadata
    )
    adapter = Adapter(store, CPU, config.evaluation, config.training, seed)
    splits = predict_modes(model, adapter, [side])
    folder = results / "runs" / run
    files.write_arrays(folder / "predictions.npz", **splits["test"])
    files.write_arrays(folder / "val_predictions.npz", **splits["val"])
    rows = score_predictions(splits["test"], splits["val"], [side], ["raw"])
    files.write_rows(folder / "evaluation.csv", rows, table_columns("run_evaluation"))
    environment = {"torch": torch.__version__, "device": "cpu"}
    files.write_json(folder / "metrics.json", {"status": "ok", "environment": environment})


def train(model: torch.nn.Module, store: Store, side: int = SIDE) -> None:
    """Train by AdamW for a few epochs over the resized training images."""
    normalise = Normalise(store.mean, store.std, CPU)
    images = torch.from_numpy(np.array(store.images("train", side)))
    labels = torch.from_numpy(np.array(store.labels("train")))
    optimizer = torch.optim.AdamW(model.parameters(), 0.01)
    model.train()
    for _ in range(EPOCHS):
        order = torch.randperm(len(images))
        for batch, targets in EvalLoader(images[order], labels[order], normalise, 30):
            loss = torch.nn.functional.cross_entropy(model(batch), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
