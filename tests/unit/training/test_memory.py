"""Memory that runs out in the middle of a training."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from resomap.data.loading.loader import EvalLoader
from resomap.training.evaluation.predict import predict
from resomap.training.fit import fit
from resomap.training.memory import (
    Infeasible,
    MicroBatch,
    min_micro_batch,
    run_within_memory,
)
from resomap.training.trainer import Trainer
from tests.tiny_training import (
    NORMALISE,
    VAL_LOSS,
    LimitedMemory,
    build_network,
    build_noise_trainer,
    half_bright_images,
    noise_batches,
)


def build_trainer(max_images: int, batch_norm: bool = False, **options: Any) -> Trainer:
    model = LimitedMemory(build_network(batch_norm=batch_norm), max_images)
    return build_noise_trainer(model, momentum=0.0, **options)


def trained(max_images: int, batch_norm: bool = False, **options: Any) -> Trainer:
    trainer = build_trainer(max_images, batch_norm, **options)
    trainer.train_epoch()
    return trainer


@pytest.mark.parametrize("max_images", [1, 2, 3, 5, 7])
def test_halved_micro_batches_equal_whole_batch(max_images):
    halved, whole = trained(max_images), trained(100)
    assert whole.micro_batch.size is None
    assert halved.micro_batch.size <= max_images
    parameters = [list(trainer.model.parameters()) for trainer in (halved, whole)]
    torch.testing.assert_close(*parameters, rtol=1e-5, atol=1e-6)


def test_failed_step_leaves_no_batch_norm_statistics():
    halved, chosen = trained(4, batch_norm=True), trained(100, batch_norm=True, micro_batch=4)
    assert halved.micro_batch.size == 4
    for name, tensor in halved.model.state_dict().items():
        assert torch.equal(tensor, chosen.model.state_dict()[name]), name


def test_repeated_step_counts_images_once():
    halved, whole = build_trainer(4).train_epoch(), build_trainer(100).train_epoch()
    assert halved["loss"] == pytest.approx(whole["loss"], rel=1e-5)
    assert halved["accuracy"] == whole["accuracy"]


@pytest.mark.parametrize(("batch_norm", "limit"), [(False, 0), (True, 1)])
def test_too_little_memory_is_infeasible(batch_norm, limit):
    outcome = fit(build_trainer(limit, batch_norm), 2, VAL_LOSS)
    assert outcome.status == "infeasible"
    assert (outcome.weights, outcome.scores, outcome.history) == ({}, {}, [])
    assert f"not even {limit + 1} image" in outcome.reason


def test_validation_and_prediction_shrink_too():
    trainer, [(images, labels)] = build_trainer(2), noise_batches(9, 9)
    loss = build_trainer(100).validate()["loss"]
    assert trainer.validate()["loss"] == pytest.approx(loss, rel=1e-6)
    expected = predict(build_network(), [(images, labels)])
    torch.testing.assert_close(predict(trainer.model, [(images, labels)]), expected)


def test_predictions_are_ordered_float32_in_eval_mode():
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.9), nn.Linear(192, 2)).train()
    images, labels = half_bright_images(10, 0)
    logits = predict(model, EvalLoader(images, labels, NORMALISE, 3))
    assert (logits.shape, logits.dtype, logits.requires_grad) == ((10, 2), torch.float32, False)
    torch.testing.assert_close(logits, model(NORMALISE(images)).detach())


def test_other_errors_are_not_retried():
    error = RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    model = LimitedMemory(build_network(), 2, error)
    with pytest.raises(RuntimeError, match="shapes"):
        predict(model, noise_batches(9, 9))


@pytest.mark.parametrize(
    ("message", "named"),
    [
        ("CUDA error: out of memory", False),
        ("GET was unable to find an engine to execute", True),
    ],
)
def test_infeasible_names_what_may_be_no_lack_of_memory(message, named):
    model = LimitedMemory(build_network(), 0, RuntimeError(message))
    outcome = fit(build_noise_trainer(model, momentum=0.0), 1, VAL_LOSS)
    assert outcome.status == "infeasible"
    assert ("unable to find an engine" in outcome.reason) == named


@given(count=st.integers(1, 300), size=st.integers(1, 300), minimum=st.sampled_from([1, 2]))
def test_pieces_are_even_and_not_below_minimum(count, size, minimum):
    pieces = torch.arange(count).tensor_split(MicroBatch(size, minimum).num_pieces(count))
    lengths = list(map(len, pieces))
    assert sum(lengths) == count
    assert max(lengths) <= max(size, minimum) + (minimum - 1)
    assert min(lengths) >= min(count, minimum, size)
    assert max(lengths) - min(lengths) <= 1


@given(count=st.integers(1, 5000), limit=st.integers(0, 5000), minimum=st.sampled_from([1, 2]))
def test_halving_ends_with_fit_or_infeasible(count, limit, minimum):
    micro_batch, undone = MicroBatch(None, minimum), list[int]()

    def work() -> int:
        size = -(-count // micro_batch.num_pieces(count))
        if size > limit:
            raise torch.OutOfMemoryError
        return size

    try:
        assert run_within_memory(micro_batch, count, work, lambda: undone.append(1)) <= limit
        assert len(undone) <= 13
    except Infeasible:
        assert limit < 2 * minimum


def test_batch_norm_needs_two_images():
    assert min_micro_batch(build_network(batch_norm=True)) == 2
    assert min_micro_batch(build_network()) == 1
