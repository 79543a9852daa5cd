import os
import subprocess
import sys

import pytest

from resomap.errors import DeviceError
from resomap.system.determinism import explaining_missing_kernels

PROGRAM = """
import os, torch
from resomap.system.determinism import choose_kernels
choose_kernels(torch.device({device!r}), benchmark={benchmark}, deterministic={deterministic})
cudnn = torch.backends.cudnn
print(cudnn.benchmark, cudnn.deterministic, torch.are_deterministic_algorithms_enabled(),
      os.environ.get("CUBLAS_WORKSPACE_CONFIG"), sep=",")
"""


@pytest.mark.parametrize(
    ("device", "benchmark", "deterministic", "expected"),
    [
        ("cuda", True, False, "True,False,False,None"),
        ("cuda", False, False, "False,False,False,None"),
        ("cuda", True, True, "False,True,True,:4096:8"),
        ("cpu", True, True, "True,False,False,None"),
    ],
)
def test_kernels_are_the_fastest_or_deterministic(device, benchmark, deterministic, expected):
    program = PROGRAM.format(device=device, benchmark=benchmark, deterministic=deterministic)
    environment = {**os.environ}
    environment.pop("CUBLAS_WORKSPACE_CONFIG", None)
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    assert done.stdout.strip() == expected, done.stderr


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
