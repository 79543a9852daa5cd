import subprocess
import sys

import pytest

from resomap.deploy.export import export_network
from tests.exported_networks import SIDE, build_convolutional
from tests.optional_packages import require_packages

require_packages("onnx", "onnxscript", "onnxruntime", "openvino")

# In a process of its own: what it tests for ended the whole process.
HANDLED = """
import signal, sys
from pathlib import Path
from resomap.deploy.runtimes.openvino_sessions import compile_network

handled = []
signal.signal(signal.SIGTERM, lambda *_: handled.append(1))
compiled = [compile_network(Path(sys.argv[1])) for _ in range(3)]
del compiled[0], compiled[0], compiled[0]
signal.raise_signal(signal.SIGTERM)
print(len(handled))
"""


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    path = tmp_path_factory.mktemp("openvino") / "small.onnx"
    path.write_bytes(export_network(build_convolutional(), SIDE, "small").content)
    return path


def test_signals_are_handled_after_networks_are_gone(network):
    command = [sys.executable, "-c", HANDLED, str(network)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "1"), done.stderr
