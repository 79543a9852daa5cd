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
from resomap.profiling.sensors import Card

GPU, CPU = torch.device("cuda", 0), torch.device("cpu")
IDLE_W, LOAD_W = 60, 300
RANGE_UJ = 262_143_328_850


class Machine:
    """Time passes in milliseconds, at one power asleep and at another at work; its counter moves every `tick_ms`."""

    def __init__(self, call_ms=2, tick_ms=20, load_w=lambda load, ms: LOAD_W):
        self.call_ms, self.tick_ms, self.load_w = call_ms, tick_ms, load_w
        self.now_ms = self.energy_mj = self.shown_mj = self.loads = 0
        self.loaded_ms = None
        self.pauses = []

    def clock(self):
        return self.now_ms / 1e3

    def joules(self):
        return self.shown_mj / 1e3

    def sleep(self, seconds):
        if seconds != energy.POLL_SECONDS:
            self.pauses.append(seconds)
        self.loaded_ms = None
        self._pass(round(seconds * 1e3), lambda: IDLE_W)

    def work(self):
        if self.loaded_ms is None:
            self.loads, self.loaded_ms = self.loads + 1, self.now_ms
        self._pass(self.call_ms, lambda: self.load_w(self.loads, self.now_ms - self.loaded_ms))

    def _pass(self, milliseconds, watts):
        for _ in range(milliseconds):
            self.energy_mj += watts()
            self.now_ms += 1
            if self.now_ms % self.tick_ms == 0:
                self.shown_mj = self.energy_mj

    def measure(self, windows=WINDOWS):
        return measure_energy(self, self.work, 8, windows, clock=self.clock, sleep=self.sleep)


def test_a_constant_power_is_measured_exactly_in_total_and_above_idle():
    measured = Machine().measure()
    assert measured.power_w == pytest.approx(LOAD_W, rel=1e-9)
    assert measured.idle_power_w == pytest.approx(IDLE_W, rel=1e-9)
    assert measured.energy_j_per_image == pytest.approx(LOAD_W * 0.002 / 8, rel=1e-9)
    assert measured.energy_j_per_image_above_idle == pytest.approx(
        (LOAD_W - IDLE_W) * 0.002 / 8, rel=1e-9
    )
    assert measured.relative_spread == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("call_ms", "tick_ms"), [(1, 100), (7, 100), (33, 20), (900, 100)])
def test_calls_that_do_not_meet_the_counter_are_off_by_less_than_a_call_or_a_step(
    call_ms, tick_ms
):
    measured = Machine(call_ms, tick_ms).measure()
    most = min(call_ms, tick_ms) / 5000
    assert measured.power_w == pytest.approx(LOAD_W, rel=most)
    assert measured.energy_j_per_image == pytest.approx(LOAD_W * call_ms / 8e3, rel=most)


def test_what_is_drawn_while_the_load_rises_is_not_counted():
    def rising(load, ms):
        return LOAD_W if ms >= 1000 else 100

    assert Machine(load_w=rising).measure().power_w == pytest.approx(LOAD_W, rel=1e-9)
    assert Machine(load_w=rising).measure(Windows(ramp_seconds=0)).power_w < 0.9 * LOAD_W


def test_windows_that_differ_show_in_the_spread():
    measured = Machine(load_w=lambda load, ms: 280 + 10 * load).measure()
    assert measured.power_w == pytest.approx(300)
    assert measured.relative_spread == pytest.approx(10 / 300)


def test_as_many_windows_as_asked_for_are_long_enough_and_begin_at_a_phase_of_their_own():
    machine = Machine()
    machine.measure()
    assert machine.loads == 3
    assert len(set(machine.pauses)) == 3 and all(0 <= pause <= 1 for pause in machine.pauses)
    assert machine.now_ms >= 4 * (1000 + 5000)
    short = Machine()
    short.measure(Windows(number=2, seconds=0.2, ramp_seconds=0.1))
    assert short.loads == 2 and short.now_ms < 3000


def test_a_device_that_takes_no_more_at_work_than_idle_costs_nothing_above_idle():
    measured = Machine(load_w=lambda load, ms: IDLE_W).measure()
    assert measured.energy_j_per_image_above_idle == pytest.approx(0, abs=1e-12)
    assert measured.energy_j_per_image > 0


class Powercap:
    """A tree like Linux' /sys/class/powercap, of a machine with two sockets."""

    def __init__(self, root: Path):
        self.root = root
        self.counters = {"package-0": 1_000, "core": 500, "package-1": 2_000, "psys": 9_000}
        self.folders = dict(
            zip(
                self.counters,
                ("intel-rapl:0", "intel-rapl:0:0", "intel-rapl:1", "intel-rapl:2"),
                strict=True,
            )
        )
        for name, folder in self.folders.items():
            (root / folder).mkdir()
            (root / folder / "name").write_text(f"{name}\n")
            (root / folder / "max_energy_range_uj").write_text(f"{RANGE_UJ}\n")
        self.spend()

    def spend(self, **microjoules):
        for name, folder in self.folders.items():
            self.counters[name] = (
                self.counters[name] + microjoules.get(name.replace("-", ""), 0)
            ) % RANGE_UJ
            (self.root / folder / "energy_uj").write_text(f"{self.counters[name]}\n")


