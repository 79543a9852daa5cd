"""Logits and scores of a trained network on held-out splits, at every resolution."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from resomap.data.loading.loader import EvalLoader, Normalise, to_device
from resomap.data.loading.placement import place_images
from resomap.data.store.store import Store
from resomap.metrics import compute_scores
from resomap.system.gpu_memory import limit_memory_to_slot
from resomap.training.memory import MicroBatch, forward_in_micro_batches

BATCH_SIZE = 128


@torch.inference_mode()
def predict(model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
    """Return float32 logits (N, classes) on the CPU, in the order of `batches`.

    The model is put into evaluation mode; batches are split where memory is short.
    """
    model.eval()
    micro_batch, logits = MicroBatch(), list[Tensor]()
    for images, _ in batches:
        logits.append(forward_in_micro_batches(model, images, micro_batch).cpu())
    return torch.cat(logits)


def predict_split(
    model: nn.Module | None,
    store: Store,
    split: str,
    resolutions: Iterable[int],
    device: torch.device,
) -> dict[str, np.ndarray]:
    """Return `label` (N,), `index` (N,) and `logits_r{resolution}` (N, C), float32, of a split.

    Without a model (a diverged or infeasible run) N is 0.
    """
    limit_memory_to_slot(device)
    labels = np.zeros(0, np.int64) if model is None else store.labels(split)
    predictions: dict[str, np.ndarray] = {"label": labels, "index": np.arange(len(labels))}
    for resolution in resolutions:
        if model is None:
            logits = np.zeros((0, store.num_classes), np.float32)
        else:
            logits = _predict_resolution(model, store, split, resolution, device)
        predictions[f"logits_r{resolution}"] = logits
    return predictions


def _predict_resolution(
    model: nn.Module, store: Store, split: str, resolution: int, device: torch.device
) -> np.ndarray:
    images = place_images(store.images(split, resolution), device)
    labels = to_device(store.labels(split), device)
    normalise = Normalise(store.mean, store.std, device)
    pinned = device.type == "cuda"
    batches = EvalLoader(images, labels, normalise, BATCH_SIZE, pin_memory=pinned)
    return predict(model, batches).numpy()


def score_predictions(
    predictions: dict[str, np.ndarray], resolutions: Iterable[int]
) -> list[dict[str, Any]]:
    """Return a row of evaluation.csv per resolution, from what `predict_split` returned."""
    labels, rows = predictions["label"], []
    for resolution in resolutions:
        scores = compute_scores(predictions[f"logits_r{resolution}"], labels)
        rows.append({"eval_resolution": resolution, "mode": "raw", "n": len(labels), **scores})
    return rows
