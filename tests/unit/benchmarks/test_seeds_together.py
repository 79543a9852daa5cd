import pytest
import torch

from benchmarks.seeds_together import Cell, largest_difference, train_together

# torch runs the global pooling seed by seed.
pytestmark = pytest.mark.filterwarnings("ignore:There is a performance drop")


def test_seeds_trained_together_have_weights_of_their_own_trainings():
    cell = Cell("tiny_cnn", 24, 3, torch.device("cpu"))
    assert cell.compare_weights(1) < 1e-4


def test_seeds_trained_together_differ_from_each_other():
    cell = Cell("tiny_cnn", 8, 2, torch.device("cpu"))
    cell.build()
    first, second = train_together(cell.models, cell.draw(1))
    assert largest_difference([first], [second]) > 0.1
