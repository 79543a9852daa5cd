"""Measure the training steps of one network at every resolution, for `resomap plan`."""

from pathlib import Path

from resomap.entry.arguments import run_entry_point
from resomap.system.determinism import choose_kernels, explaining_missing_kernels
from resomap.system.files import write_json
from resomap.system.gpus import keep_freed_memory, open_device
from resomap.system.precision import use_float32
from resomap.training.steps import TimingBudget, measure_cells
from resomap.workflow.jobs import MeasureSteps


def main(job: MeasureSteps, cells: tuple[Path, ...], threads: int) -> None:
    """Write a record per resolution, each as soon as it is measured."""
    device = open_device(job.device, threads)
    use_float32()
    keep_freed_memory()
    runtime = job.runtime
    choose_kernels(
        device, benchmark=runtime.cudnn_benchmark, deterministic=runtime.deterministic
    )
    records = measure_cells(
        job.architecture,
        job.training,
        job.resolutions,
        job.classes,
        runtime,
        device,
        TimingBudget(),
        job.native_side,
    )
    # `records` is a generator: what is measured before a kill is kept.
    with explaining_missing_kernels():
        for resolution, path, record in zip(job.resolutions, cells, records, strict=True):
            cell_job = job.for_resolution(resolution).model_dump(mode="json")
            write_json(path, {"job": cell_job, **record})


if __name__ == "__main__":
    run_entry_point(main)
