"""Energy of a piece of work by the device's own counter: measured, or not at all.

The counters are coarse and the sensors behind them part-time: on A100 and H100 a quarter of the time is sampled, and readings follow
a change of load with a delay (Yang et al. 2023, "Part-time power measurements: nvidia-smi's lack of attention", arXiv 2312.02741).
So, after their advice, the same work is repeated for at least 5 s a window, in several windows at random phase, and what the
counter says while the load rises is thrown away.
"""

import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import mean, stdev
from time import perf_counter, sleep
from typing import NamedTuple, Protocol

import torch

from resomap.errors import DeviceError
from resomap.profiling.sensors import Card, open_card

POWERCAP = Path("/sys/class/powercap")
POLL_SECONDS = 0.01
"""Between two looks at the counter of an idle device; NVML's moves every 20 to 100 ms, RAPL's every millisecond."""
LONGEST_STILL_SECONDS = 2.0
"""A counter that does not move for so long counts nothing."""
LONGEST_PHASE_SECONDS = 1.0
"""Pauses before the windows are drawn up to this: ten periods of the slowest sensor."""


class EnergyMeter(Protocol):
    """A counter of energy; nothing but the difference of two readings means anything."""

    def joules(self) -> float:
        """The counter now."""


class NvmlMeter:
    """Counts a whole GPU with its memory, whoever uses it, and not the host; of a Volta or a newer card."""

    def __init__(self, card: Card) -> None:
        self._card = card

    def joules(self) -> float:
        """The counter now, which the driver keeps in millijoules."""
        return self._card.nvml.nvmlDeviceGetTotalEnergyConsumption(self._card.whole) / 1e3


class RaplMeter:
    """Counts the CPU packages in `domains`, folders of Linux' powercap, whoever uses them; memory is not in it.

    A counter starts again at its range, so it must be read at least once in that: some minutes at full power.
    """

    def __init__(self, domains: Sequence[Path]) -> None:
        self._ranges = {
            domain: _read_number(domain / "max_energy_range_uj") for domain in domains
        }
        self._last = self._read()
        self._total = 0

    def joules(self) -> float:
        """Summed over the packages since this meter was made."""
        now = self._read()
        for domain, microjoules in now.items():
            wrapped = microjoules < self._last[domain]
            self._total += microjoules - self._last[domain] + wrapped * self._ranges[domain]
        self._last = now
        return self._total / 1e6

    def _read(self) -> dict[Path, int]:
        return {domain: _read_number(domain / "energy_uj") for domain in self._ranges}


class Windows(NamedTuple):
    """How long to measure: `number` (at least two) times `seconds` under load, each time after a ramp that is not counted."""

    number: int = 3
    seconds: float = 5.0
    ramp_seconds: float = 1.0


WINDOWS = Windows()


class Energy(NamedTuple):
    """What the work took; power is a mean over all windows."""

    energy_j_per_image: float
    energy_j_per_image_above_idle: float
    """Without what the device, its context open and its memory filled, takes in the same time for nothing."""
    power_w: float
    idle_power_w: float
    relative_spread: float
    """Standard deviation over the windows of the joules a picture, in parts of their mean."""


class _Edge(NamedTuple):
    """A moment at which the counter had just moved, and the calls that it took to get there."""

    joules: float
    seconds: float
    calls: int


class _Window(NamedTuple):
    joules: float
    seconds: float
    calls: int


def open_meter(device: torch.device, powercap: Path = POWERCAP) -> EnergyMeter | None:
    """The counter of a GPU by NVML or of a CPU by RAPL; None where there is none to be read, and `why_not_measured` says why."""
    with suppress(DeviceError):
        return _open(device, powercap)
    return None


def why_not_measured(device: torch.device, powercap: Path = POWERCAP) -> str | None:
    """`not measured: ...` for a reader who misses the energy of `device`; None where it can be measured."""
    try:
        _open(device, powercap)
    except DeviceError as error:
        return f"not measured: {error}"
    return None


