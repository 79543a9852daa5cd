"""Measure other preprocessings on the exported networks of one cell."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from resomap.data.store.store import Store
from resomap.deploy.preprocessing import Preprocessing, describe_preprocessing
from resomap.deploy.preprocessing_parity import (
    NativeImages,
    PreprocessingCost,
    measure_preprocessing,
)
from resomap.deploy.sessions import compute_logits, open_session
from resomap.workflow.jobs import ComparePreprocessing
from resomap.workflow.receipts import check_content


def measure_cell(
    job: ComparePreprocessing, store: Store, networks: Sequence[Path]
) -> list[PreprocessingCost]:
    """Measure every preprocessing on the test images of `store`, which has its normalisation."""
    for path in networks:
        check_content(path)
    return measure_preprocessing(
        NativeImages(store.native_images(), store.rows("test")),
        np.asarray(store.labels("test")),
        _describe(job, store),
        [partial(_predict, open_session(path.read_bytes())) for path in networks],
        job.confidence,
    )


def table_rows(
    job: ComparePreprocessing, costs: Sequence[PreprocessingCost]
) -> list[dict[str, Any]]:
    """Return the rows of preprocessing_parity.csv."""
    cell = {
        "family": job.architecture.family,
        "model": job.architecture.name,
        "train_resolution": job.resolution,
        "precision": job.compared_precision,
    }
    return [cell | each.as_table_row() for each in costs]


def _describe(job: ComparePreprocessing, store: Store) -> Preprocessing:
    """Describe the preprocessing of the training for images of the test resolution."""
    return describe_preprocessing(
        native_resolution=store.native_resolution,
        resolution=job.eval_resolution,
        aspect=store.aspect,
        filter=store.filter,
        mean=store.mean,
        std=store.std,
        bit_depth=job.data.bit_depth,
    )


def _predict(session: Any, batch: np.ndarray) -> np.ndarray:
    return compute_logits(session, [batch])
