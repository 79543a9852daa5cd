"""Where the time of one picture goes, from its file to its logits."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from resomap.config.schema import Profiling
from resomap.profiling.timing import Clock, Timing, Watch, measure_rounds

Stage = Callable[[], object]
STAGES = ("decode", "resize", "copy", "forward")


def measure_stages(
    stages: Mapping[int, Sequence[Stage]],
    reference: Stage,
    profiling: Profiling,
    clock: Clock,
    watch: Watch = lambda: None,
) -> list[dict[str, Any]]:
    """Time the four stages of every resolution, all interleaved: a record a resolution with the median of each in ms, and the fewest repetitions.

    A stage is done when it returns; the copy and the forward pass wait for the device. They are told in parts of one another, so the
    fewest rounds, of a third of the time, are enough.
    """
    cells = [stage for of_resolution in stages.values() for stage in of_resolution]
    shorter = {
        name: getattr(profiling, name) / 3 for name in ("warmup_seconds", "round_seconds")
    }
    brief = profiling.model_copy(update={**shorter, "target_relative_error": 1.0})
    timings, _ = measure_rounds(cells, reference, brief, [clock] * (1 + len(cells)), watch)
    grouped = (
        timings[start : start + len(STAGES)] for start in range(0, len(timings), len(STAGES))
    )
    return [
        {"resolution": resolution, **_describe(found)}
        for resolution, found in zip(stages, grouped, strict=True)
    ]


def _describe(timings: Sequence[Timing]) -> dict[str, Any]:
    medians = {
        f"{name}_ms": timing.percentile_ms(50)
        for name, timing in zip(STAGES, timings, strict=True)
    }
    return {
        **medians,
        "n": min(len(timing.latencies_ms) for timing in timings),
        "valid": all(timing.valid for timing in timings),
    }
