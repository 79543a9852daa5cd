"""Logits and scores of a trained network on held-out splits, at every resolution and mode."""

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from resomap.config.architecture import Architecture
from resomap.config.evaluation import Evaluation, EvaluationMode
from resomap.config.training import Training
from resomap.data.loading.augment import Normalise
from resomap.data.loading.loader import EvalLoader, to_device
from resomap.data.loading.placement import DiskImages, place_images
from resomap.data.store.store import Store
from resomap.metrics import compute_scores
from resomap.models.registry import resize_network
from resomap.models.regularisation import Regularisation
from resomap.system.gpu_memory import limit_memory_to_slot
from resomap.training.build import build_criterion
from resomap.training.evaluation.adapt import fine_tune, has_statistics, recalibrate
from resomap.training.evaluation.temperature import fit_temperature
from resomap.training.memory import Infeasible, MicroBatch, forward_in_micro_batches
from resomap.workflow.predictions import RAW, logits_name

BATCH_SIZE = 128
SPLITS = ("test", "val")
Arrays = dict[str, np.ndarray]


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


@dataclass(frozen=True)
class Adapter:
    """What takes a run, trained by `recipe` from `seed`, to other resolutions.

    `architecture` is None where the weights of its network do not depend on the resolution.
    `classifier` names the tensors that a fine-tuning changes, beside those of BatchNorm.
    """

    store: Store
    device: torch.device
    evaluation: Evaluation
    recipe: Training
    seed: int
    architecture: Architecture | None = None
    classifier: Collection[str] = ()

    def resize(self, model: nn.Module, resolution: int) -> nn.Module:
        """Return the network for images of `resolution`: position embeddings are interpolated."""
        if self.architecture is None:
            return model
        resized = resize_network(
            model,
            self.architecture,
            self.store.num_classes,
            resolution,
            Regularisation(self.recipe.dropout, self.recipe.drop_path),
        )
        return resized.to(memory_format=torch.channels_last)

    def adapt(
        self, model: nn.Module, mode: EvaluationMode, resolution: int
    ) -> nn.Module | None:
        """Return the network of a mode at `resolution`; None where `model` has none."""
        try:
            if mode == "bn" and has_statistics(model):
                return self._recalibrate(model, resolution)
            if mode == "finetune":
                return self._fine_tune(model, resolution)
        # A gradient may not fit into memory where a forward pass does.
        except Infeasible:
            return None
        return model if mode == RAW else None

    def _recalibrate(self, model: nn.Module, resolution: int) -> nn.Module:
        # Read from the disk one by one: of many images a small sample is used.
        images = DiskImages(Path(str(self._images(resolution).filename)))
        return recalibrate(model, images, self._normalise, self.evaluation.bn_images)

    def _fine_tune(self, model: nn.Module, resolution: int) -> nn.Module:
        return fine_tune(
            model,
            place_images(self._images(resolution), self.device),
            to_device(self.store.labels("train"), self.device),
            self._normalise,
            build_criterion(self.recipe, self.store),
            classifier=self.classifier,
            recipe=self.recipe,
            settings=self.evaluation.finetune,
            seed=self.seed,
        )

    def _images(self, resolution: int) -> Any:
        return self.store.images("train", resolution)

    @property
    def _normalise(self) -> Normalise:
        return Normalise(self.store.mean, self.store.std, self.device)


def predict_modes(
    model: nn.Module | None, adapter: Adapter, resolutions: Sequence[int]
) -> dict[str, Arrays]:
    """Return the predictions of `model` on the splits test and val, in every mode.

    Those of a split are `label` (N,), `index` (N,) and, named by `logits_name`, float32 logits
    (N, C) for each resolution and mode. A mode that the network does not have, such as bn
    without BatchNorm or a fine-tuning that diverged, is left out. Without a model (a diverged or infeasible run) N is 0.
    """
    limit_memory_to_slot(adapter.device)
    store, modes = adapter.store, adapter.evaluation.modes
    if model is None:
        empty = _no_predictions(store.num_classes, resolutions, modes)
        return {split: dict(empty) for split in SPLITS}
    predictions = {split: _labels(store, split) for split in SPLITS}
    for resolution in resolutions:
        loaders = {split: _loader(store, split, resolution, adapter.device) for split in SPLITS}
        resized = adapter.resize(model, resolution)
        for mode in modes:
            network = adapter.adapt(resized, mode, resolution)
            logits = {} if network is None else _predict_splits(network, loaders)
            # A fine-tuning may diverge, and of NaN alone the arg max is the first class.
            if mode == RAW or all(np.isfinite(values).all() for values in logits.values()):
                for split, values in logits.items():
                    predictions[split][logits_name(resolution, mode)] = values
    return predictions


def _predict_splits(network: nn.Module, loaders: dict[str, EvalLoader]) -> Arrays:
    return {split: predict(network, loader).numpy() for split, loader in loaders.items()}


def _labels(store: Store, split: str) -> Arrays:
    labels = store.labels(split)
    return {"label": labels, "index": np.arange(len(labels))}


def _no_predictions(
    num_classes: int, resolutions: Sequence[int], modes: Sequence[EvaluationMode]
) -> Arrays:
    names = [logits_name(*pair) for pair in product(resolutions, modes)]
    logits = np.zeros((0, num_classes), np.float32)
    none = {"label": np.zeros(0, np.int64), "index": np.arange(0)}
    return none | dict.fromkeys(names, logits)


def _loader(store: Store, split: str, resolution: int, device: torch.device) -> EvalLoader:
    images = place_images(store.images(split, resolution), device)
    labels = to_device(store.labels(split), device)
    normalise = Normalise(store.mean, store.std, device)
    pinned = device.type == "cuda"
    return EvalLoader(images, labels, normalise, BATCH_SIZE, pin_memory=pinned)


def score_predictions(
    test: Arrays, val: Arrays, resolutions: Sequence[int], modes: Sequence[EvaluationMode]
) -> list[dict[str, Any]]:
    """Return a row of evaluation.csv per mode and resolution, from what `predict_modes` returned.

    The temperature is fitted on `val`. Scores of a mode that the network does not have are NaN.
    """
    rows = []
    for mode, resolution in product(modes, resolutions):
        name = logits_name(resolution, mode)
        labels, logits = test["label"], test.get(name)
        if logits is None:
            labels, logits = labels[:0], np.zeros((0, 1), np.float32)
        temperature = fit_temperature(val[name], val["label"]) if name in val else math.nan
        scores = compute_scores(logits, labels, temperature)
        rows.append({"eval_resolution": resolution, "mode": mode, "n": len(labels), **scores})
    return rows