@pytest.fixture
def powercap(tmp_path, monkeypatch):
    machine = Powercap(tmp_path)
    monkeypatch.setattr(energy, "sleep", lambda seconds: machine.spend(package0=1))
    return machine


def test_rapl_sums_the_packages_and_leaves_out_their_parts_and_the_platform(powercap):
    meter = open_meter(CPU, powercap.root)
    start = meter.joules()
    powercap.spend(package0=3_000_000, package1=2_000_000, core=1_000_000, psys=50_000_000)
    assert meter.joules() - start == pytest.approx(5)
    assert why_not_measured(CPU, powercap.root) is None


def test_rapl_goes_on_where_a_counter_starts_again(powercap):
    powercap.spend(package0=RANGE_UJ - 2_000_000)
    meter = open_meter(CPU, powercap.root)
    start = meter.joules()
    for _ in range(2):
        powercap.spend(package0=RANGE_UJ // 2, package1=RANGE_UJ // 2)
        meter.joules()
    powercap.spend(package0=5_000_000)
    assert meter.joules() - start == pytest.approx(2 * (RANGE_UJ // 2) * 2e-6 + 5)


def test_a_cpu_without_rapl_is_not_measured(tmp_path):
    assert open_meter(CPU, tmp_path) is None
    assert (
        why_not_measured(CPU, tmp_path)
        == f"not measured: no CPU package has a RAPL counter under {tmp_path}"
    )
    assert open_meter(CPU, tmp_path / "powercap") is None


def test_counters_that_only_root_may_read_are_not_measured_and_it_is_said(
    powercap, monkeypatch
):
    read = Path.read_text

    def refuse(path, *args, **kwargs):
        if path.name == "energy_uj":
            raise PermissionError(13, "Permission denied", str(path))
        return read(path, *args, **kwargs)

    monkeypatch.setattr(Path, "read_text", refuse)
    assert open_meter(CPU, powercap.root) is None
    assert (
        why_not_measured(CPU, powercap.root)
        == f"not measured: {powercap.root} is readable by root only"
    )


def test_a_counter_that_stands_still_is_not_measured(powercap, monkeypatch):
    monkeypatch.setattr(energy, "sleep", lambda seconds: None)
    assert open_meter(CPU, powercap.root) is None
    assert why_not_measured(CPU, powercap.root).startswith(
        "not measured: the energy counter stood still for 2 s"
    )


class FakeNvml:
    """A card whose counter moves by 20 mJ with every look."""

    class NVMLError(Exception):
        pass

    def __init__(self, counts=True):
        self._counts, self._millijoules = counts, 7_000

    def nvmlDeviceGetTotalEnergyConsumption(self, handle):
        if not self._counts:
            raise self.NVMLError("Not Supported")
        assert handle == "the card"
        self._millijoules += 20
        return self._millijoules


def plug(monkeypatch, **card):
    found = Card(
        nvml=FakeNvml(**card.pop("nvml", {})),
        whole="the card",
        seen="what torch sees",
        is_slice=card.get("is_slice", False),
    )
    monkeypatch.setattr(energy, "open_card", lambda device: found)


def test_a_gpu_is_measured_by_the_cards_own_counter_of_millijoules(monkeypatch):
    plug(monkeypatch)
    meter = open_meter(GPU)
    assert [meter.joules(), meter.joules()] == pytest.approx([7.08, 7.10])
    assert why_not_measured(GPU) is None


def test_a_gpu_older_than_its_counter_is_not_measured(monkeypatch):
    plug(monkeypatch, nvml={"counts": False})
    assert open_meter(GPU) is None
    assert (
        why_not_measured(GPU)
        == "not measured: this GPU has no energy counter (Volta and newer have): Not Supported"
    )


def test_a_slice_is_not_measured_by_what_the_whole_card_takes(monkeypatch):
    plug(monkeypatch, is_slice=True)
    assert open_meter(GPU) is None
    assert (
        why_not_measured(GPU)
        == "not measured: the counter is the whole card's, and this is a MIG slice of it"
    )


def test_a_gpu_without_nvml_is_not_measured(monkeypatch):
    monkeypatch.setattr(energy, "open_card", lambda device: None)
    assert open_meter(GPU) is None
    assert why_not_measured(GPU) == "not measured: NVML does not answer for this GPU"


def test_the_real_library_knows_the_counter_by_this_name():
    import pynvml

    assert callable(pynvml.nvmlDeviceGetTotalEnergyConsumption) and issubclass(
        pynvml.NVMLError, Exception
    )
