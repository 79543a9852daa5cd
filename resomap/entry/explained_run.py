"""What one run's explanation is about: its network, the blocks that are read, and the pictures that every run explains."""

from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from resomap.data.reef.counterfactual import render_reversed_stickers
from resomap.data.store.store import Store
from resomap.explain.run import (
    ExplainedImages,
    ExplainedNetwork,
    ExplainedRun,
    stratified_indices,
)
from resomap.models.inspect import find_layer, top_modules
from resomap.models.registry import build_model
from resomap.workflow.jobs import Explain


def open_explained_run(
    job: Explain, store: Store, state: dict[str, Tensor], device: torch.device
) -> ExplainedRun:
    """The network with the weights `state` on `device`, before the pictures of the store."""
    return ExplainedRun(
        _open_network(job, store.num_classes, state, device),
        _open_pictures(job, store),
        job.explainability,
    )


def _open_network(
    job: Explain, classes: int, state: dict[str, Tensor], device: torch.device
) -> ExplainedNetwork:
    build = partial(_build, job, classes, device)
    model = build(job.seed)
    model.load_state_dict(state)
    rule, fixed = (
        find_layer(model, resolution, job.explainability.layer)[0]
        for resolution in (job.resolution, job.smallest_resolution)
    )
    return ExplainedNetwork(model, job.seed, rule, fixed, top_modules(model), build)


def _build(job: Explain, classes: int, device: torch.device, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return (
        build_model(job.architecture, num_classes=classes)
        .to(device)
        .to(memory_format=torch.channels_last)
    )


def _open_pictures(job: Explain, store: Store) -> ExplainedImages:
    index, masks = (
        stratified_indices(store.labels("test"), job.explainability.images),
        store.masks("test"),
    )
    return ExplainedImages(
        index=index,
        images=store.images("test", job.resolution)[index],
        labels=np.asarray(store.labels("test")[index]),
        masks=None if masks is None else masks[index],
        stickers=_open_stickers(job, store, index),
        mean=store.mean,
        std=store.std,
        groups=[store.groups[name] for name in store.classes] if store.groups else None,
        pairs=store.pairs,
    )


def _open_stickers(job: Explain, store: Store, index: np.ndarray) -> np.ndarray | None:
    """The same pictures of a reef with a shortcut, their stickers reversed."""
    reef = job.data.reef
    if reef is None or reef.shortcut is None or not job.explainability.interventions:
        return None
    return render_reversed_stickers(
        reef, index, store.native_resolution, job.resolution, job.data.filter
    )
