"""Give the exported networks of one cell its test images by other preprocessings."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from resomap.data.store.store import open_store
from resomap.deploy.parity_table import parity_lines
from resomap.deploy.preprocessing import Preprocessing, describe_preprocessing
from resomap.deploy.preprocessing_parity import NativeImages, measure_preprocessing
from resomap.deploy.sessions import compute_logits, open_session
from resomap.entry.arguments import run_entry_point
from resomap.system.files import write_rows
from resomap.training.checkpoint import load_weights, recorded_normalisation
from resomap.workflow.jobs import ComparePreprocessing
from resomap.workflow.layout import table_columns
from resomap.workflow.receipts import check_content


def main(
    job: ComparePreprocessing,
    data: Path,
    weights: tuple[Path, ...],
    networks: tuple[Path, ...],
    table: Path,
    threads: int,
) -> None:
    """Write a row per preprocessing; no rows where no run of the cell has a network."""
    torch.set_num_threads(threads)
    # Of runs that ended without a result, and of networks that are not deployable, it is empty.
    exported = [place for place, path in enumerate(networks) if path.stat().st_size]
    rows = list[dict[str, Any]]()
    if exported:
        rows = measure(job, data, weights[exported[0]], [networks[each] for each in exported])
    write_rows(table, rows, table_columns("cell_parity"))


def measure(
    job: ComparePreprocessing, data: Path, weights: Path, networks: list[Path]
) -> list[dict[str, Any]]:
    """Return a row per preprocessing, and print them with a sentence."""
    store = open_store(data).normalised_by(recorded_normalisation(load_weights(weights)[1]))
    for path in networks:
        check_content(path)
    results = measure_preprocessing(
        NativeImages(store.native_images(), store.rows("test")),
        np.asarray(store.labels("test")),
        describe(job, store),
        [partial(predict, open_session(path.read_bytes())) for path in networks],
        job.confidence,
    )
    cell = f"{job.architecture.name} at {job.resolution} px"
    print("\n".join(parity_lines(results, job.confidence, cell)))
    architecture = job.architecture
    shared: dict[str, Any] = {"family": architecture.family, "model": architecture.name}
    shared |= {"train_resolution": job.resolution, "precision": job.compared_precision}
    return [{**shared, **each.as_table_row()} for each in results]


def describe(job: ComparePreprocessing, store: Any) -> Preprocessing:
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


def predict(session: Any, batch: np.ndarray) -> np.ndarray:
    """Return the logits of a batch."""
    return compute_logits(session, [batch])


if __name__ == "__main__":
    run_entry_point(main)
