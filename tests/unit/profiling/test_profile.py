import json
import multiprocessing
import os
import threading
import time

import pytest
import torch
from torch import nn

from resomap.config.schema import Profiling
from resomap.models.custom import SimpleCNN
from resomap.profiling import profile as profile_module
from resomap.profiling.cells import CellMeasurement, CellSpec
from resomap.profiling.energy import Energy
from resomap.profiling.memory import MIB, Growth
from resomap.profiling.profile import (
    ENERGY_KEYS,
    measure_stages,
    profile_model,
    unsupported_reasons,
)
from resomap.profiling.summary import count_macs
from resomap.profiling.timing import Clock, ProcessClock, Timing
from resomap.profiling.variants import UnsupportedError, Variant, Workload

torch.set_num_threads(1)

SETTINGS = Profiling(
    cpu_threads=1,
    memory_format="channels_last",
    variants=("eager",),
    batch_size=4,
    batch_sweep=False,
    end_to_end=True,
    energy=False,
    warmup_seconds=1e-4,
    rounds=5,
    round_seconds=1e-4,
    target_relative_error=0.5,
    max_seconds=0.01,
)
RECORD_KEYS = {
    *("resolution", "batch_size", "variant", "precision", "memory_format", "threads", "device"),
    *("status", "n", "rounds", "valid", "why_invalid", "relative_error", "cpu_share"),
    *("ratio_to_reference", "ratio_rounds", "latency_ms_p50", "latency_ms_p90"),
    *("latency_ms_p99", "latency_ms_p50_cold", "latency_ms_low", "latency_ms_high"),
    *("latency_ms_rounds", "inference_images_per_second", "training_images_per_second"),
    *("macs", "flops", "num_parameters", "model_size_mib", "activations_mib"),
    *("peak_memory_mib", "peak_memory_mib_highest", "peak_reserved_mib", *ENERGY_KEYS),
}  # fmt: skip
CPU = torch.device("cpu")


@pytest.fixture
def model() -> nn.Module:
    return SimpleCNN(3, channels=[2, 4])


def profile(model: nn.Module, *resolutions: int, **changes) -> dict:
    return profile_model(
        dict.fromkeys(resolutions, model), SETTINGS.model_copy(update=changes), CPU, "fp32"
    )


def test_every_resolution_is_measured_at_both_batch_sizes(model: nn.Module):
    cells = profile(model, 8, 16)["cells"]
    sizes = [(cell["resolution"], cell["batch_size"]) for cell in cells]
    assert sizes == [(8, 1), (8, 4), (16, 1), (16, 4)]
    assert all(cell.keys() == RECORD_KEYS for cell in cells)


def test_record_is_consistent(model: nn.Module):
    cell = profile(model, 16)["cells"][1]
    assert cell["inference_images_per_second"] == pytest.approx(4000 / cell["latency_ms_p50"])
    assert cell["latency_ms_low"] <= cell["latency_ms_p50"] <= cell["latency_ms_high"]
    assert cell["flops"] == 2 * cell["macs"] == 2 * count_macs(model, 16)
    assert cell["num_parameters"] == sum(map(torch.numel, model.parameters()))
    assert cell["n"] >= 15
    assert len(cell["latency_ms_rounds"]) == len(cell["ratio_rounds"]) == cell["rounds"] >= 5
    assert cell["threads"] == torch.get_num_threads()
    assert cell["peak_memory_mib"] >= cell["model_size_mib"]


def test_reference_is_timed_beside_the_cells(model: nn.Module):
    measured = profile(model, 8)
    assert measured["reference"]["latency_ms_p50"] > 0
    assert measured["reference"]["rounds"] >= 5
    assert set(measured["reference"]["ratio_rounds"]) == {1.0}
    assert measured["conditions"]["load_average"].keys() == {"before", "after"}
    assert measured["conditions"]["gpu"] is None


def test_profile_is_valid_json(model: nn.Module):
    json.dumps(profile(model, 8), allow_nan=False)


class MemoryLimitedCNN(SimpleCNN):
    """Model that runs out of memory with more than two images."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if len(images) > 2 and not images.is_meta:
            raise torch.OutOfMemoryError("no memory left")
        return super().forward(images)


def test_cell_that_does_not_fit_is_infeasible():
    small, large = profile(MemoryLimitedCNN(3, channels=[2, 4]), 8)["cells"]
    assert (small["status"], large["status"]) == ("ok", "infeasible")
    assert (large["n"], large["valid"]) == (0, False)
    measured = ("latency", "peak", "inference", "ratio")
    values = {key: value for key, value in large.items() if key.startswith(measured)}
    lists = {"latency_ms_rounds": [], "ratio_rounds": []}
    assert {key: value for key, value in values.items() if value is not None} == lists


class LeakingCNN(SimpleCNN):
    """Model that runs out of memory after a few calls, as beside other cells on a full GPU."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        calls = getattr(self, "calls", 0) + (len(images) > 2 and not images.is_meta)
        self.calls = calls
        if len(images) > 2 and calls > 12:  # after the calls that measure memory
            raise RuntimeError("GET was unable to find an engine to execute this computation")
        return super().forward(images)


