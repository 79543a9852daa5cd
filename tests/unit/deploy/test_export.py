import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import pad

from resomap.deploy.export import ExportError, export_network, read_record
from resomap.deploy.runtimes.onnxruntime_sessions import compute_logits, open_session
from tests.exported_networks import SIDE, build_convolutional, draw_images
from tests.optional_packages import require_packages

require_packages("onnx", "onnxscript", "onnxruntime")


class Branching(nn.Module):
    """A network whose path depends on its images."""

    def forward(self, images):
        return images.mean((2, 3)) if images.sum() > 0 else images.amax((2, 3))


@pytest.fixture(scope="module")
def network():
    return build_convolutional()


@pytest.fixture(scope="module")
def exported(network):
    return export_network(network, SIDE, "small")


def operators(content: bytes) -> set[str]:
    import onnx

    return {node.op_type for node in onnx.load_from_string(content).graph.node}


@pytest.mark.parametrize("count", [1, 2, 33])
def test_logits_are_those_of_the_network_at_any_batch_size(network, exported, count):
    images = draw_images(count)
    logits = compute_logits(open_session(exported.content), [images])
    with torch.no_grad():
        expected = network(torch.from_numpy(images)).numpy()
    assert np.abs(logits - expected).max() < 1e-5 * np.ptp(expected)


def test_every_batch_norm_is_folded(network, exported):
    assert sum(isinstance(module, nn.BatchNorm2d) for module in network.modules()) == 6
    assert "BatchNormalization" not in operators(exported.content)


def test_equal_weights_give_equal_bytes_without_paths(exported):
    again = export_network(build_convolutional(), SIDE, "small")
    assert again == exported
    assert re.search(rb"\.py\b|site-packages|/home/|/tmp/", exported.content) is None


def test_record_stands_in_the_file_and_beside_it(exported):
    inside = read_record(exported.content)
    assert {**exported.record, **inside} == exported.record
    assert exported.record["bytes"] == len(exported.content)
    assert exported.record["opset"] == 20
    assert exported.record["versions"].keys() >= {"torch", "onnx", "onnxscript", "onnxruntime"}


def test_other_size_is_refused_by_the_file(exported):
    with pytest.raises(Exception, match="dimensions"):
        open_session(exported.content).run(None, {"images": np.zeros((1, 3, 8, 8), "f4")})


def test_network_stays_in_its_mode_and_format():
    network = build_convolutional().train().to(memory_format=torch.channels_last)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    export_network(network, SIDE, "small")
    assert network.training
    assert network[0][0].weight.is_contiguous(memory_format=torch.channels_last)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_padding_before_the_network_is_exported():
    network = build_convolutional()
    network.register_forward_pre_hook(lambda _, given: (pad(given[0], (0, 4, 0, 4)),))
    content = export_network(network, 12, "padded").content
    images = draw_images(3)[:, :, :12, :12]
    with torch.no_grad():
        expected = network(torch.from_numpy(images)).numpy()
    logits = compute_logits(open_session(content), [np.ascontiguousarray(images)])
    assert np.abs(logits - expected).max() < 1e-5 * np.ptp(expected)


def test_network_that_branches_on_its_images_is_named():
    with pytest.raises(ExportError, match=r"^branching cannot be exported: .+$"):
        export_network(Branching(), SIDE, "branching")


@pytest.mark.parametrize("content", [b"", b"text", bytes(100)])
def test_file_that_is_no_export_is_refused(content):
    with pytest.raises(ExportError, match="no network that ResoMap exported"):
        read_record(content)


def test_truncated_file_is_refused(exported):
    with pytest.raises(ExportError, match="damaged"):
        read_record(exported.content[: len(exported.content) // 2])


def test_fork_can_train_after_an_export():
    # In a process of its own, whose first backward pass comes after the export.
    code = """
import os, torch
torch.set_num_threads(1)  # as in a fork of a profile, which has no worker threads
from resomap.deploy.export import export_network
from tests.exported_networks import SIDE, build_convolutional
network = build_convolutional()
export_network(network, SIDE, "small")
step = lambda: network(torch.zeros(2, 3, SIDE, SIDE)).sum().backward()
step()
child = os.fork()
if child == 0:
    step()
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert run.stdout.split() == ["7"]
