import json
import os

import pytest
import torch

from resomap.profiling import sensors
from resomap.profiling.sensors import GpuState, SensorLog, read_gpu, why_invalid
from resomap.system.nvml import open_card
from tests.fake_nvml import UUID, FakeNvml

GPU, CPU = torch.device("cuda", 0), torch.device("cpu")
QUIET = GpuState(sm_mhz=1980, temperature_c=41, throttle_reasons=(), other_processes=0)
READING = GpuState(sm_mhz=1755, temperature_c=63, throttle_reasons=(), other_processes=0)


def test_fake_card_has_the_names_of_pynvml():
    import pynvml

    functions = [name for name in vars(FakeNvml) if name.startswith("nvml")]
    assert [name for name in functions if not hasattr(pynvml, name)] == []
    assert FakeNvml.NVML_CLOCK_SM == pynvml.NVML_CLOCK_SM
    assert FakeNvml.NVML_TEMPERATURE_GPU == pynvml.NVML_TEMPERATURE_GPU


def test_every_throttle_reason_of_nvml_has_a_name():
    import pynvml

    unnamed = pynvml.nvmlClocksThrottleReasonAll & ~sum(sensors.THROTTLE_REASONS)
    assert unnamed == sensors.IDLE_BIT == pynvml.nvmlClocksThrottleReasonGpuIdle
    names = {
        "SW power cap": pynvml.nvmlClocksThrottleReasonSwPowerCap,
        "HW slowdown": pynvml.nvmlClocksThrottleReasonHwSlowdown,
        "SW thermal slowdown": pynvml.nvmlClocksThrottleReasonSwThermalSlowdown,
        "HW thermal slowdown": pynvml.nvmlClocksThrottleReasonHwThermalSlowdown,
        "HW power brake": pynvml.nvmlClocksThrottleReasonHwPowerBrakeSlowdown,
    }
    assert {name: sensors.THROTTLE_REASONS[bit] for name, bit in names.items()} == {
        name: name for name in names
    }
    assert set(sensors.THROTTLE_REASONS.values()) >= sensors.INVALIDATING_REASONS


def test_quiet_gpu_reports_clock_and_temperature(install_card):
    install_card(pids=[os.getpid()])
    assert read_gpu(GPU) == READING


def test_cpu_has_no_reading(install_card):
    install_card()
    assert read_gpu(CPU) is None


@pytest.mark.parametrize("card", [{"missing": ["init"]}, {"uuids": ["GPU-another"]}])
def test_missing_driver_or_unknown_gpu_has_no_reading(install_card, card):
    install_card(**card)
    assert read_gpu(GPU) is None


@pytest.mark.usefixtures("install_card")
def test_real_pynvml_without_this_gpu_raises_nothing():
    assert read_gpu(GPU) is None


def test_missing_sensor_is_none_and_others_are_read(install_card):
    install_card(missing=["temperature", "processes", "mig", "reasons"])
    assert read_gpu(GPU) == READING._replace(temperature_c=None, other_processes=None)


@pytest.mark.parametrize(
    ("mask", "reasons"),
    [
        (0x1 | 0x4 | 0x40, ("SW power cap", "HW thermal slowdown")),
        (0x1, ()),
        (0x1000, ("reason 0x1000",)),
    ],
)
def test_throttle_mask_is_named_without_idle(install_card, mask, reasons):
    install_card(reasons=mask)
    assert read_gpu(GPU).throttle_reasons == reasons


@pytest.mark.parametrize(
    ("reserved", "pids", "others"),
    [
        (0, [os.getpid(), 11, 12, 12], 2),
        # Pids of the host: this process is one of them if it holds memory.
        (1, [11], 0),
        (1, [11, 12], 1),
        (0, [11], 1),
        (1, [], 0),
    ],
)
def test_other_processes_exclude_this_one(install_card, reserved, pids, others):
    install_card(reserved=reserved, pids=pids)
    assert read_gpu(GPU).other_processes == others


def test_mig_slice_reads_clock_of_card_and_own_processes(install_card):
    install_card(uuids=[f"MIG-{UUID}"], pids=[os.getpid(), 11])
    assert open_card(GPU).is_slice
    assert read_gpu(GPU) == READING._replace(other_processes=1)


@pytest.mark.parametrize(
    ("reason", "disturbance"),
    [
        ("SW thermal slowdown", "throttled"),
        ("HW thermal slowdown", "throttled"),
        ("HW slowdown", "throttled"),
        ("HW power brake", "throttled"),
        ("SW power cap", None),
        ("application clocks setting", None),
        ("sync boost", None),
        ("reliability voltage", None),
    ],
)
def test_only_heat_and_power_failure_invalidate(reason, disturbance):
    throttled = QUIET._replace(throttle_reasons=("SW power cap", reason))
    assert why_invalid([QUIET, throttled, QUIET]) == disturbance


@pytest.mark.parametrize(
    ("others", "reasons", "disturbance"),
    [
        (1, (), "other processes on the GPU"),
        (None, (), None),
        (1, ("HW slowdown",), "other processes on the GPU"),
    ],
)
def test_other_process_invalidates_before_throttling(others, reasons, disturbance):
    state = QUIET._replace(other_processes=others, throttle_reasons=reasons)
    assert why_invalid([QUIET, state]) == disturbance


def test_sensor_log_records_readings_as_json(install_card):
    log = SensorLog(GPU)
    install_card(pids=[os.getpid()])
    log.read("before")
    assert log.why_invalid is None
    install_card(pids=[os.getpid()], reasons=0x20)
    assert log.read("during").throttled
    install_card(pids=[os.getpid()])
    log.read("after")
    assert log.why_invalid == "throttled"
    reading = READING._asdict() | {"throttle_reasons": []}
    assert json.loads(json.dumps(log.records)) == [
        {"when": "before", **reading},
        {"when": "during", **reading, "throttle_reasons": ["SW thermal slowdown"]},
        {"when": "after", **reading},
    ]


def test_sensor_log_of_cpu_is_empty():
    log = SensorLog(CPU)
    assert log.read("before") is None
    assert (log.records, log.why_invalid) == (None, None)
