import pytest
import torch
from torch import nn

from resomap.models.custom import SimpleCNN
from resomap.profiling.variants import (
    UnsupportedError,
    Variant,
    build_workload,
    parse_variant,
    prepare_model,
)

torch.set_num_threads(1)
CPU = torch.device("cpu")


@pytest.fixture
def model() -> nn.Module:
    return SimpleCNN(3, channels=[2, 4])


@pytest.mark.parametrize(
    ("name", "variant"),
    [
        ("eager", Variant("eager", "bf16", "channels_last")),
        ("compiled-fp16", Variant("compiled", "fp16", "channels_last")),
        ("eager-fp32-contiguous", Variant("eager", "fp32", "contiguous")),
        ("training_step-contiguous", Variant("training_step", "bf16", "contiguous")),
    ],
)
def test_variant_name_falls_back_to_defaults(name, variant):
    assert parse_variant(name, "bf16", "channels_last") == variant


class RecordingCNN(SimpleCNN):
    """Model that records dtype, layout and modes of its last call."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        channels_last = images.is_contiguous(memory_format=torch.channels_last)
        self.seen = images.dtype, channels_last, torch.is_grad_enabled(), self.training
        return super().forward(images)


@pytest.mark.parametrize(
    ("variant", "seen"),
    [
        (Variant("eager", "fp32", "channels_last"), (torch.float32, True, False, False)),
        (Variant("eager", "bf16", "contiguous"), (torch.bfloat16, False, False, False)),
        (Variant("training_step", "fp32", "channels_last"), (torch.float32, True, True, True)),
    ],
)
def test_model_is_called_as_the_variant_specifies(variant, seen):
    model = RecordingCNN(3, channels=[2, 4])
    prepared = prepare_model(model, variant, CPU)
    build_workload(prepared, variant, torch.randn(2, 3, 8, 8)).run()
    assert prepared.seen == seen
    assert not hasattr(model, "seen")


def test_training_step_changes_weights_of_its_copy_only(model: nn.Module):
    before = [parameter.clone() for parameter in model.parameters()]
    variant = Variant("training_step", "fp32", "channels_last")
    prepared = prepare_model(model, variant, CPU)
    workload = build_workload(prepared, variant, torch.randn(4, 3, 8, 8))
    workload.run()
    assert all(map(torch.equal, before, model.parameters()))
    assert not all(map(torch.equal, before, prepared.parameters()))
    weights = sum(parameter.nbytes for parameter in model.parameters())
    assert workload.held_bytes() > 4 * weights  # with gradients and both moments


def test_cuda_graph_without_gpu_is_unsupported(model: nn.Module):
    variant = Variant("cuda_graph", "fp32", "channels_last")
    with pytest.raises(UnsupportedError, match="need a CUDA device"):
        build_workload(model, variant, torch.randn(1, 3, 8, 8))
