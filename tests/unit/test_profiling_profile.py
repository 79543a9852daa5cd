import json

import pytest
import torch
from torch import nn

from resomap.config.schema import Profiling
from resomap.models import load_model_from_config
from resomap.models.custom import SimpleCNN
from resomap.profiling.batches import largest_batch, sweep_sizes
from resomap.profiling.energy import Energy
from resomap.profiling.flops import count_macs
from resomap.profiling.profile import profile_model
from resomap.profiling.stages import measure_stages
from resomap.profiling.summary import summarise
from resomap.profiling.timing import Clock
from resomap.profiling.variants import (
    UnsupportedError,
    Variant,
    build_workload,
    parse_variant,
    prepare_model,
)

torch.set_num_threads(1)

SETTINGS = Profiling(
    cpu_threads=1, memory_format="channels_last", variants=("eager",), batch_size=4, batch_sweep=False, end_to_end=True, energy=False,
    warmup_seconds=1e-4, rounds=5, round_seconds=1e-4, target_relative_error=0.5, max_seconds=0.01,
)  # fmt: skip
KEYS = {
    *(
        "resolution",
        "batch_size",
        "variant",
        "precision",
        "memory_format",
        "threads",
        "device",
        "status",
        "n",
        "rounds",
        "valid",
        "why_invalid",
    ),
    *(
        "latency_ms_p50",
        "latency_ms_p90",
        "latency_ms_p99",
        "latency_ms_low",
        "latency_ms_high",
        "latency_ms_rounds",
        "relative_error",
    ),
    *(
        "cpu_share",
        "latency_ms_p50_cold",
        "ratio_to_reference",
        "ratio_rounds",
        "inference_images_per_second",
        "training_images_per_second",
    ),
    *(
        "macs",
        "flops",
        "num_parameters",
        "model_size_mib",
        "activations_mib",
        "peak_memory_mib",
        "peak_reserved_mib",
    ),
    *("energy_j_per_image", "energy_j_per_image_above_idle", "power_w", "idle_power_w"),
}
CPU = torch.device("cpu")


