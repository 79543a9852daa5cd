"""What a card does between the kernels of a training step, by torch's profiler.

usage: python -m benchmarks.gpu.idle [--device cuda] [--cells resnet18:64]

Prints the share of the time without a kernel over some steps, and the longest kernels.
"""

import argparse
from contextlib import redirect_stderr
from io import StringIO
from typing import Any

import torch

from benchmarks.gpu.card import synchronise
from benchmarks.gpu.output import NOT_MEASURED, print_row, print_rows
from benchmarks.gpu.steps import (
    MIN_STEPS,
    SETTINGS,
    StepsDone,
    add_step_options,
    build,
    configure,
    stop_after,
    time_steps,
)
from resomap.system.precision import use_float32
from resomap.training.trainer import Trainer

HEAD = ("model", "px", "idle", "kernels")


def print_idle(options: argparse.Namespace) -> None:
    """Print the share of each network's step in which no kernel ran, and the longest kernels."""
    for cell in options.cells:
        model, resolution = cell.split(":")
        setting = SETTINGS[0]
        config = configure(options.device, options.batch_size, setting)
        trainer = build(model, int(resolution), setting, config)
        time_steps(trainer, options.batch_size, options.setting_seconds)
        profiled = profile_steps(trainer)
        print_row((model, resolution, *idle_columns(profiled)))
        sort_key = f"self_{options.device}_time_total"
        print(profiled.key_averages().table(sort_by=sort_key, row_limit=10), flush=True)


def profile_steps(trainer: Trainer, count: int = MIN_STEPS) -> Any:
    """Return torch's profile of some training steps."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    if trainer.device.type == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    stop_after(trainer, count)
    with torch.profiler.profile(activities=activities) as profiled:
        try:
            while True:
                with redirect_stderr(StringIO()):
                    trainer.train_epoch()
        except StepsDone:
            synchronise(trainer.device)
    return profiled


def idle_columns(profiled: Any) -> tuple[str, str]:
    """Return the idle share between the first and the last kernel, and the kernels' number."""
    spans = [
        (event.time_range.start, event.time_range.end)
        for event in profiled.events()
        if event.device_type == torch.autograd.DeviceType.CUDA and not _is_annotation(event)
    ]
    share = idle_share(spans)
    return (NOT_MEASURED if share is None else f"{share:.1%}"), str(len(spans))


def _is_annotation(event: Any) -> bool:
    """Return whether an event spans the kernels of a Python block, and the gaps between them."""
    named = event.name.startswith(("Optimizer.", "ProfilerStep"))
    return named or getattr(event, "is_user_annotation", False)


def idle_share(spans: list[tuple[float, float]]) -> float | None:
    """Return the share of the time between first start and last end that no span covers."""
    if not spans:
        return None
    busy, reached = 0.0, min(spans)[0]
    for start, end in sorted(spans):
        busy += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return 1 - busy / (reached - min(spans)[0])


def main() -> None:
    """Parse the command line and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_step_options(parser, ["resnet18:64"])
    options = parser.parse_args()
    use_float32()
    print_rows("Idle time between kernels", HEAD, [])
    print_idle(options)


if __name__ == "__main__":
    main()
