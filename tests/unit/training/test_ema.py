import pytest
import torch
from torch import nn

from resomap.training.ema import WeightAverage, warmed_up_decay
from tests.tiny_training import build_network, build_noise_trainer


@pytest.mark.parametrize(
    ("updates", "decay"), [(1, 2 / 11), (8, 0.5), (90, 0.91), (8990, 0.999), (10**6, 0.999)]
)
def test_decay_warms_up_to_its_value(updates, decay):
    assert warmed_up_decay(0.999, updates) == pytest.approx(decay)


def test_average_follows_its_recursion():
    model, expected = nn.Linear(1, 1, bias=False), 0.0
    average = WeightAverage(model, 0.9)
    for step, value in enumerate([1.0, 2.0, -1.0, 4.0]):
        nn.init.constant_(model.weight, value)
        average.update_parameters(model)
        decay = min(0.9, (1 + step) / (10 + step)) if step else 0.0
        expected = decay * expected + (1 - decay) * value
        assert average.module.weight.item() == pytest.approx(expected, rel=1e-6)


def test_restored_average_continues_its_warm_up():
    model = nn.Linear(2, 2)
    first = WeightAverage(model, 0.999)
    for _ in range(5):
        first.update_parameters(model)
    second = WeightAverage(model, 0.999)
    second.load_state_dict(first.state_dict())
    nn.init.ones_(model.weight)
    for average in (first, second):
        average.update_parameters(model)
    assert int(first.n_averaged) == int(second.n_averaged) == 6
    assert torch.equal(first.module.weight, second.module.weight)


def test_short_training_with_long_memory_validates_what_it_learned():
    # 12 steps with a memory of 1,000: without the warm-up the first step would be validated.
    trainers = [
        build_noise_trainer(build_network(), ema_decay=decay) for decay in (None, 0.999)
    ]
    for epoch in range(4):
        for trainer in trainers:
            trainer.train_epoch(epoch)
    plain, averaged = (
        nn.utils.parameters_to_vector(trainer.eval_model.parameters()) for trainer in trainers
    )
    start = nn.utils.parameters_to_vector(build_network().parameters())
    assert (averaged - plain).norm() < 0.5 * (start - plain).norm()
