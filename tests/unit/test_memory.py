"""Memory that runs out in the middle of a training."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from resomap.config.training import Monitor
from resomap.training.fit import fit
from resomap.training.memory import (
    Infeasible,
    MicroBatch,
    is_out_of_memory,
    min_micro_batch,
    predict,
    run_within_memory,
)
from resomap.training.trainer import Trainer


class Hungry(nn.Module):
    """A network that finds no memory for more than `most` pictures at once, and says so in torch's own way."""

    def __init__(self, network: nn.Module, most: int, error: Exception | None = None) -> None:
        super().__init__()
        self.network, self.most, self.error = (
            network,
            most,
            error or torch.OutOfMemoryError("CUDA out of memory."),
        )

    def forward(self, images: Tensor) -> Tensor:
        found = self.network(images)  # its BatchNorm has seen the pictures when memory runs out
        if len(images) > self.most:
            raise self.error
        return found


def network(norm: bool) -> nn.Module:
    torch.manual_seed(0)
    stage = [nn.Conv2d(3, 4, 3), *([nn.BatchNorm2d(4)] if norm else []), nn.ReLU()]
    return nn.Sequential(*stage, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3))


def pictures(count: int = 21) -> tuple[Tensor, Tensor]:
    return torch.randn(
        count, 3, 8, 8, generator=torch.Generator().manual_seed(1)
    ), torch.arange(count) % 3


def trainer(most: int, norm: bool = False, **options: Any) -> Trainer:
    model = Hungry(network(norm), most)
    images, labels = pictures()
    batches = list(zip(images.split(8), labels.split(8), strict=True))
    return Trainer(
        model,
        "cpu",
        nn.CrossEntropyLoss(),
        torch.optim.SGD(model.parameters(), lr=0.1),
        batches,
        [pictures(9)],
        **options,
    )


def trained(most: int, norm: bool = False, **options: Any) -> Trainer:
    one = trainer(most, norm, **options)
    one.train_epoch()
    return one


@pytest.mark.parametrize("most", [1, 2, 3, 5, 7])
def test_halved_portions_train_what_the_whole_batch_does(most):
    one, whole = trained(most), trained(100)
    assert whole.micro_batch.size is None
    assert one.micro_batch.size <= most
    torch.testing.assert_close(
        list(one.model.parameters()), list(whole.model.parameters()), rtol=1e-5, atol=1e-6
    )


def test_what_a_step_that_did_not_fit_told_batchnorm_is_forgotten():
    halved, chosen = trained(4, norm=True), trained(100, norm=True, micro_batch=4)
    assert halved.micro_batch.size == 4
    for name, tensor in halved.model.state_dict().items():
        assert torch.equal(tensor, chosen.model.state_dict()[name]), name


def test_the_scores_of_an_epoch_count_every_picture_once():
    one = trainer(4)
    whole = trainer(100)
    mine, theirs = one.train_epoch(), whole.train_epoch()
    assert mine["loss"] == pytest.approx(theirs["loss"], rel=1e-5)
    assert mine["accuracy"] == theirs["accuracy"]


@pytest.mark.parametrize(
    ("norm", "most", "words"),
    [(False, 0, "not even 1 image at once"), (True, 1, "not even 2 images at once")],
)
def test_a_network_for_which_not_even_the_fewest_fit_is_infeasible(norm, most, words):
    outcome = fit(trainer(most, norm), 2, Monitor(name="val_loss", mode="min"))
    assert (outcome.status, outcome.weights, outcome.scores, outcome.history) == (
        "infeasible",
        {},
        {},
        [],
    )
    assert words in outcome.reason


def test_validation_and_prediction_shrink_too():
    one = trainer(2)
    assert one.validate()["loss"] == pytest.approx(trainer(100).validate()["loss"], rel=1e-6)
    images, labels = pictures(9)
    torch.testing.assert_close(
        predict(one.model, [(images, labels)]), predict(network(False), [(images, labels)])
    )


def test_another_error_is_no_lack_of_memory():
    model = Hungry(network(False), 2, RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="shapes"):
        predict(model, [pictures()])


def test_torch_on_a_cpu_says_it_in_words():
    with pytest.raises(RuntimeError) as raised:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(raised.value)


@given(count=st.integers(1, 300), size=st.integers(1, 300), least=st.sampled_from([1, 2]))
def test_pieces_are_alike_and_never_smaller_than_the_least(count, size, least):
    pieces = [
        len(piece)
        for piece in torch.arange(count).tensor_split(MicroBatch(size, least).num_pieces(count))
    ]
    assert sum(pieces) == count
    assert max(pieces) <= max(size, least) + (least - 1)
    assert min(pieces) >= min(count, least, size)
    assert max(pieces) - min(pieces) <= 1


@given(count=st.integers(1, 5000), most=st.integers(0, 5000), least=st.sampled_from([1, 2]))
def test_halving_ends_with_what_fits_or_with_infeasible(count, most, least):
    portion, undone = MicroBatch(None, least), list[int]()

    def work() -> int:
        size = -(-count // portion.num_pieces(count))
        if size > most:
            raise torch.OutOfMemoryError
        return size

    try:
        assert run_within_memory(portion, count, work, lambda: undone.append(1)) <= most
        assert len(undone) <= 13
    except Infeasible:
        assert most < 2 * least


def test_batchnorm_needs_two_pictures():
    assert (min_micro_batch(network(True)), min_micro_batch(network(False))) == (2, 1)
