"""What the GPU's own sensors say beside a measurement: its clock, its temperature, what holds it back and who else is on it."""

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Literal, NamedTuple

import torch

IDLE = 0x1
"""NVML's bit for clocks that are low because nothing runs: no throttle."""
REASONS = {
    0x2: "application clocks setting",
    0x4: "SW power cap",
    0x8: "HW slowdown",
    0x10: "sync boost",
    0x20: "SW thermal slowdown",
    0x40: "HW thermal slowdown",
    0x80: "HW power brake",
    0x100: "display clock setting",
    0x200: "board limit",
    0x400: "reliability voltage",
}
"""NVML's other bits (nvmlClocksEventReason* in nvml.h) by the names that nvidia-smi gives them."""
THROTTLED = frozenset(
    {"HW slowdown", "SW thermal slowdown", "HW thermal slowdown", "HW power brake"}
)
"""Reasons that spoil a measurement: heat or a failing supply, which the next machine, or this one an hour later, has not.

The software power cap is not among them. A card of the H100's class reaches its rated power under any large batch, and the cap
then sets the clock: that is how fast the card is, every deployer gets the same, and calling it invalid would leave no throughput
to report. Clocks and voltages that somebody set are as lasting. All of these are still written beside the figure.
"""

When = Literal["before", "during", "after"]


class Card(NamedTuple):
    """The GPU behind a torch device: the module and the handles that NVML is asked with."""

    nvml: Any
    whole: Any
    """Of the card: clock, temperature and energy exist only once."""
    seen: Any
    """Of what torch sees: the card, or a slice of it."""
    is_slice: bool
    """Whether torch sees a MIG slice, so that others may work on the same card."""


class GpuState(NamedTuple):
    """One look at a GPU's sensors; None where this card or its driver does not tell."""

    sm_mhz: int | None
    temperature_c: int | None
    throttle_reasons: tuple[str, ...]
    """What holds the clock back, whether it spoils a measurement or not; empty when idle."""
    other_processes: int | None
    """Processes with a compute context on the device, this one not counted."""

    @property
    def throttled(self) -> bool:
        """Whether heat or the power supply slows the GPU down."""
        return not THROTTLED.isdisjoint(self.throttle_reasons)

    @property
    def crowded(self) -> bool:
        """Whether the GPU is known to have other users."""
        return bool(self.other_processes)


class Watch:
    """Notes what the sensors say before, during and after a measurement; there is nothing to note on a CPU."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._notes: list[tuple[When, GpuState]] = []

    def note(self, when: When) -> GpuState | None:
        """Look now; `during` wants the GPU at work, or just after it."""
        state = read_gpu(self._device)
        if state is not None:
            self._notes.append((when, state))
        return state

    @property
    def records(self) -> list[dict[str, Any]] | None:
        """Every look in order, as JSON takes it: when, and the fields of GpuState; None without any."""
        return [{"when": when, **state._asdict()} for when, state in self._notes] or None

    @property
    def why_invalid(self) -> str | None:
        """What spoiled the measurement; None if nothing is known to have."""
        return why_invalid(state for _, state in self._notes)


def why_invalid(states: Iterable[GpuState]) -> str | None:
    """What spoils a measurement during which the sensors said `states`: `other processes on the GPU`, `throttled` or None."""
    seen = list(states)
    if any(state.crowded for state in seen):
        return "other processes on the GPU"
    return "throttled" if any(state.throttled for state in seen) else None


def read_gpu(device: torch.device) -> GpuState | None:
    """What the sensors of the GPU behind `device` say now; None on a CPU and where NVML does not answer."""
    card = open_card(device)
    if card is None:
        return None
    nvml, whole = card.nvml, card.whole
    return GpuState(
        sm_mhz=_ask(nvml, nvml.nvmlDeviceGetClockInfo, whole, nvml.NVML_CLOCK_SM),
        temperature_c=_ask(
            nvml, nvml.nvmlDeviceGetTemperature, whole, nvml.NVML_TEMPERATURE_GPU
        ),
        throttle_reasons=_name_reasons(
            _ask(nvml, nvml.nvmlDeviceGetCurrentClocksThrottleReasons, whole) or 0
        ),
        other_processes=_count_others(
            _ask(nvml, nvml.nvmlDeviceGetComputeRunningProcesses, card.seen), device
        ),
    )


def open_card(device: torch.device) -> Card | None:
    """The card that torch calls `device`, found by its UUID and so under any CUDA_VISIBLE_DEVICES; None where NVML does not answer."""
    if device.type != "cuda":
        return None
    import pynvml

    with suppress(pynvml.NVMLError):
        pynvml.nvmlInit()
        return _find_card(pynvml, str(torch.cuda.get_device_properties(device).uuid))
    return None


def _find_card(nvml: Any, uuid: str) -> Card:
    # CUDA writes UUIDs without a prefix and, in a MIG slice, has told the slice's or the whole card's, by its version.
    part = _ask(nvml, nvml.nvmlDeviceGetHandleByUUID, f"MIG-{uuid}")
    if part is not None:
        return Card(
            nvml, nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(part), part, is_slice=True
        )
    whole = nvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
    current, _ = _ask(nvml, nvml.nvmlDeviceGetMigMode, whole) or (0, 0)
    return Card(nvml, whole, whole, is_slice=bool(current))


def _ask(nvml: Any, question: Callable[..., Any], *about: Any) -> Any:
    """The answer; None where this card, its driver or this user's rights have none."""
    try:
        return question(*about)
    except nvml.NVMLError:
        return None


def _name_reasons(mask: int) -> tuple[str, ...]:
    bits = [1 << place for place in range(mask.bit_length()) if mask >> place & 1]
    return tuple(REASONS.get(bit, f"reason {bit:#x}") for bit in bits if bit != IDLE)


def _count_others(processes: list[Any] | None, device: torch.device) -> int | None:
    if processes is None:
        return None
    pids = {process.pid for process in processes}
    if os.getpid() in pids:
        return len(pids) - 1
    # In a container the driver may tell the host's pids. Then this process, if it keeps memory there, is one of those listed.
    return max(len(pids) - bool(torch.cuda.memory_reserved(device)), 0)
