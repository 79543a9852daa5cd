import os

import pytest
import torch

from resomap.system.nvml import open_card, process_memory_mib

GPU, CPU = torch.device("cuda", 0), torch.device("cpu")


@pytest.mark.parametrize(("mig", "is_slice"), [(0, False), (1, True)])
def test_card_in_mig_mode_is_a_slice(install_card, mig, is_slice):
    install_card(mig=mig)
    assert open_card(GPU).is_slice is is_slice


def test_memory_of_this_process_excludes_neighbours(install_card):
    install_card(pids=[11, os.getpid()], used=3 * 2**29)
    assert process_memory_mib(GPU) == 1536


@pytest.mark.parametrize(
    "card",
    [
        {"pids": [11]},  # in a container: ids of the host
        {"pids": [os.getpid()], "used": None},
        {"missing": ["processes"]},
        {"missing": ["init"]},
    ],
    ids=["ids of the host", "no memory used", "no processes", "no start"],
)
def test_memory_that_the_driver_lacks_is_unknown(install_card, card):
    install_card(**card)
    assert process_memory_mib(GPU) is None


def test_cpu_has_no_memory_of_a_gpu():
    assert process_memory_mib(CPU) is None
