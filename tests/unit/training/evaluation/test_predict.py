import math
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from resomap.config.architecture import Architecture
from resomap.config.evaluation import Evaluation
from resomap.config.load import build_config, merge
from resomap.models.registry import build_model
from resomap.training.evaluation import predict as evaluation_module
from resomap.training.evaluation.predict import Adapter, predict_modes, score_predictions
from resomap.training.memory import Infeasible
from resomap.workflow.predictions import logits_name

RESOLUTIONS = (8, 12)


class StoredNoise:
    """A store of noise: 40 training, 12 validation and 20 test images of three classes."""

    counts: ClassVar = {"train": 40, "val": 12, "test": 20}
    mean, std, num_classes = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25), 3

    def __init__(self, folder: Path) -> None:
        self._folder, draw = folder, np.random.default_rng(0)
        for split, count in self.counts.items():
            for px in RESOLUTIONS:
                images = draw.integers(0, 256, (count, px, px, 3), np.uint8)
                np.save(folder / f"{split}{px}.npy", images)

    def images(self, split: str, resolution: int) -> np.ndarray:
        """Return the images of a split, as a map of their file."""
        return np.load(self._folder / f"{split}{resolution}.npy", mmap_mode="r")

    def labels(self, split: str) -> np.ndarray:
        """Return the labels of a split, the classes in turn."""
        return np.arange(self.counts[split]) % self.num_classes


HEAD = ("5.weight", "5.bias")  # of `network`


@pytest.fixture
def adapter(tmp_path, defaults) -> Adapter:
    config = build_config(merge(defaults, {"evaluation": {"modes": ["raw", "bn", "finetune"]}}))
    store = StoredNoise(tmp_path)
    return Adapter(
        store, torch.device("cpu"), config.evaluation, config.training, seed=0, classifier=HEAD
    )


def network(norm: type[nn.Module] = nn.BatchNorm2d) -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 6, 3), norm(6), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    return nn.Sequential(*layers, nn.Linear(6, 3))


def only(adapter: Adapter, *modes: str) -> Adapter:
    settings = Evaluation(**{**dict(adapter.evaluation), "modes": modes})
    return replace(adapter, evaluation=settings)


def test_every_mode_is_predicted_on_both_splits(adapter):
    predictions = predict_modes(network(), adapter, RESOLUTIONS)
    for split, count in (("test", 20), ("val", 12)):
        arrays = predictions[split]
        assert arrays["index"].tolist() == list(range(count))
        for mode in ("raw", "bn", "finetune"):
            for px in RESOLUTIONS:
                assert arrays[logits_name(px, mode)].shape == (count, 3)


def test_other_modes_leave_raw_logits_alone(adapter):
    alone = predict_modes(network(), only(adapter, "raw"), RESOLUTIONS)
    beside = predict_modes(network(), adapter, RESOLUTIONS)
    for split, arrays in alone.items():
        assert all(np.array_equal(beside[split][name], arrays[name]) for name in arrays)


def test_network_without_batch_norm_lacks_bn(adapter):
    predictions = predict_modes(network(nn.Identity), only(adapter, "raw", "bn"), RESOLUTIONS)
    assert list(predictions["test"]) == ["label", "index", "logits_r8", "logits_r12"]
    rows = score_predictions(
        predictions["test"], predictions["val"], RESOLUTIONS, ("raw", "bn")
    )
    scored = [(row["mode"], row["n"], math.isnan(row["accuracy"])) for row in rows]
    assert scored == [("raw", 20, False)] * 2 + [("bn", 0, True)] * 2


def test_bn_leaves_logits_of_a_network_without_batch_norm_alone(adapter):
    alone = predict_modes(network(nn.Identity), only(adapter, "raw"), RESOLUTIONS)
    beside = predict_modes(network(nn.Identity), only(adapter, "raw", "bn"), RESOLUTIONS)
    for split, arrays in beside.items():
        assert list(arrays) == list(alone[split])
        assert all(np.array_equal(arrays[name], alone[split][name]) for name in arrays)


def test_temperature_is_fitted_on_validation():
    draw, labels = np.random.default_rng(0), np.arange(200) % 3
    logits = (draw.normal(0, 1, (200, 3)) + np.eye(3)[labels]).astype(np.float32)
    test = {"label": labels, "logits_r8": logits}
    rows = [
        score_predictions(test, test | {"logits_r8": factor * logits}, (8,), ("raw",))[0]
        for factor in (1, 5)
    ]
    assert rows[1]["temperature"] == pytest.approx(5 * rows[0]["temperature"], rel=0.001)
    assert rows[1]["log_loss"] == rows[0]["log_loss"]


def test_run_without_result_has_no_images_in_any_mode(adapter):
    predictions = predict_modes(None, adapter, RESOLUTIONS)
    rows = score_predictions(
        predictions["test"], predictions["val"], RESOLUTIONS, ("raw", "bn")
    )
    assert predictions["val"][logits_name(12, "finetune")].shape == (0, 3)
    assert [row["n"] for row in rows] == [0] * 4
    assert all(math.isnan(row["temperature"]) for row in rows)


def test_mode_that_does_not_fit_into_memory_is_left_out(adapter, monkeypatch):
    def fail(*_args, **_options):
        raise Infeasible("not even 1 image at once fits into memory")

    monkeypatch.setattr(evaluation_module, "fine_tune", fail)
    predictions = predict_modes(network(), adapter, RESOLUTIONS)
    assert not any("finetune" in name for name in predictions["test"])
    assert logits_name(8, "bn") in predictions["test"]


def test_transformer_is_evaluated_at_a_size_it_was_not_built_for(adapter):
    entry = Architecture(
        name="vit", family="vit", builder="timm/vit_tiny_patch16_224", patch_size=4
    )
    torch.manual_seed(0)
    model = build_model(entry, 3, 8)
    head = ("head.weight", "head.bias")
    bound = replace(only(adapter, "raw", "finetune"), architecture=entry, classifier=head)
    predictions = predict_modes(model, bound, RESOLUTIONS)
    alone = predict_modes(model, only(adapter, "raw"), (8,))
    assert np.array_equal(predictions["test"]["logits_r8"], alone["test"]["logits_r8"])
    assert predictions["test"]["logits_r12"].shape == (20, 3)
    assert logits_name(12, "finetune") in predictions["val"]


def test_fine_tuning_that_diverged_is_left_out(adapter, monkeypatch):
    def diverge(model, *_args, **_options):
        spoilt = network()
        nn.init.constant_(spoilt[-1].weight, math.nan)
        return spoilt

    monkeypatch.setattr(evaluation_module, "fine_tune", diverge)
    predictions = predict_modes(network(), adapter, RESOLUTIONS)
    assert not any("finetune" in name for name in predictions["test"] | predictions["val"])
    assert logits_name(8, "bn") in predictions["test"]
