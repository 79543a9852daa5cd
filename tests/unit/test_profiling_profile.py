import pytest
import torch
from torch import nn

from resomap.models.custom import SimpleCNN
from resomap.profiling.flops import count_macs
from resomap.profiling.profile import profile_model
from resomap.sections import Profiling

torch.set_num_threads(1)

SETTINGS = Profiling(cpu_threads=1, memory_format="channels_last", batch_size=4, warmup_seconds=1e-4, rounds=5, round_seconds=1e-4)
COLUMNS = {
    *("resolution", "device", "precision", "memory_format", "variant", "threads", "batch_size", "n", "valid", "status"),
    *("latency_ms_p50", "latency_ms_p90", "latency_ms_p99", "inference_images_per_second", "macs", "flops", "num_parameters"),
    *("model_size_mib", "peak_memory_mib"),
}
BESIDE_COLUMNS = {"latency_ms_rounds", "relative_spread", "cpu_share"}
CPU = torch.device("cpu")


class Fussy(SimpleCNN):
    """Has no memory for more than two pictures, and notes how it is called."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if len(images) > 2:
            raise torch.OutOfMemoryError("no memory left")
        self.channels_last = images.is_contiguous(memory_format=torch.channels_last)
        self.saw_gradients = torch.is_grad_enabled()
        return super().forward(images)


@pytest.fixture
def model() -> nn.Module:
    return SimpleCNN(3, channels=[2, 4])


def test_every_resolution_is_measured_at_batch_one_and_at_the_full_batch(model: nn.Module):
    cells = profile_model(model, (8, 16), SETTINGS, CPU, "fp32")["cells"]
    assert [(cell["resolution"], cell["batch_size"]) for cell in cells] == [(8, 1), (8, 4), (16, 1), (16, 4)]
    assert all(cell.keys() == COLUMNS | BESIDE_COLUMNS for cell in cells)


def test_a_record_is_consistent_with_itself(model: nn.Module):
    cell = profile_model(model, (16,), SETTINGS, CPU, "fp32")["cells"][1]
    assert cell["inference_images_per_second"] == pytest.approx(4000 / cell["latency_ms_p50"])
    assert cell["flops"] == 2 * cell["macs"] == 2 * count_macs(model, 16)
    assert cell["num_parameters"] == sum(map(torch.numel, model.parameters()))
    assert cell["n"] >= 15
    assert len(cell["latency_ms_rounds"]) == 5
    assert (cell["device"], cell["precision"], cell["memory_format"], cell["variant"]) == ("cpu", "fp32", "channels_last", "eager")
    assert cell["threads"] == torch.get_num_threads()


def test_the_reference_is_timed_beside_the_cells(model: nn.Module):
    profile = profile_model(model, (8,), SETTINGS, CPU, "fp32")
    assert profile["reference"]["latency_ms_p50"] > 0
    assert len(profile["reference"]["latency_ms_rounds"]) == 5
    assert profile["load_average"].keys() == {"before", "after"}


def test_a_cell_that_does_not_fit_is_infeasible_and_the_others_are_measured():
    small, large = profile_model(Fussy(3, channels=[2, 4]), (8,), SETTINGS, CPU, "fp32")["cells"]
    assert (small["status"], large["status"]) == ("ok", "infeasible")
    blank = {key for key, value in large.items() if value is None}
    assert blank == {column for column in large if column.startswith("latency_ms_p")} | {
        *("inference_images_per_second", "peak_memory_mib", "relative_spread", "cpu_share")
    }
    assert (large["n"], large["valid"], large["latency_ms_rounds"]) == (0, False, [])


@pytest.mark.parametrize("memory_format", ["channels_last", "contiguous"])
def test_pictures_arrive_in_the_layout_asked_for_and_without_gradients(memory_format: str):
    model = Fussy(3, channels=[2, 4])
    profile_model(model, (8,), SETTINGS.model_copy(update={"memory_format": memory_format, "batch_size": 2}), CPU, "fp32")
    assert model.channels_last is (memory_format == "channels_last")
    assert not model.saw_gradients
    assert not model.training


def test_profiling_leaves_the_random_numbers_of_the_caller_alone(model: nn.Module):
    before = torch.get_rng_state()
    profile_model(model, (8,), SETTINGS, CPU, "fp32")
    assert torch.equal(torch.get_rng_state(), before)