def test_cell_that_runs_out_of_memory_later_is_infeasible():
    small, large = profile(LeakingCNN(3, channels=[2, 4]), 8)["cells"]
    assert (small["status"], small["valid"]) == ("ok", True)
    assert (large["status"], large["n"]) == ("infeasible", 0)
    assert large["latency_ms_p50"] is None
    assert large["peak_memory_mib"] is None


def test_each_variant_has_records_of_its_own(model: nn.Module):
    variants = ("eager", "training_step", "eager-bf16-contiguous", "cuda_graph")
    # Large enough that the activations of a step are more than a few pages of memory.
    cells = profile(model, 64, variants=variants)["cells"]
    names = ("variant", "precision", "memory_format", "batch_size", "status")
    assert [tuple(cell[name] for name in names) for cell in cells] == [
        ("eager", "fp32", "channels_last", 1, "ok"),
        ("eager", "fp32", "channels_last", 4, "ok"),
        ("training_step", "fp32", "channels_last", 4, "ok"),
        ("eager", "bf16", "contiguous", 1, "ok"),
        ("eager", "bf16", "contiguous", 4, "ok"),
        ("cuda_graph", "fp32", "channels_last", 1, "unsupported"),
        ("cuda_graph", "fp32", "channels_last", 4, "unsupported"),
    ]
    step = cells[2]
    assert step["training_images_per_second"] == pytest.approx(4000 / step["latency_ms_p50"])
    assert step["inference_images_per_second"] is None
    assert step["peak_memory_mib"] > cells[1]["peak_memory_mib"]
    assert step["activations_mib"] > cells[1]["activations_mib"]


class FakeRuntime:
    """Builds workloads that count their calls, of files of 3 MiB; int8 is unsupported."""

    def __init__(self) -> None:
        self.calls = dict[str, int]()
        self.devices = set[str]()

    def build(self, model: nn.Module, variant: Variant, images: torch.Tensor) -> Workload:
        self.devices.add(images.device.type)
        if variant.precision == "int8":
            raise UnsupportedError("it cannot be quantised")

        def run() -> None:
            self.calls[variant.mode] = self.calls.get(variant.mode, 0) + len(images)

        growth = Growth(5 * MIB, None, 6 * MIB)
        return Workload(run, lambda: 0, growth=growth, file_bytes=3 * MIB)


def test_runtimes_are_measured_beside_eager(model: nn.Module):
    runtime, variants = FakeRuntime(), ("onnxruntime", "eager", "openvino", "openvino-int8")
    settings = SETTINGS.model_copy(update={"variants": variants})
    cells = profile_model({8: model}, settings, CPU, "fp32", runtime.build)["cells"]
    names = ("variant", "precision", "memory_format", "batch_size", "status", "device")
    assert [tuple(cell[name] for name in names) for cell in cells] == [
        ("onnxruntime", "fp32", "contiguous", 1, "ok", "cpu"),
        ("onnxruntime", "fp32", "contiguous", 4, "ok", "cpu"),
        ("eager", "fp32", "channels_last", 1, "ok", "cpu"),
        ("eager", "fp32", "channels_last", 4, "ok", "cpu"),
        ("openvino", "fp32", "contiguous", 1, "ok", "cpu"),
        ("openvino", "fp32", "contiguous", 4, "ok", "cpu"),
        ("openvino", "int8", "contiguous", 1, "unsupported", "cpu"),
        ("openvino", "int8", "contiguous", 4, "unsupported", "cpu"),
    ]
    assert all(cell.keys() == RECORD_KEYS for cell in cells)
    assert all(count > 15 for count in runtime.calls.values())
    batch, unsupported = cells[1], cells[-1]
    assert batch["inference_images_per_second"] == pytest.approx(4000 / batch["latency_ms_p50"])
    assert (batch["peak_memory_mib"], batch["peak_memory_mib_highest"]) == (5, 6)
    assert (batch["model_size_mib"], batch["activations_mib"]) == (3, None)
    assert len(batch["ratio_rounds"]) >= 5
    assert unsupported["why_invalid"] == "it cannot be quantised"
    assert (unsupported["n"], unsupported["model_size_mib"]) == (0, None)
    assert unsupported_reasons(cells) == {"openvino, int8: it cannot be quantised"}


def test_runtimes_beside_a_gpu_have_a_reference_on_the_cpu(model: nn.Module, monkeypatch):
    # Timed on no device: only where each cell belongs, and which reference it has.
    timed = []

    def time_cells(cells, profiling, device):
        timed.append((device.type, [spec.variant.mode for spec in cells]))
        return Timing()

    monkeypatch.setattr("resomap.profiling.profile._time_cells", time_cells)
    cells = {
        CellSpec(Variant(mode, "fp32", "contiguous"), 8, 1): CellMeasurement()
        for mode in ("eager", "openvino", "onnxruntime", "compiled")
    }
    gpu = torch.device("cuda")
    references = profile_module._time_by_device(cells, SETTINGS, gpu)
    assert timed == [("cuda", ["eager", "compiled"]), ("cpu", ["openvino", "onnxruntime"])]
    assert list(references) == ["reference", "cpu_reference"]
    timed.clear()
    assert list(profile_module._time_by_device(cells, SETTINGS, CPU)) == ["reference"]
    assert timed == [("cpu", ["eager", "openvino", "onnxruntime", "compiled"])]


