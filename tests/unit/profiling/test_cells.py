import pytest
import torch

from resomap.config.schema import Profiling
from resomap.models.custom import SimpleCNN
from resomap.profiling import cells
from resomap.profiling.cells import largest_batch, sweep_sizes
from resomap.profiling.variants import Variant

torch.set_num_threads(1)


@pytest.mark.parametrize("largest", [0, 1, 2, 3, 37, 64, 100])
def test_largest_batch_is_found_in_few_tries(largest):
    tried: list[int] = []

    def fits(size: int) -> bool:
        tried.append(size)
        return size <= largest

    assert largest_batch(fits, 100) == largest
    assert len(tried) <= 2 * 7 + 1
    assert len(tried) == len(set(tried))


@pytest.mark.parametrize(
    ("largest", "sizes"), [(0, []), (1, []), (2, [2]), (5, [2, 4, 5]), (8, [2, 4, 8])]
)
def test_sweep_sizes_double_up_to_the_largest(largest, sizes):
    assert sweep_sizes(largest) == sizes


def fit_test(max_seconds: float):
    profiling = Profiling.model_construct(max_seconds=max_seconds)
    variant = Variant("eager", "fp32", "channels_last")
    model = SimpleCNN(3, channels=[2, 4])
    return cells._fit_test(model, variant, 8, profiling, torch.device("cpu"))


def test_batch_fits_cpu_within_memory_and_time():
    fits = fit_test(max_seconds=10.0)
    assert fits(64)
    assert not fits(2**40)
    assert not fit_test(max_seconds=1e-9)(64)
