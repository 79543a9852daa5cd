"""Explain one run by every method, and hold its maps against the masks."""

from pathlib import Path

import torch

from resomap.data.store import open_store
from resomap.devices import keep_freed_memory, open_device
from resomap.entry.arguments import run
from resomap.explain.stage import LOCALISATION_COLUMNS, Pictures, explain_run, localisation_rows, unexplained
from resomap.files import write_arrays, write_rows
from resomap.jobs import Explain
from resomap.models.inspect import find_layer
from resomap.models.registry import build_model
from resomap.training.checkpoint import load_weights


def main(job: Explain, data: Path, weights: Path, localisation: Path, attributions: tuple[Path, ...], threads: int) -> None:
    """Write each method's signed maps, in the order of `explainability.methods`, and one row a method and picture."""
    device = open_device(job.device, threads)
    keep_freed_memory()
    store = open_store(data)
    pictures = Pictures(
        images=store.images("test", job.resolution),
        labels=store.labels("test"),
        masks=store.masks("test"),
        mean=store.mean,
        std=store.std,
        groups=[store.groups[name] for name in store.classes] if store.groups else None,
        pairs=store.pairs,
    )
    state, about = load_weights(weights)
    explanations = unexplained(job.explainability)
    if about["status"] == "ok":
        model = build_model(job.architecture, num_classes=len(store.classes))
        model.load_state_dict(state)
        layer, _, _ = find_layer(model, job.resolution, job.explainability.layer)
        model.to(device).to(memory_format=torch.channels_last)
        explanations = explain_run(model, pictures, job.explainability, layer)
    for path, explanation in zip(attributions, explanations, strict=True):
        write_arrays(path, **explanation.arrays())
    write_rows(localisation, [row for each in explanations for row in localisation_rows(each, pictures)], LOCALISATION_COLUMNS)


if __name__ == "__main__":
    run(main)
