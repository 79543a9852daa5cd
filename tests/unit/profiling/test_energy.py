from pathlib import Path

import pytest
import torch

from resomap.profiling import energy
from resomap.profiling.energy import (
    WINDOWS,
    Windows,
    measure_energy,
    open_meter,
    why_not_measured,
)
from resomap.system.nvml import Card

GPU, CPU = torch.device("cuda", 0), torch.device("cpu")
IDLE_W, LOAD_W = 60, 300
RANGE_UJ = 262_143_328_850
RAPL_FOLDERS = {
    "package-0": "intel-rapl:0",
    "core": "intel-rapl:0:0",
    "package-1": "intel-rapl:1",
    "psys": "intel-rapl:2",
}


class SimulatedMachine:
    """Machine with one power when idle and another under load, and time in milliseconds.

    Its energy counter moves every `tick_ms`; `load_w` maps the number of the load and the
    milliseconds since it began to a power.
    """

    def __init__(self, call_ms=2, tick_ms=20, load_w=lambda load, ms: LOAD_W):
        self.call_ms, self.tick_ms, self.load_w = call_ms, tick_ms, load_w
        self.now_ms = self.energy_mj = self.counter_mj = self.loads = 0
        self.load_start_ms = None
        self.pauses = []

    def clock(self):
        return self.now_ms / 1e3

    def joules(self):
        return self.counter_mj / 1e3

    def sleep(self, seconds):
        if seconds != energy.POLL_SECONDS:
            self.pauses.append(seconds)
        self.load_start_ms = None
        self._pass(round(seconds * 1e3), lambda: IDLE_W)

    def work(self):
        if self.load_start_ms is None:
            self.loads, self.load_start_ms = self.loads + 1, self.now_ms
        self._pass(
            self.call_ms, lambda: self.load_w(self.loads, self.now_ms - self.load_start_ms)
        )

    def _pass(self, milliseconds, watts):
        for _ in range(milliseconds):
            self.energy_mj += watts()
            self.now_ms += 1
            if self.now_ms % self.tick_ms == 0:
                self.counter_mj = self.energy_mj

    def measure(self, windows=WINDOWS):
        return measure_energy(self, self.work, 8, windows, clock=self.clock, sleep=self.sleep)


def test_constant_power_is_measured_exactly():
    measured = SimulatedMachine().measure()
    above_idle = (LOAD_W - IDLE_W) * 0.002 / 8
    assert measured.power_w == pytest.approx(LOAD_W, rel=1e-9)
    assert measured.idle_power_w == pytest.approx(IDLE_W, rel=1e-9)
    assert measured.energy_j_per_image == pytest.approx(LOAD_W * 0.002 / 8, rel=1e-9)
    assert measured.energy_j_per_image_above_idle == pytest.approx(above_idle, rel=1e-9)
    assert measured.relative_spread == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("call_ms", "tick_ms"), [(1, 100), (7, 100), (33, 20), (900, 100)])
def test_coarse_counter_costs_less_than_one_step(call_ms, tick_ms):
    measured = SimulatedMachine(call_ms, tick_ms).measure()
    error = min(call_ms, tick_ms) / 5000
    assert measured.power_w == pytest.approx(LOAD_W, rel=error)
    assert measured.energy_j_per_image == pytest.approx(LOAD_W * call_ms / 8e3, rel=error)


def test_rise_of_the_load_is_discarded():
    def rising(load, ms):
        return LOAD_W if ms >= 1000 else 100

    measured = SimulatedMachine(load_w=rising).measure()
    without_ramp = SimulatedMachine(load_w=rising).measure(Windows(ramp_seconds=0))
    assert measured.power_w == pytest.approx(LOAD_W, rel=1e-9)
    assert without_ramp.power_w < 0.9 * LOAD_W


def test_different_windows_show_in_the_spread():
    measured = SimulatedMachine(load_w=lambda load, ms: 280 + 10 * load).measure()
    assert measured.power_w == pytest.approx(300)
    assert measured.relative_spread == pytest.approx(10 / 300)
    assert measured.energy_j_per_image_rounds == pytest.approx(
        [power * 0.002 / 8 for power in (290, 300, 310)]
    )


def test_windows_have_their_number_length_and_random_phase():
    machine, short = SimulatedMachine(), SimulatedMachine()
    machine.measure()
    assert machine.loads == 3
    assert len(set(machine.pauses)) == 3
    assert all(0 <= pause <= 1 for pause in machine.pauses)
    assert machine.now_ms >= 4 * (1000 + 5000)
    short.measure(Windows(number=2, seconds=0.2, ramp_seconds=0.1))
    assert short.loads == 2
    assert short.now_ms < 3000


def test_load_at_idle_power_costs_nothing_above_idle():
    measured = SimulatedMachine(load_w=lambda load, ms: IDLE_W).measure()
    assert measured.energy_j_per_image_above_idle == pytest.approx(0, abs=1e-12)
    assert measured.energy_j_per_image > 0


