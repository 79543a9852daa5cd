import pytest
import torch

from resomap.system.precision import check_precision, use_float32, why_no_tf32

CUDA = torch.device("cuda")


def test_use_float32_forbids_tf32_everywhere(restored_tf32):
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
    use_float32()
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32


@pytest.mark.parametrize(
    ("capability", "override", "reason"),
    [
        ((8, 0), None, None),
        ((9, 0), "1", None),
        ((7, 5), None, "it came with Ampere"),
        ((9, 0), "0", "NVIDIA_TF32_OVERRIDE=0"),
    ],
)
def test_tf32_needs_ampere_and_no_override(monkeypatch, capability, override, reason):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "a card")
    monkeypatch.delenv("NVIDIA_TF32_OVERRIDE", raising=False)
    if override is not None:
        monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", override)
    found = why_no_tf32(CUDA)
    assert (found is None) == (reason is None)
    assert (reason or "") in (found or "")


def test_other_precisions_run_anywhere():
    for precision in ("fp32", "bf16", "fp16"):
        check_precision(precision, torch.device("cpu"))