def measure_energy(
    meter: EnergyMeter,
    work: Callable[[], object],
    images_per_call: int,
    windows: Windows = WINDOWS,
    *,
    clock: Callable[[], float] = perf_counter,
    sleep: Callable[[float], object] = sleep,
) -> Energy:
    """Energy of `work`, a batch of `images_per_call` pictures that is done when it returns; the device idles in one window before.

    The device should be nobody else's meanwhile: its counter cannot tell whom it counts. Every window begins and ends as the
    counter moves, so that its steps cancel to within one call. With the default windows it takes half a minute.
    """

    def wait() -> None:
        sleep(POLL_SECONDS)

    _repeat(wait, windows.ramp_seconds, clock)
    idle = _measure_window(meter, wait, windows.seconds, clock)
    loaded = []
    for _ in range(windows.number):
        sleep(random.Random().uniform(0, LONGEST_PHASE_SECONDS))
        _repeat(work, windows.ramp_seconds, clock)
        loaded.append(_measure_window(meter, work, windows.seconds, clock))
    return _summarise(loaded, idle.joules / idle.seconds, images_per_call)


def _summarise(windows: Sequence[_Window], idle_power_w: float, images_per_call: int) -> Energy:
    joules, seconds, calls = (sum(column) for column in zip(*windows, strict=True))
    images = calls * images_per_call
    each = [window.joules / window.calls for window in windows]
    return Energy(
        energy_j_per_image=joules / images,
        energy_j_per_image_above_idle=(joules - idle_power_w * seconds) / images,
        power_w=joules / seconds,
        idle_power_w=idle_power_w,
        relative_spread=stdev(each) / mean(each),
    )


def _measure_window(
    meter: EnergyMeter, step: Callable[[], object], seconds: float, clock: Callable[[], float]
) -> _Window:
    start = _next_edge(meter, step, clock)
    calls = _repeat(step, seconds, clock)
    end = _next_edge(meter, step, clock)
    return _Window(end.joules - start.joules, end.seconds - start.seconds, calls + end.calls)


def _next_edge(
    meter: EnergyMeter, step: Callable[[], object], clock: Callable[[], float]
) -> _Edge:
    """Step until the counter moves: read only here, because reading NVML takes time from the work."""
    before, calls = meter.joules(), 0
    while True:
        step()
        calls += 1
        joules = meter.joules()
        if joules != before:
            return _Edge(joules, clock(), calls)


def _repeat(step: Callable[[], object], seconds: float, clock: Callable[[], float]) -> int:
    end, calls = clock() + seconds, 0
    while clock() < end:
        step()
        calls += 1
    return calls


def _open(device: torch.device, powercap: Path) -> EnergyMeter:
    meter = _open_nvml(device) if device.type == "cuda" else _open_rapl(powercap)
    before = meter.joules()
    for _ in range(int(LONGEST_STILL_SECONDS / POLL_SECONDS)):
        sleep(POLL_SECONDS)
        if meter.joules() != before:
            return meter
    raise DeviceError(
        f"the energy counter stood still for {LONGEST_STILL_SECONDS:g} s, as on some virtual machines"
    )


def _open_nvml(device: torch.device) -> NvmlMeter:
    card = open_card(device)
    if card is None:
        raise DeviceError("NVML does not answer for this GPU")
    if card.is_slice:
        raise DeviceError("the counter is the whole card's, and this is a MIG slice of it")
    meter = NvmlMeter(card)
    try:
        meter.joules()
    except card.nvml.NVMLError as error:
        raise DeviceError(
            f"this GPU has no energy counter (Volta and newer have): {error}"
        ) from error
    return meter


def _open_rapl(powercap: Path) -> RaplMeter:
    domains = [
        folder
        for folder in sorted(powercap.glob("intel-rapl:*"))
        if _name(folder).startswith("package")
    ]
    if not domains:
        raise DeviceError(f"no CPU package has a RAPL counter under {powercap}")
    try:
        return RaplMeter(domains)
    except PermissionError as error:
        raise DeviceError(f"{powercap} is readable by root only") from error


def _name(domain: Path) -> str:
    return (domain / "name").read_text(encoding="ascii")


def _read_number(path: Path) -> int:
    return int(path.read_text(encoding="ascii"))
