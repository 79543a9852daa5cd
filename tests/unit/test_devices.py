import pytest
import torch

from resomap.errors import DeviceError
from resomap.system import gpus
from resomap.system.gpus import device_name, open_device
from resomap.training.precision import use_float32


@pytest.fixture(autouse=True)
def settings_as_they_were(monkeypatch):
    monkeypatch.setattr(
        gpus, "lease_until_exit", lambda *arguments, **named: None
    )  # this process goes on
    threads, tf32 = torch.get_num_threads(), torch.backends.cudnn.allow_tf32
    yield
    torch.set_num_threads(threads)
    torch.backends.cudnn.allow_tf32 = tf32


def test_a_device_comes_with_its_threads():
    device = open_device("cpu", threads=2)
    assert (device.type, device_name(device), torch.get_num_threads()) == ("cpu", "cpu", 2)


def test_float32_is_not_rounded_on_a_card():
    torch.backends.cudnn.allow_tf32 = True
    use_float32()
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32


def test_a_card_that_is_not_there_is_told_with_the_key_that_asks_for_it(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match=r"system\.device: cuda"):
        open_device("cuda")
    assert open_device("auto").type == "cpu"


@pytest.mark.gpu
@pytest.mark.parametrize("asked", ["auto", "cuda"])
def test_a_card_is_taken_where_there_is_one(asked):
    device = open_device(asked)
    assert device.type == "cuda"
    assert device_name(device) == torch.cuda.get_device_name()