class Fussy(SimpleCNN):
    """Has no memory for more than two pictures."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if len(images) > 2 and not images.is_meta:
            raise torch.OutOfMemoryError("no memory left")
        return super().forward(images)


@pytest.fixture
def model() -> nn.Module:
    return SimpleCNN(3, channels=[2, 4])


def settings(**change) -> Profiling:
    return SETTINGS.model_copy(update=change)


def test_every_resolution_is_measured_at_batch_one_and_at_the_full_batch(model: nn.Module):
    cells = profile_model(model, (8, 16), SETTINGS, CPU, "fp32")["cells"]
    assert [(cell["resolution"], cell["batch_size"]) for cell in cells] == [
        (8, 1),
        (8, 4),
        (16, 1),
        (16, 4),
    ]
    assert [cell.keys() ^ KEYS for cell in cells] == [set()] * 4


def test_a_record_is_consistent_with_itself(model: nn.Module):
    cell = profile_model(model, (16,), SETTINGS, CPU, "fp32")["cells"][1]
    assert cell["inference_images_per_second"] == pytest.approx(4000 / cell["latency_ms_p50"])
    assert cell["latency_ms_low"] <= cell["latency_ms_p50"] <= cell["latency_ms_high"]
    assert cell["flops"] == 2 * cell["macs"] == 2 * count_macs(model, 16)
    assert cell["num_parameters"] == sum(map(torch.numel, model.parameters()))
    assert cell["n"] >= 15
    assert len(cell["latency_ms_rounds"]) == len(cell["ratio_rounds"]) == cell["rounds"] >= 5
    assert (cell["device"], cell["precision"], cell["memory_format"], cell["variant"]) == (
        "cpu",
        "fp32",
        "channels_last",
        "eager",
    )
    assert cell["threads"] == torch.get_num_threads()
    assert cell["peak_memory_mib"] >= cell["model_size_mib"]


def test_the_reference_is_timed_beside_the_cells(model: nn.Module):
    profile = profile_model(model, (8,), SETTINGS, CPU, "fp32")
    assert profile["reference"]["latency_ms_p50"] > 0
    assert profile["reference"]["rounds"] >= 5
    assert set(profile["reference"]["ratio_rounds"]) == {1.0}
    assert profile["conditions"]["load_average"].keys() == {"before", "after"}
    assert profile["conditions"]["gpu"] is None


def test_a_record_can_be_written_as_json(model: nn.Module):
    json.dumps(profile_model(model, (8,), SETTINGS, CPU, "fp32"), allow_nan=False)


def test_a_cell_that_does_not_fit_is_infeasible_and_the_others_are_measured():
    small, large = profile_model(Fussy(3, channels=[2, 4]), (8,), SETTINGS, CPU, "fp32")[
        "cells"
    ]
    assert (small["status"], large["status"]) == ("ok", "infeasible")
    known = {key for key, value in large.items() if value is not None}
    assert {
        key for key in known if key.startswith(("latency", "peak", "inference", "ratio"))
    } == {"latency_ms_rounds", "ratio_rounds"}
    assert (large["n"], large["valid"], large["latency_ms_rounds"]) == (0, False, [])


def test_each_variant_is_a_record_of_its_own_and_training_is_no_inference(model: nn.Module):
    cells = profile_model(
        model,
        (16,),
        settings(variants=("eager", "training_step", "eager-bf16-contiguous", "cuda_graph")),
        CPU,
        "fp32",
    )["cells"]
    told = [
        (
            cell["variant"],
            cell["precision"],
            cell["memory_format"],
            cell["batch_size"],
            cell["status"],
        )
        for cell in cells
    ]
    assert told == [
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


@pytest.mark.parametrize(
    ("name", "variant"),
    [
        ("eager", Variant("eager", "bf16", "channels_last")),
        ("compiled-fp16", Variant("compiled", "fp16", "channels_last")),
        ("eager-fp32-contiguous", Variant("eager", "fp32", "contiguous")),
        ("training_step-contiguous", Variant("training_step", "bf16", "contiguous")),
    ],
)
def test_a_variant_takes_what_it_does_not_name_from_the_run(name, variant):
    assert parse_variant(name, "bf16", "channels_last") == variant


class Noted(SimpleCNN):
    """Notes how it is called."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.seen = (
            images.dtype,
            images.is_contiguous(memory_format=torch.channels_last),
            torch.is_grad_enabled(),
            self.training,
        )
        return super().forward(images)


@pytest.mark.parametrize(
    ("variant", "seen"),
    [
        (Variant("eager", "fp32", "channels_last"), (torch.float32, True, False, False)),
        (Variant("eager", "bf16", "contiguous"), (torch.bfloat16, False, False, False)),
        (Variant("training_step", "fp32", "channels_last"), (torch.float32, True, True, True)),
    ],
)
def test_pictures_arrive_as_the_variant_says(variant, seen):
    model = Noted(3, channels=[2, 4])
    prepared = prepare_model(model, variant, CPU)
    build_workload(prepared, variant, torch.randn(2, 3, 8, 8)).run()
    assert prepared.seen == seen
    assert not hasattr(model, "seen")


def test_a_training_step_moves_the_weights_of_its_copy_alone(model: nn.Module):
    before = [parameter.clone() for parameter in model.parameters()]
    variant = Variant("training_step", "fp32", "channels_last")
    prepared = prepare_model(model, variant, CPU)
    workload = build_workload(prepared, variant, torch.randn(4, 3, 8, 8))
    workload.run()
    assert all(
        torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True)
    )
    assert any(
        not torch.equal(old, new)
        for old, new in zip(before, prepared.parameters(), strict=True)
    )
    weights = sum(parameter.nbytes for parameter in model.parameters())
    assert workload.held_bytes() > 4 * weights  # with gradients and both moments


def test_a_graph_without_a_gpu_is_unsupported(model: nn.Module):
    with pytest.raises(UnsupportedError, match="need a CUDA device"):
        build_workload(
            model, Variant("cuda_graph", "fp32", "channels_last"), torch.randn(1, 3, 8, 8)
        )


