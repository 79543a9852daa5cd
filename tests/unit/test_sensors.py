import json
import os
import sys
from types import SimpleNamespace

import pytest
import torch

from resomap.profiling import sensors
from resomap.profiling.sensors import GpuState, Watch, open_card, read_gpu, why_invalid

GPU, CPU = torch.device("cuda", 0), torch.device("cpu")
UUID = "3f0a9c1e-0000-4bd2-8a53-7a1d5c9e2b10"
QUIET = GpuState(sm_mhz=1980, temperature_c=41, throttle_reasons=(), other_processes=0)


class FakeNvml:
    """A machine with one card, as pynvml would tell of it; `missing` are the questions it has no answer to."""

    class NVMLError(Exception):
        pass

    NVML_CLOCK_SM = 1
    NVML_TEMPERATURE_GPU = 0

    def __init__(self, uuids=(f"GPU-{UUID}",), mig=0, reasons=0, pids=(), missing=()):
        self._uuids, self._mig, self._reasons, self._pids, self._missing = (
            uuids,
            mig,
            reasons,
            pids,
            missing,
        )

    def _tell(self, question, answer):
        if question in self._missing:
            raise self.NVMLError(question)
        return answer

    def nvmlInit(self):
        return self._tell("init", None)

    def nvmlDeviceGetHandleByUUID(self, uuid):
        if uuid not in self._uuids:
            raise self.NVMLError("not found")
        return uuid

    def nvmlDeviceGetDeviceHandleFromMigDeviceHandle(self, handle):
        return {f"MIG-{UUID}": "the card of the slice"}[handle]

    def nvmlDeviceGetMigMode(self, handle):
        return self._tell("mig", [self._mig, self._mig])

    def nvmlDeviceGetClockInfo(self, handle, clock):
        assert not handle.startswith("MIG") and clock == self.NVML_CLOCK_SM
        return self._tell("clock", 1755)

    def nvmlDeviceGetTemperature(self, handle, sensor):
        assert not handle.startswith("MIG") and sensor == self.NVML_TEMPERATURE_GPU
        return self._tell("temperature", 63)

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle):
        assert not handle.startswith("MIG")
        return self._tell("reasons", self._reasons)

    def nvmlDeviceGetComputeRunningProcesses(self, handle):
        assert handle in self._uuids
        return self._tell("processes", [SimpleNamespace(pid=pid) for pid in self._pids])


@pytest.fixture
def plug(monkeypatch):
    """Puts a fake card, whose memory this process holds `reserved` bytes of, into the machine."""

    def plug(reserved=0, **card):
        monkeypatch.setitem(sys.modules, "pynvml", FakeNvml(**card))
        monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: reserved)

    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid=UUID)
    )
    return plug


def test_what_the_fake_card_answers_is_what_nvml_is_asked():
    import pynvml

    questions = [name for name in vars(FakeNvml) if name.lower().startswith("nvml")]
    assert [name for name in questions if not hasattr(pynvml, name)] == []
    assert (FakeNvml.NVML_CLOCK_SM, FakeNvml.NVML_TEMPERATURE_GPU) == (
        pynvml.NVML_CLOCK_SM,
        pynvml.NVML_TEMPERATURE_GPU,
    )


def test_every_reason_that_nvml_knows_has_a_name():
    import pynvml

    assert (
        pynvml.nvmlClocksThrottleReasonAll & ~sum(sensors.REASONS)
        == sensors.IDLE
        == pynvml.nvmlClocksThrottleReasonGpuIdle
    )
    for name, constant in {
        "SW power cap": "SwPowerCap",
        "HW slowdown": "HwSlowdown",
        "SW thermal slowdown": "SwThermalSlowdown",
        "HW thermal slowdown": "HwThermalSlowdown",
        "HW power brake": "HwPowerBrakeSlowdown",
    }.items():
        assert sensors.REASONS[getattr(pynvml, f"nvmlClocksThrottleReason{constant}")] == name
    assert set(sensors.REASONS.values()) >= sensors.THROTTLED


def test_a_quiet_gpu_tells_its_clock_and_its_temperature(plug):
    plug(pids=[os.getpid()])
    assert read_gpu(GPU) == GpuState(
        sm_mhz=1755, temperature_c=63, throttle_reasons=(), other_processes=0
    )


def test_a_cpu_has_no_such_sensors(plug):
    plug()
    assert read_gpu(CPU) is None


def test_without_a_driver_nothing_is_told(plug):
    plug(missing=["init"])
    assert read_gpu(GPU) is None


