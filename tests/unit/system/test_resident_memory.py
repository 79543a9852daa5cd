import numpy as np

from resomap.system.resident_memory import (
    available_bytes,
    reset_peak,
    status_bytes,
    trim_heap,
)

MIB = 2**20


def test_peak_holds_memory_that_is_freed_again():
    trim_heap()
    reset_peak()
    before = status_bytes("VmRSS")
    np.ones(64 * MIB, np.uint8).sum()
    grown = status_bytes("VmHWM") - before
    assert 60 * MIB < grown < 80 * MIB
    trim_heap()
    reset_peak()
    assert status_bytes("VmHWM") - before < 32 * MIB


def test_available_memory_is_less_than_all():
    assert 0 < available_bytes() < 2**50
