import os

import pytest
import torch

from resomap.errors import DeviceError
from resomap.system.determinism import (
    CUBLAS_VARIABLE,
    choose_kernels,
    explaining_missing_kernels,
)

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def kernel_flags(monkeypatch):
    """Return a function that reads the flags, which belong to the process; restore them."""
    cudnn = torch.backends.cudnn
    before = cudnn.benchmark, cudnn.deterministic
    monkeypatch.setenv(CUBLAS_VARIABLE, "")
    monkeypatch.delenv(CUBLAS_VARIABLE)
    yield lambda: (
        *(cudnn.benchmark, cudnn.deterministic),
        *(torch.are_deterministic_algorithms_enabled(), os.environ.get(CUBLAS_VARIABLE)),
    )
    cudnn.benchmark, cudnn.deterministic = before
    torch.use_deterministic_algorithms(False)
    torch.utils.deterministic.fill_uninitialized_memory = True


@pytest.mark.parametrize(
    ("device", "benchmark", "deterministic", "expected"),
    [
        (CUDA, True, False, (True, False, False, None)),
        (CUDA, False, False, (False, False, False, None)),
        (CUDA, True, True, (False, True, True, ":4096:8")),
        (CPU, True, True, (True, False, False, None)),
    ],
)
def test_kernels_are_the_fastest_or_deterministic(
    kernel_flags, device, benchmark, deterministic, expected
):
    choose_kernels(device, benchmark=benchmark, deterministic=deterministic)
    assert kernel_flags() == expected


def test_chosen_workspace_of_cublas_is_kept(kernel_flags, monkeypatch):
    monkeypatch.setenv(CUBLAS_VARIABLE, ":16:8")
    choose_kernels(CUDA, benchmark=False, deterministic=True)
    assert kernel_flags()[-1] == ":16:8"


def test_operator_without_deterministic_kernel_names_the_key():
    message = (
        "adaptive_avg_pool2d_backward_cuda does not have a deterministic implementation, but"
    )
    with (
        pytest.raises(DeviceError, match=r"system\.training\.deterministic: .*avg_pool2d_back"),
        explaining_missing_kernels(),
    ):
        raise RuntimeError(message)


def test_other_errors_pass_unchanged():
    with pytest.raises(RuntimeError, match="shapes"), explaining_missing_kernels():
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")