def test_a_gpu_that_nvml_has_never_heard_of_tells_nothing(plug):
    plug(uuids=["GPU-another"])
    assert read_gpu(GPU) is None


@pytest.mark.usefixtures("plug")
def test_the_real_library_raises_nothing_that_is_not_caught():
    assert read_gpu(GPU) is None  # no driver, or no card of this id


def test_a_sensor_that_the_card_has_not_is_unknown_and_the_others_are_told(plug):
    plug(missing=["temperature", "processes", "mig", "reasons"])
    assert read_gpu(GPU) == GpuState(
        sm_mhz=1755, temperature_c=None, throttle_reasons=(), other_processes=None
    )


def test_reasons_are_named_and_idling_is_none(plug):
    plug(reasons=0x1 | 0x4 | 0x40)
    assert read_gpu(GPU).throttle_reasons == ("SW power cap", "HW thermal slowdown")
    plug(reasons=0x1)
    assert read_gpu(GPU).throttle_reasons == ()


def test_a_reason_of_a_driver_to_come_is_told_by_its_bit(plug):
    plug(reasons=0x1000)
    assert read_gpu(GPU).throttle_reasons == ("reason 0x1000",)


def test_only_other_processes_are_counted_and_each_once(plug):
    plug(pids=[os.getpid(), 11, 12, 12])
    assert read_gpu(GPU).other_processes == 2


@pytest.mark.parametrize(
    ("reserved", "pids", "others"), [(1, [11], 0), (1, [11, 12], 1), (0, [11], 1), (1, [], 0)]
)
def test_under_a_pid_of_the_host_this_process_is_known_by_the_memory_it_holds(
    plug, reserved, pids, others
):
    plug(reserved=reserved, pids=pids)
    assert read_gpu(GPU).other_processes == others


def test_in_a_slice_clocks_are_the_cards_and_processes_the_slices(plug):
    plug(uuids=[f"MIG-{UUID}"], pids=[os.getpid(), 11])
    assert open_card(GPU).is_slice
    assert read_gpu(GPU) == GpuState(
        sm_mhz=1755, temperature_c=63, throttle_reasons=(), other_processes=1
    )


@pytest.mark.parametrize(("mig", "is_slice"), [(0, False), (1, True)])
def test_a_card_that_is_cut_into_slices_is_never_taken_for_a_whole_one(plug, mig, is_slice):
    plug(mig=mig)
    assert open_card(GPU).is_slice is is_slice


@pytest.mark.parametrize(
    "reason", ["SW thermal slowdown", "HW thermal slowdown", "HW slowdown", "HW power brake"]
)
def test_heat_and_a_failing_supply_spoil_a_measurement(reason):
    assert (
        why_invalid([QUIET, QUIET._replace(throttle_reasons=("SW power cap", reason)), QUIET])
        == "throttled"
    )


@pytest.mark.parametrize(
    "reason",
    ["SW power cap", "application clocks setting", "sync boost", "reliability voltage"],
)
def test_a_limit_that_lasts_does_not(reason):
    assert why_invalid([QUIET._replace(throttle_reasons=(reason,))]) is None


def test_another_process_spoils_a_measurement_and_an_unknown_one_does_not():
    assert (
        why_invalid([QUIET, QUIET._replace(other_processes=1)]) == "other processes on the GPU"
    )
    assert why_invalid([QUIET._replace(other_processes=None)]) is None
    assert (
        why_invalid([QUIET._replace(other_processes=1, throttle_reasons=("HW slowdown",))])
        == "other processes on the GPU"
    )


def test_a_watch_keeps_every_look_in_a_form_for_json(plug):
    watch = Watch(GPU)
    plug(pids=[os.getpid()])
    watch.note("before")
    assert watch.why_invalid is None
    plug(pids=[os.getpid()], reasons=0x20)
    assert watch.note("during").throttled
    plug(pids=[os.getpid()])
    watch.note("after")
    assert watch.why_invalid == "throttled"
    look = {"sm_mhz": 1755, "temperature_c": 63, "throttle_reasons": [], "other_processes": 0}
    assert json.loads(json.dumps(watch.records)) == [
        {"when": "before", **look},
        {"when": "during", **look, "throttle_reasons": ["SW thermal slowdown"]},
        {"when": "after", **look},
    ]


def test_a_watch_over_a_cpu_has_nothing_to_say():
    watch = Watch(CPU)
    assert watch.note("before") is None
    assert (watch.records, watch.why_invalid) == (None, None)
