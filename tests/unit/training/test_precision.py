import pytest
import torch
from torch import nn

from resomap.errors import DeviceError
from resomap.system import precision as system_precision
from resomap.training.precision import autocast, build_scaler
from tests.tiny_training import build_network, build_noise_trainer

CPU = torch.device("cpu")


def tf32_flags() -> tuple[bool, bool]:
    return torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize(
    ("precision", "allowed", "dtype"),
    [
        ("fp32", False, torch.float32),
        ("tf32", True, torch.float32),
        ("bf16", False, torch.bfloat16),
        ("fp16", False, torch.float16),
    ],
)
def test_precision_sets_dtype_and_tf32(restored_tf32, precision, before, allowed, dtype):
    system_precision.allow_tf32(before)
    with autocast(precision, CPU):
        assert tf32_flags() == (allowed, allowed)
        assert torch.ones(1, 1).mm(torch.ones(1, 1)).dtype == dtype
    assert tf32_flags() == (before, before)
    assert not torch.is_autocast_enabled("cpu")


class FlagRecorder(nn.Module):
    """A network that records the flags of TF32 in its forward and its backward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.seen = build_network(), []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.seen.append(tf32_flags())
        logits = self.inner(images)
        if logits.requires_grad:
            logits.register_hook(lambda _: self.seen.append(tf32_flags()))
        return logits


@pytest.mark.parametrize(("precision", "allowed"), [("fp32", False), ("tf32", True)])
def test_trainer_computes_at_its_precision(restored_tf32, monkeypatch, precision, allowed):
    monkeypatch.setattr(system_precision, "why_no_tf32", lambda _: None)
    system_precision.allow_tf32(not allowed)
    model = FlagRecorder()
    trainer = build_noise_trainer(model, momentum=0.0, precision=precision)
    trainer.train_epoch()
    trainer.validate()
    assert len(model.seen) >= 3
    assert set(model.seen) == {(allowed, allowed)}


def test_tf32_is_refused_where_it_would_be_something_else():
    with pytest.raises(
        DeviceError, match=r"training\.precision: tf32, but TF32 exists on NVIDIA"
    ):
        build_noise_trainer(build_network(), momentum=0.0, precision="tf32")


@pytest.mark.parametrize(
    ("precision", "enabled"), [("bf16", False), ("tf32", False), ("fp16", True)]
)
def test_only_fp16_scales_gradients(precision, enabled):
    assert build_scaler(precision, CPU).is_enabled() == enabled
