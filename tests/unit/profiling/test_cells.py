import pytest
import torch

from resomap.config.schema import Profiling
from resomap.models.custom import SimpleCNN
from resomap.profiling import cells
from resomap.profiling.cells import largest_batch, sweep_sizes
from resomap.profiling.memory import Growth
from resomap.profiling.variants import UnsupportedError, Variant, Workload

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


@pytest.mark.parametrize(
    ("device", "largest", "measured"),
    [("cuda", 1000, 875), ("cuda", 1, 0), ("cuda", 4096, 4096), ("cpu", 1000, 1000)],
)
def test_sweep_stays_below_the_edge_of_gpu_memory(device, largest, measured):
    assert cells._below_the_edge(largest, torch.device(device)) == measured


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("full"), RuntimeError("CUDA error: out of memory")]
)
def test_images_that_do_not_fit_leave_the_smaller_cells(monkeypatch, error):
    def draw(resolution: int, count: int) -> torch.Tensor:
        if count > 4:
            raise error
        return torch.zeros(count, 3, resolution, resolution)

    monkeypatch.setattr(cells, "draw_images", draw)
    variant = Variant("eager", "fp32", "channels_last")
    sizes = [cells.CellSpec(variant, 8, size) for size in (1, 4, 16)]
    assert len(cells._draw_shared_images(8, sizes, torch.device("cpu"))) == 4


def test_memory_of_a_captured_graph_belongs_to_its_cell(monkeypatch):
    monkeypatch.setattr(cells, "growth_bytes", lambda run, device: Growth(0, 0, 7))
    workload = Workload(lambda: None, lambda: 100, captured_bytes=(30, 50))
    cell = cells._measure_memory(workload, torch.zeros(1))
    assert (cell.peak_bytes, cell.reserved_bytes) == (130, 150)
    assert cell.highest_peak_bytes == 137


def test_memory_of_a_runtime_is_that_of_its_own_process(monkeypatch):
    monkeypatch.setattr(cells, "growth_bytes", None)
    workload = Workload(lambda: None, lambda: 0, growth=Growth(50, None, 60), file_bytes=40)
    cell = cells._measure_memory(workload, torch.zeros(1))
    assert (cell.peak_bytes, cell.highest_peak_bytes, cell.reserved_bytes) == (50, 60, None)


def test_batch_of_an_unsupported_variant_does_not_fit():
    def refuse(*_: object) -> Workload:
        raise UnsupportedError("it cannot be exported")

    profiling = Profiling.model_construct(max_seconds=10.0)
    variant = Variant("onnxruntime", "fp32", "contiguous")
    model = SimpleCNN(3, channels=[2, 4])
    fits = cells._fit_test(model, variant, 8, profiling, torch.device("cpu"), refuse)
    assert not fits(1)
