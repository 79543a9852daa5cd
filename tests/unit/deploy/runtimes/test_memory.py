import subprocess
import sys
from types import SimpleNamespace

import pytest
from torch import nn

from resomap.deploy.export import export_network
from resomap.deploy.runtimes import memory
from resomap.deploy.runtimes.memory import RuntimeFailure, runtime_peaks
from tests.optional_packages import require_packages

require_packages("onnx", "onnxscript", "onnxruntime", "openvino")

MIB = 2**20
SIDE = 16


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """The file of a network with 48 MiB of weights."""
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.Flatten(), nn.Linear(4 * SIDE**2, 12288)
    )
    file = tmp_path_factory.mktemp("export") / "large.onnx"
    file.write_bytes(export_network(network, SIDE, "large").content)
    assert 47 * MIB < file.stat().st_size < 49 * MIB
    return file


# OpenVINO keeps the weights that it has read beside those that it has packed. So does ONNX Runtime
# when it is given bytes, and not when it reads a file.
@pytest.mark.parametrize(("runtime", "most"), [("onnxruntime", 75), ("openvino", 125)])
def test_peak_holds_the_weights_and_the_batch(large, runtime, most):
    (small, *_), (batch, *_) = (
        runtime_peaks(runtime, large, (count, 3, SIDE, SIDE), 1) for count in (1, 512)
    )
    assert 46 * MIB < small < most * MIB
    # 512 images, their maps and their logits take 1.5, 2 and 24 MiB.
    assert 26 * MIB < batch - small < 80 * MIB


def test_file_that_cannot_be_loaded_is_a_failure_with_its_reason(tmp_path):
    file = tmp_path / "broken.onnx"
    file.write_bytes(b"no network")
    with pytest.raises(RuntimeFailure, match=r"it does not run in onnxruntime: .*INVALID"):
        runtime_peaks("onnxruntime", file, (1, 3, SIDE, SIDE), 1)


@pytest.mark.parametrize("status", [-9, 12])
def test_killed_process_is_a_lack_of_memory(monkeypatch, tmp_path, status):
    ended = SimpleNamespace(returncode=status, stdout="", stderr="")
    monkeypatch.setattr(memory.subprocess, "run", lambda *_, **__: ended)
    with pytest.raises(MemoryError):
        runtime_peaks("openvino", tmp_path / "a.onnx", (1, 3, 8, 8), 1)


def test_process_that_measures_memory_loads_no_torch():
    # Its pages would come and go during the passes, and its import takes seconds.
    code = "import sys, resomap.deploy.runtimes.memory; print('torch' in sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == ["False"]