def test_profiling_leaves_the_random_numbers_of_the_caller_alone(model: nn.Module):
    before = torch.get_rng_state()
    profile_model(model, (8,), SETTINGS, CPU, "fp32")
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("largest", [0, 1, 2, 3, 37, 64, 100])
def test_the_largest_batch_is_found_in_few_tries(largest):
    tried: list[int] = []
    assert (
        largest_batch(lambda size: bool(tried.append(size)) or size <= largest, 100) == largest
    )
    assert len(tried) <= 2 * 7 + 1
    assert len(tried) == len(set(tried))


def test_a_sweep_doubles_up_to_the_largest():
    assert [sweep_sizes(largest) for largest in (0, 1, 2, 5, 8)] == [
        [],
        [],
        [2],
        [2, 4, 5],
        [2, 4, 8],
    ]


def test_a_batch_sweep_measures_every_size_and_ends_where_memory_does(monkeypatch):
    monkeypatch.setattr("resomap.profiling.cells._fits", lambda *_: lambda size: size <= 6)
    cells = profile_model(
        SimpleCNN(3, channels=[2, 4]), (8,), settings(batch_sweep=True), CPU, "fp32"
    )["cells"]
    assert [cell["batch_size"] for cell in cells] == [1, 2, 4, 6]


def test_on_a_cpu_a_batch_fits_that_takes_neither_half_the_memory_nor_too_long(
    model: nn.Module,
):
    from resomap.profiling.cells import _fits

    fits = _fits(
        model, Variant("eager", "fp32", "channels_last"), 8, settings(max_seconds=10.0), CPU
    )
    assert fits(64)
    assert not fits(2**40)
    assert not _fits(
        model, Variant("eager", "fp32", "channels_last"), 8, settings(max_seconds=1e-9), CPU
    )(64)


def test_the_stages_of_a_file_are_timed_apart():
    work = {"decode": 400, "resize": 100, "copy": 10, "forward": 1000}

    def spin(count: int):
        return lambda: sum(range(100 * count))

    (record,) = measure_stages(
        {24: [spin(count) for count in work.values()]},
        spin(1),
        settings(round_seconds=0.01),
        Clock(),
    )
    assert record["resolution"] == 24
    assert record["copy_ms"] < record["resize_ms"] < record["decode_ms"] < record["forward_ms"]
    assert record["n"] >= 15


def test_a_summary_tells_every_layer_and_the_whole():
    model = load_model_from_config("tiny_cnn", num_classes=8)
    text, record = summarise(model, 24)
    assert "Conv2d" in text
    assert record["num_parameters"] == sum(map(torch.numel, model.parameters()))
    assert record["macs"] == count_macs(model, 24)
    biases = 8  # which torchinfo counts as operations
    assert (
        sum(
            layer["macs"] for layer in record["layers"] if layer["kind"] in ("Conv2d", "Linear")
        )
        == record["macs"] + biases
    )
    assert [
        layer["output_size"] for layer in record["layers"] if layer["kind"] == "Linear"
    ] == [[1, 8]]


def test_energy_is_blank_where_it_was_not_asked_for_or_cannot_be_measured(
    model: nn.Module, monkeypatch
):
    monkeypatch.setattr("resomap.profiling.profile.open_meter", lambda device: None)
    for asked in (False, True):
        (cell, _) = profile_model(model, (8,), settings(energy=asked), CPU, "fp32")["cells"]
        assert {
            cell[name]
            for name in (
                "energy_j_per_image",
                "energy_j_per_image_above_idle",
                "power_w",
                "idle_power_w",
            )
        } == {None}


def test_energy_stands_in_the_records_of_the_first_variant(model: nn.Module, monkeypatch):
    calls = []

    def measure(meter, work, images):
        work()
        calls.append(images)
        return Energy(0.5 * images, 0.25, 20.0, 10.0, 0.01)

    monkeypatch.setattr("resomap.profiling.profile.open_meter", lambda device: "a meter")
    monkeypatch.setattr("resomap.profiling.profile.measure_energy", measure)
    cells = profile_model(
        model, (8,), settings(energy=True, variants=("eager", "training_step")), CPU, "fp32"
    )["cells"]
    assert [cell["energy_j_per_image"] for cell in cells] == [0.5, 2.0, None]
    assert (calls, cells[0]["power_w"], cells[0]["idle_power_w"]) == ([1, 4], 20.0, 10.0)
