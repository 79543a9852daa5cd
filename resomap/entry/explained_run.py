"""Assemble what is explained of one run: its network, the blocks to read, and its images."""

from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from resomap.data.reef.counterfactual import render_reversed_stickers
from resomap.data.store.store import Store
from resomap.explain import run
from resomap.explain.run import ExplainedImages, ExplainedNetwork, ExplainedRun
from resomap.models.inspect import top_modules
from resomap.models.read_layers import find_read_layers
from resomap.models.registry import build_model
from resomap.workflow.jobs import Explain


def open_explained_run(
    job: Explain, store: Store, state: dict[str, Tensor], device: torch.device
) -> ExplainedRun:
    """Return the run whose network has the weights `state`, on `device`, with its images."""
    network = _open_network(job, store.num_classes, state, device)
    return ExplainedRun(network, _open_images(job, store), job.explainability)


def _open_network(
    job: Explain, num_classes: int, state: dict[str, Tensor], device: torch.device
) -> ExplainedNetwork:
    build = partial(_build, job, num_classes, device)
    model = build(job.seed)
    model.load_state_dict(state)
    sides = job.resolution, job.smallest_resolution
    layer, top = job.explainability.gradcam_layer, top_modules(model, job.resolution)
    layers = find_read_layers(model, job.architecture, *sides, layer)._asdict()
    return ExplainedNetwork(model, job.seed, top_modules=top, build=build, **layers)


def _build(job: Explain, num_classes: int, device: torch.device, seed: int) -> nn.Module:
    torch.manual_seed(seed)  # untrained and re-initialised networks need weights, too
    model = build_model(job.architecture, num_classes, job.resolution).to(device)
    return model.to(memory_format=torch.channels_last)


def _open_images(job: Explain, store: Store) -> ExplainedImages:
    labels, masks = store.labels("test"), store.masks("test")
    index = run.stratified_indices(labels, job.explainability.images)
    return ExplainedImages(
        index=index,
        pixels=store.images("test", job.resolution)[index],
        labels=np.asarray(labels[index]),
        masks=None if masks is None else masks[index],
        stickers=_open_stickers(job, store, index),
        mean=store.mean,
        std=store.std,
        groups=[store.groups[name] for name in store.classes] if store.groups else None,
        pairs=store.pairs,
    )


def _open_stickers(job: Explain, store: Store, index: np.ndarray) -> np.ndarray | None:
    """Return the images with reversed stickers; None without a reef with a shortcut."""
    reef = job.data.reef
    if reef is None or reef.shortcut is None or not job.explainability.interventions:
        return None
    sides = (store.native_resolution, job.resolution)
    return render_reversed_stickers(reef, index, *sides, job.data.filter)
