"""Finished runs of a cell, loaded for images of a resolution: test images, labels, networks."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resomap.config.schema import Config
from resomap.errors import ConfigError, DataError, suggest
from resomap.workflow.predictions import RAW

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

    from resomap.analysis.predictions import Cell, Run
    from resomap.data.store.store import Store
    from resomap.deploy.preprocessing import Preprocessing

BATCH = 128


def find_cell(text: str | None, results: Path, config: Config) -> "Cell":
    """Return the cell of `tiny_cnn@48`, or the chosen one; ConfigError lists those of the sweep."""
    from resomap.analysis.decision.inputs import read_sweep
    from resomap.workflow.checked_files import read_json

    by_name = {
        f"{each.model}@{each.resolution}": each for each in read_sweep(results, config)[1]
    }
    if text is None:
        table = results / "tables" / "choice.json"
        choice = read_json(table).get("choice") if table.exists() else None
        if not choice:
            raise ConfigError(
                f"{table}: nothing is chosen there; name a cell: {', '.join(by_name)}"
            )
        text = f"{choice['model']}@{choice['resolution']}"
        side, mode = choice["eval_resolution"], choice["mode"]
        if (side, mode) != (choice["resolution"], RAW):
            adapted = "" if mode == RAW else f" ({mode})"
            raise ConfigError(
                f"{table}: the choice is {text}, given images of {side} px{adapted}; this command "
                f"takes networks as trained: name a cell, such as {text}"
            )
    if text not in by_name:
        raise ConfigError(f"{text!r} is no cell of this sweep; {suggest(text, by_name)}")
    return by_name[text]


@dataclass(frozen=True)
class RunSource:
    """What is needed to try preprocessings on a cell: test images, labels, a network per seed."""

    images: Any
    labels: "np.ndarray"
    preprocessing: "Preprocessing"
    networks: "list[Callable[[np.ndarray], np.ndarray]]"
    runs: "list[Run]"

    def sample(self, count: int) -> "RunSource":
        """Return the source with a random sample of its images, the same in every call."""
        import numpy as np

        # Not the first: images are often stored class by class.
        drawn = np.random.default_rng(0).permutation(len(self.labels))[:count]
        chosen = np.sort(drawn)
        return replace(self, images=self.images[chosen], labels=self.labels[chosen])


def open_run(results: Path, config: Config, cell: "Cell", resolution: int) -> RunSource:
    """Load the finished runs of a cell for input of `resolution`."""
    from resomap.analysis.decision.inputs import read_sweep
    from resomap.analysis.predictions import finished_runs
    from resomap.deploy.preprocessing_parity import NativeImages

    _, _, seeds, runs = read_sweep(results, config)
    finished = finished_runs([cell], seeds, runs)
    if not finished:
        raise DataError(f"{cell}: no run of this sweep is finished in {runs.folder}")
    store = _open_store(results)
    loaded = [_load_network(results, run, config, store, resolution) for run in finished]
    return RunSource(
        images=NativeImages(store.native_images(), store.rows("test")),
        labels=store.labels("test"),
        preprocessing=describe_run(store, config, resolution, loaded[0][1]),
        networks=[network for network, _ in loaded],
        runs=finished,
    )


def _open_store(results: Path) -> "Store":
    from resomap.data.store.store import open_store

    manifest = results / "data" / "manifest.json"
    store = open_store(manifest)
    if not manifest.with_name("native.npy").exists():
        raise DataError(
            f"{manifest.with_name('native.npy')} is missing: other preprocessings start from it. "
            "Prepare the data again"
        )
    return store


def describe_run(
    store: "Store", config: Config, resolution: int, metadata: dict[str, Any]
) -> "Preprocessing":
    """Describe the preprocessing of a run; `metadata` are those of its weights."""
    from resomap.deploy.preprocessing import describe_preprocessing
    from resomap.training.checkpoint import recorded_normalisation

    store = store.normalised_by(recorded_normalisation(metadata))
    return describe_preprocessing(
        native_resolution=store.native_resolution,
        resolution=resolution,
        aspect=store.aspect,
        filter=store.filter,
        mean=store.mean,
        std=store.std,
        bit_depth=config.data.bit_depth,
    )


def _load_network(
    results: Path, run: "Run", config: Config, store: "Store", resolution: int
) -> tuple[Any, dict[str, Any]]:
    """Return a run's network as a function of arrays, and the metadata of its weights."""
    from resomap.config.sweep_checks import find_architecture
    from resomap.models.registry import build_model, resize_network
    from resomap.models.regularisation import Regularisation
    from resomap.training.checkpoint import load_weights

    checkpoint = Path("checkpoints", *run.folder.parts[-4:], "best.safetensors")
    state, metadata = load_weights(results / checkpoint)
    architecture = find_architecture(config.models, run.cell.model)
    recipe = config.training
    settings = store.num_classes, run.cell.resolution
    model = build_model(
        architecture, *settings, Regularisation(recipe.dropout, recipe.drop_path)
    )
    model.load_state_dict(state)
    model = resize_network(model, architecture, store.num_classes, resolution).eval()

    return as_predictor(model, run.cell.model, resolution), metadata


def as_predictor(
    model: "nn.Module", name: str, resolution: int
) -> "Callable[[np.ndarray], np.ndarray]":
    """Return a network in evaluation mode as a function of arrays.

    ConfigError where it cannot take images of `resolution`.
    """
    import numpy as np
    import torch

    @torch.inference_mode()
    def predict(batch: "np.ndarray") -> "np.ndarray":
        parts = torch.from_numpy(batch).split(BATCH)
        return torch.cat([model(part) for part in parts]).numpy()

    try:
        predict(np.zeros((1, 3, resolution, resolution), np.float32))
    # Networks refuse a size by an error of torch, from any layer.
    except RuntimeError as error:
        reason = str(error).strip().partition("\n")[0]
        raise ConfigError(
            f"--resolution {resolution}: {name} cannot take such images: {reason}"
        ) from error
    return predict
