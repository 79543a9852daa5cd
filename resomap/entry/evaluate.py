"""Evaluate one run at every resolution of the sweep, in every mode."""

from pathlib import Path

import torch

from resomap.data.store.store import open_store
from resomap.entry.arguments import run_entry_point
from resomap.models.classifier import find_classifier
from resomap.models.registry import build_model
from resomap.models.regularisation import Regularisation
from resomap.system.files import write_arrays, write_rows
from resomap.system.gpus import keep_freed_memory, open_device
from resomap.system.precision import use_float32
from resomap.training.checkpoint import load_weights, recorded_normalisation
from resomap.training.evaluation.predict import Adapter, predict_modes, score_predictions
from resomap.workflow.jobs import Evaluate
from resomap.workflow.layout import table_columns


def main(
    job: Evaluate,
    data: Path,
    weights: Path,
    evaluation: Path,
    predictions: Path,
    val_predictions: Path,
    threads: int,
) -> None:
    """Write the test scores per resolution and mode, and the logits of test and validation.

    A run that diverged or did not fit into memory has no images in these files.
    """
    device = open_device(job.device, threads)
    use_float32()
    keep_freed_memory()
    state, metadata = load_weights(weights)
    store = open_store(data).normalised_by(recorded_normalisation(metadata))
    momentum = metadata.get("bn_momentum", job.architecture.bn_momentum)
    architecture = job.architecture.model_copy(update={"bn_momentum": momentum})
    regularisation = Regularisation(job.training.dropout, job.training.drop_path)
    network = architecture, store.num_classes, job.resolution, regularisation
    classifier = find_classifier(*network) if "finetune" in job.evaluation.modes else ()
    # A run without a result has no weights, but its files are declared: write them empty.
    model = None
    if metadata["status"] == "ok":
        # Dropout is on while BatchNorm statistics are taken again and while it is fine-tuned.
        model = build_model(*network)
        model.load_state_dict(state)
        model.to(device).to(memory_format=torch.channels_last)

    adapter = Adapter(
        store, device, job.evaluation, job.training, job.seed, architecture, classifier
    )
    splits = predict_modes(model, adapter, job.resolutions)
    write_arrays(predictions, **splits["test"])
    write_arrays(val_predictions, **splits["val"])
    modes = job.evaluation.modes
    rows = score_predictions(splits["test"], splits["val"], job.resolutions, modes)
    write_rows(evaluation, rows, table_columns("run_evaluation"))


if __name__ == "__main__":
    run_entry_point(main)
