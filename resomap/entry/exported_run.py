"""Assemble what is exported of one run: its network at a test resolution, and its images."""

import csv
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from resomap.data.loading.augment import Normalise
from resomap.data.store.store import Store
from resomap.deploy.quantise import draw_calibration_rows
from resomap.deploy.run import RunImages
from resomap.models.registry import build_model, resize_network
from resomap.workflow.jobs import Export
from resomap.workflow.receipts import check_content

BATCH_SIZE = 64


def open_network(job: Export, num_classes: int, state: dict[str, Tensor]) -> nn.Module:
    """Return the trained network for images of the test resolution, in evaluation mode."""
    network = build_model(job.architecture, num_classes, job.resolution)
    network.load_state_dict(state)
    if job.eval_resolution != job.resolution:
        network = resize_network(network, job.architecture, num_classes, job.eval_resolution)
    return network.eval()


def open_images(job: Export, store: Store) -> RunImages:
    """Return the images at the test resolution, normalised as `store` says."""
    draw = partial(_draw, job, store)
    return RunImages(
        test=partial(_batches, job, store, "test"),
        selection=partial(_batches, job, store, "val"),
        labels=np.asarray(store.labels("test")),
        sources=_read_sources(store.directory / "pictures.csv", "test"),
        calibration=partial(draw, "train"),
        validation=partial(draw, "val"),
    )


def _batches(job: Export, store: Store, split: str) -> Iterator[np.ndarray]:
    stored = store.images(split, job.eval_resolution)
    for start in range(0, len(stored), BATCH_SIZE):
        yield _normalise(store, stored[start : start + BATCH_SIZE])


def _draw(job: Export, store: Store, split: str) -> np.ndarray:
    rows = draw_calibration_rows(store.counts[split])
    return _normalise(store, store.images(split, job.eval_resolution)[rows])


def _normalise(store: Store, images: Any) -> np.ndarray:
    # The path of every evaluation, so that not even rounding differs.
    normalise = Normalise(store.mean, store.std, torch.device("cpu"))
    batch = normalise(torch.from_numpy(np.array(images)))
    return batch.contiguous().numpy()


def _read_sources(table: Path, split: str) -> list[str]:
    check_content(table)
    with table.open(newline="", encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if row["split"] == split]
    return [row["source"] for row in sorted(rows, key=lambda row: int(row["index"]))]