class Powercap:
    """Folder like Linux' /sys/class/powercap of a machine with two sockets."""

    def __init__(self, root: Path):
        self.root = root
        self.counters = {"package-0": 1_000, "core": 500, "package-1": 2_000, "psys": 9_000}
        for name, folder in RAPL_FOLDERS.items():
            (root / folder).mkdir()
            (root / folder / "name").write_text(f"{name}\n")
            (root / folder / "max_energy_range_uj").write_text(f"{RANGE_UJ}\n")
        self.spend()

    def spend(self, **microjoules):
        for name, folder in RAPL_FOLDERS.items():
            spent = microjoules.get(name.replace("-", ""), 0)
            self.counters[name] = (self.counters[name] + spent) % RANGE_UJ
            (self.root / folder / "energy_uj").write_text(f"{self.counters[name]}\n")


@pytest.fixture
def powercap(tmp_path, monkeypatch):
    machine = Powercap(tmp_path)
    monkeypatch.setattr(energy, "sleep", lambda seconds: machine.spend(package0=1))
    return machine


def test_rapl_sums_packages_without_cores_and_platform(powercap):
    meter = open_meter(CPU, powercap.root)
    start = meter.joules()
    powercap.spend(package0=3_000_000, package1=2_000_000, core=1_000_000, psys=50_000_000)
    assert meter.joules() - start == pytest.approx(5)
    assert why_not_measured(CPU, powercap.root) is None


def test_rapl_counter_that_wraps_keeps_counting(powercap):
    powercap.spend(package0=RANGE_UJ - 2_000_000)
    meter = open_meter(CPU, powercap.root)
    start = meter.joules()
    for _ in range(2):
        powercap.spend(package0=RANGE_UJ // 2, package1=RANGE_UJ // 2)
        meter.joules()
    powercap.spend(package0=5_000_000)
    assert meter.joules() - start == pytest.approx(2 * (RANGE_UJ // 2) * 2e-6 + 5)


def check_refusal(device, reason, *powercap):
    assert open_meter(device, *powercap) is None
    assert why_not_measured(device, *powercap).startswith(f"not measured: {reason}")


def test_cpu_without_rapl_is_not_measured(tmp_path):
    check_refusal(CPU, f"no CPU package has a RAPL counter under {tmp_path}", tmp_path)
    assert open_meter(CPU, tmp_path / "powercap") is None


def test_counter_readable_by_root_only_is_not_measured(powercap, monkeypatch):
    read = Path.read_text

    def refuse(path, *args, **kwargs):
        if path.name == "energy_uj":
            raise PermissionError(13, "Permission denied", str(path))
        return read(path, *args, **kwargs)

    monkeypatch.setattr(Path, "read_text", refuse)
    check_refusal(CPU, f"{powercap.root} is readable by root only", powercap.root)


def test_counter_that_does_not_move_is_not_measured(powercap, monkeypatch):
    monkeypatch.setattr(energy, "sleep", lambda seconds: None)
    check_refusal(CPU, "the energy counter did not move for 2 s", powercap.root)


class FakeNvml:
    """NVML of a card whose counter moves by 20 mJ with each reading."""

    class NVMLError(Exception):
        pass

    def __init__(self, has_counter):
        self._has_counter, self._millijoules = has_counter, 7_000

    def nvmlDeviceGetTotalEnergyConsumption(self, handle):
        if not self._has_counter:
            raise self.NVMLError("Not Supported")
        assert handle == "whole card"
        self._millijoules += 20
        return self._millijoules


@pytest.fixture
def install_card(monkeypatch):
    def install(*, has_counter=True, is_slice=False):
        card = Card(FakeNvml(has_counter), "whole card", "visible part", is_slice)
        monkeypatch.setattr(energy, "open_card", lambda device: card)

    return install


def test_gpu_counter_is_read_in_millijoules(install_card):
    install_card()
    meter = open_meter(GPU)
    assert [meter.joules(), meter.joules()] == pytest.approx([7.08, 7.10])
    assert why_not_measured(GPU) is None


def test_gpu_without_counter_is_not_measured(install_card):
    install_card(has_counter=False)
    check_refusal(GPU, "this GPU has no energy counter")


def test_mig_slice_is_not_measured(install_card):
    install_card(is_slice=True)
    check_refusal(GPU, "this is a MIG slice")


def test_gpu_without_nvml_is_not_measured(monkeypatch):
    monkeypatch.setattr(energy, "open_card", lambda device: None)
    check_refusal(GPU, "NVML does not answer for this GPU")


def test_pynvml_has_the_counter_function():
    import pynvml

    assert callable(pynvml.nvmlDeviceGetTotalEnergyConsumption)
    assert issubclass(pynvml.NVMLError, Exception)
