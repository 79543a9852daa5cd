"""Energy of a workload, by the energy counter of the device.

The counters are coarse, and the sensors behind them work part-time: an A100 or H100 samples a
quarter of the time, and its readings follow a change of load with a delay (Yang et al. 2023,
"Part-time power measurements: nvidia-smi's lack of attention", arXiv 2312.02741). As the paper
recommends, the workload is repeated for at least 5 s per window, in several windows at random
phase, and the readings while the load rises are discarded.
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
from resomap.system.nvml import Card, open_card

POWERCAP = Path("/sys/class/powercap")
POLL_SECONDS = 0.01  # NVML's counter moves every 20 to 100 ms, RAPL's every millisecond
MAX_STILL_SECONDS = 2.0  # a counter that does not move for so long does not count
MAX_PHASE_SECONDS = 1.0  # of a random pause before a window: ten periods of the slowest sensor


class EnergyMeter(Protocol):
    """An energy counter, of which only differences are meaningful."""

    def joules(self) -> float:
        """Read the counter."""


class NvmlMeter:
    """Energy counter of a whole GPU with its memory, all users included (Volta and newer)."""

    def __init__(self, card: Card) -> None:
        self._card = card

    def joules(self) -> float:
        """Read the counter, which NVML reports in millijoules."""
        return self._card.nvml.nvmlDeviceGetTotalEnergyConsumption(self._card.whole) / 1e3


class RaplMeter:
    """Energy counters of the CPU packages in `domains`, all users included, memory excluded.

    `domains` are folders of Linux' powercap. Read at least once per wrap-around of the
    counters, which is some minutes at full power.
    """

    def __init__(self, domains: Sequence[Path]) -> None:
        self._ranges = {
            domain: _read_number(domain / "max_energy_range_uj") for domain in domains
        }
        self._last = self._read()
        self._total = 0

    def joules(self) -> float:
        """Read the counters and return their sum since this meter was made."""
        now = self._read()
        for domain, microjoules in now.items():
            wrapped = microjoules < self._last[domain]
            self._total += microjoules - self._last[domain] + wrapped * self._ranges[domain]
        self._last = now
        return self._total / 1e6

    def _read(self) -> dict[Path, int]:
        return {domain: _read_number(domain / "energy_uj") for domain in self._ranges}


class Windows(NamedTuple):
    """Measuring plan: `number` (at least 2) windows of `seconds`, each after an unused ramp."""

    number: int = 3
    seconds: float = 5.0
    ramp_seconds: float = 1.0


WINDOWS = Windows()


class Energy(NamedTuple):
    """Energy per image and mean power over all windows.

    `above_idle` subtracts what the idle device draws in the same time, with its context open
    and its memory filled. `relative_spread` is the standard deviation of the joules per image
    over the windows, divided by their mean. `energy_j_per_image_rounds` are those of each window.
    """

    energy_j_per_image: float
    energy_j_per_image_above_idle: float
    power_w: float
    idle_power_w: float
    relative_spread: float
    energy_j_per_image_rounds: tuple[float, ...]


class _Edge(NamedTuple):
    """A moment at which the counter has just moved, and the calls it took to reach it."""

    joules: float
    seconds: float
    calls: int


class _Window(NamedTuple):
    joules: float
    seconds: float
    calls: int


def open_meter(device: torch.device, powercap: Path = POWERCAP) -> EnergyMeter | None:
    """Open the counter of a GPU (NVML) or a CPU (RAPL); None if there is none to read."""
    with suppress(DeviceError):
        return _open(device, powercap)
    return None


def why_not_measured(device: torch.device, powercap: Path = POWERCAP) -> str | None:
    """Return `not measured: <reason>` for the energy of `device`; None if it is measured."""
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
    """Measure the energy of `work`, a batch that has finished when it returns.

    The device idles for one window, then repeats `work` in several; with the default windows it
    takes half a minute. Nothing else should use the device, whose counter counts all users.
    """

    def wait() -> None:
        sleep(POLL_SECONDS)

    _repeat(wait, windows.ramp_seconds, clock)
    idle = _measure_window(meter, wait, windows.seconds, clock)
    loaded = []
    for _ in range(windows.number):
        # A random phase, so that a sensor that samples a quarter of the time cannot stay in
        # step with the windows. It needs no seed: it is part of no result.
        sleep(random.Random().uniform(0, MAX_PHASE_SECONDS))  # noqa: S311
        _repeat(work, windows.ramp_seconds, clock)
        loaded.append(_measure_window(meter, work, windows.seconds, clock))
    return _summarise(loaded, idle.joules / idle.seconds, images_per_call)


def _summarise(windows: Sequence[_Window], idle_power_w: float, images_per_call: int) -> Energy:
    joules, seconds, calls = (sum(column) for column in zip(*windows, strict=True))
    images = calls * images_per_call
    joules_per_call = [window.joules / window.calls for window in windows]
    return Energy(
        energy_j_per_image=joules / images,
        energy_j_per_image_above_idle=(joules - idle_power_w * seconds) / images,
        power_w=joules / seconds,
        idle_power_w=idle_power_w,
        relative_spread=stdev(joules_per_call) / mean(joules_per_call),
        energy_j_per_image_rounds=tuple(each / images_per_call for each in joules_per_call),
    )


def _measure_window(
    meter: EnergyMeter, step: Callable[[], object], seconds: float, clock: Callable[[], float]
) -> _Window:
    # From edge to edge of the counter, so that its coarse steps cancel to within one call.
    start = _next_edge(meter, step, clock)
    calls = _repeat(step, seconds, clock)
    end = _next_edge(meter, step, clock)
    return _Window(end.joules - start.joules, end.seconds - start.seconds, calls + end.calls)


def _next_edge(
    meter: EnergyMeter, step: Callable[[], object], clock: Callable[[], float]
) -> _Edge:
    """Repeat `step` until the counter moves.

    The counter is read only here, because reading NVML takes time from the workload.
    """
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
    for _ in range(int(MAX_STILL_SECONDS / POLL_SECONDS)):
        sleep(POLL_SECONDS)
        if meter.joules() != before:
            return meter
    raise DeviceError(
        f"the energy counter did not move for {MAX_STILL_SECONDS:g} s, "
        "as on some virtual machines"
    )


def _open_nvml(device: torch.device) -> NvmlMeter:
    card = open_card(device)
    if card is None:
        raise DeviceError("NVML does not answer for this GPU")
    if card.is_slice:
        raise DeviceError("this is a MIG slice, and the counter counts the whole card")
    meter = NvmlMeter(card)
    try:
        meter.joules()
    except card.nvml.NVMLError as error:
        raise DeviceError(
            f"this GPU has no energy counter (Volta and newer have one): {error}"
        ) from error
    return meter


def _open_rapl(powercap: Path) -> RaplMeter:
    # Domains inside a package (cores, graphics) are part of its count; the platform domain
    # overlaps with all packages.
    domains = [
        folder
        for folder in sorted(powercap.glob("intel-rapl:*"))
        if _domain_name(folder).startswith("package")
    ]
    if not domains:
        raise DeviceError(f"no CPU package has a RAPL counter under {powercap}")
    try:
        return RaplMeter(domains)
    except PermissionError as error:
        raise DeviceError(f"{powercap} is readable by root only") from error


def _domain_name(domain: Path) -> str:
    return (domain / "name").read_text(encoding="ascii")


def _read_number(path: Path) -> int:
    return int(path.read_text(encoding="ascii"))
