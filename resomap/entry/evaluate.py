"""Score one run at every resolution of the sweep."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from resomap.data.loading.loader import EvalLoader, Normalise, to_device
from resomap.data.loading.placement import place_images
from resomap.data.store.store import Store, open_store
from resomap.entry.arguments import run_entry_point
from resomap.metrics import compute_scores
from resomap.models.registry import build_model
from resomap.system.files import write_arrays, write_rows
from resomap.system.gpus import keep_freed_memory, open_device
from resomap.training.checkpoint import load_weights
from resomap.training.memory import predict
from resomap.training.precision import use_float32
from resomap.workflow.jobs import Evaluate
from resomap.workflow.layout import table_columns

COLUMNS = table_columns("run_evaluation")
BATCH = 128


def main(
    job: Evaluate,
    data: Path,
    weights: Path,
    evaluation: Path,
    predictions: Path,
    val_predictions: Path,
    threads: int,
) -> None:
    """Write test scores a resolution, and the logits of both held-out splits; a run without a result has no pictures."""
    device = open_device(job.device, threads)
    use_float32()
    keep_freed_memory()
    store = open_store(data)
    state, about = load_weights(weights)
    model = None
    if about["status"] == "ok":
        model = build_model(job.architecture, num_classes=len(store.classes))
        model.load_state_dict(state)
        model.to(device).to(memory_format=torch.channels_last)

    test = held_out(model, store, "test", job.resolutions, device)
    write_arrays(predictions, **test)
    write_arrays(val_predictions, **held_out(model, store, "val", job.resolutions, device))
    rows = [
        {
            "eval_resolution": r,
            "mode": "raw",
            "n": len(test["label"]),
            **compute_scores(test[f"logits_r{r}"], test["label"]),
        }
        for r in job.resolutions
    ]
    write_rows(evaluation, rows, COLUMNS)


def held_out(
    model: nn.Module | None,
    store: Store,
    split: str,
    resolutions: tuple[int, ...],
    device: torch.device,
) -> dict[str, np.ndarray]:
    """Labels, indices and logits of `split` at each resolution; of no pictures where there is no model."""
    labels = store.labels(split) if model else np.zeros(0, np.int64)
    arrays = {"label": labels, "index": np.arange(len(labels))}
    normalise = Normalise(store.mean, store.std, device)
    for resolution in resolutions:
        logits = np.zeros((0, len(store.classes)), np.float32)
        if model:
            images = place_images(store.images(split, resolution), device, pin_memory=False)
            logits = predict(
                model, EvalLoader(images, to_device(labels, device), normalise, BATCH)
            ).numpy()
        arrays[f"logits_r{resolution}"] = logits
    return arrays


if __name__ == "__main__":
    run_entry_point(main)