def test_runtimes_beside_a_gpu_are_recorded_as_of_the_cpu(model: nn.Module):
    specs = [
        CellSpec(Variant(mode, "fp32", "contiguous"), 8, 1) for mode in ("eager", "openvino")
    ]
    cells = dict.fromkeys(specs, CellMeasurement())
    records = profile_module._cell_records({8: model}, cells, torch.device("cuda"))
    assert [record["device"] for record in records] == ["cuda", "cpu"]


def test_runtime_waiting_for_its_threads_does_not_look_crowded():
    clock = ProcessClock()
    wall, cpu = clock.wall(), clock.cpu()

    def spin() -> None:
        while clock.wall() < wall + 0.3:
            pass

    own = time.thread_time()
    worker = threading.Thread(target=spin)
    worker.start()
    worker.join()
    assert time.thread_time() - own < 0.1
    assert clock.cpu() - cpu > 0.1


def test_batch_sweep_ends_at_the_largest_batch(model: nn.Module, monkeypatch):
    monkeypatch.setattr("resomap.profiling.cells._fit_test", lambda *_: lambda size: size <= 6)
    cells = profile(model, 8, batch_sweep=True)["cells"]
    assert [cell["batch_size"] for cell in cells] == [1, 2, 4, 6]


def test_profiling_keeps_global_random_state(model: nn.Module):
    before = torch.get_rng_state()
    profile(model, 8)
    assert torch.equal(torch.get_rng_state(), before)


def test_stages_are_timed_separately():
    work = {"decode": 400, "resize": 100, "copy": 10, "forward": 1000}

    def spin(count: int):
        return lambda: sum(range(100 * count))

    stages = {24: [spin(count) for count in work.values()]}
    settings = SETTINGS.model_copy(update={"round_seconds": 0.01})
    (record,) = measure_stages(stages, spin(1), settings, Clock())
    assert record["resolution"] == 24
    assert record["copy_ms"] < record["resize_ms"] < record["decode_ms"] < record["forward_ms"]
    assert record["n"] >= 15


@pytest.mark.parametrize("enabled", [False, True])
def test_energy_without_meter_is_blank(model: nn.Module, monkeypatch, enabled):
    monkeypatch.setattr("resomap.profiling.profile.open_meter", lambda device: None)
    cells = profile(model, 8, energy=enabled)["cells"]
    assert {cell[key] for cell in cells for key in ENERGY_KEYS} == {None}


def test_energy_is_measured_for_the_first_variant(model: nn.Module, monkeypatch):
    calls = []

    def measure(meter, work, images):
        work()
        calls.append(images)
        return Energy(0.5 * images, 0.25, 20.0, 10.0, 0.01, (0.5 * images,) * 3)

    monkeypatch.setattr("resomap.profiling.profile.open_meter", lambda device: "a meter")
    monkeypatch.setattr("resomap.profiling.profile.measure_energy", measure)
    cells = profile(model, 8, energy=True, variants=("eager", "training_step"))["cells"]
    assert [cell["energy_j_per_image"] for cell in cells] == [0.5, 2.0, None]
    assert (calls, cells[0]["power_w"], cells[0]["idle_power_w"]) == ([1, 4], 20.0, 10.0)


class Spinning(nn.Module):
    """Model whose forward pass takes 1 ms."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        deadline = time.perf_counter() + 1e-3
        while not images.is_meta and time.perf_counter() < deadline:
            pass
        return self.head(images.mean((2, 3)))


def burn() -> None:
    while True:
        pass


@pytest.fixture
def busy_machine():
    """Run two busy processes for each core."""
    context = multiprocessing.get_context("spawn")
    count = 2 * len(os.sched_getaffinity(0))
    neighbours = [context.Process(target=burn, daemon=True) for _ in range(count)]
    for neighbour in neighbours:
        neighbour.start()
    time.sleep(2.0)  # until all of them run
    yield
    for neighbour in neighbours:
        neighbour.kill()
        neighbour.join()


@pytest.mark.usefixtures("busy_machine")
def test_busy_machine_makes_all_cells_crowded():
    timing = {"round_seconds": 0.2, "target_relative_error": 0.02, "max_seconds": 0.5}
    cells = profile(Spinning(), 8, 16, **timing)["cells"]
    assert [(cell["valid"], cell["why_invalid"]) for cell in cells] == [(False, "crowded")] * 4


def test_profile_restores_the_flags_of_tf32(model: nn.Module, restored_tf32):
    for allowed in (True, False):
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = allowed
        profile(model, 8)
        assert torch.backends.cudnn.allow_tf32 == allowed
        assert torch.backends.cuda.matmul.allow_tf32 == allowed
