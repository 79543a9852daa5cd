"""Measure what one network costs at every resolution, exclusive on the machine."""

from pathlib import Path

import torch

from resomap.data.store.store import open_store
from resomap.entry.arguments import run_entry_point
from resomap.entry.end_to_end import end_to_end
from resomap.models.registry import build_model
from resomap.profiling.profile import profile_model
from resomap.system.files import write_json
from resomap.system.gpus import device_name, keep_freed_memory, open_device
from resomap.training.precision import use_float32
from resomap.workflow.code_digest import describe_environment
from resomap.workflow.jobs import Profile


def main(job: Profile, data: Path, profile: Path) -> None:
    """Write a record a resolution, batch size and variant, the reference workload measured beside them, and where the time of a file goes."""
    device = open_device(job.device, job.profiling.cpu_threads, exclusive=True)
    use_float32()
    keep_freed_memory()
    torch.manual_seed(0)
    store = open_store(data)
    model = build_model(job.architecture, num_classes=store.num_classes)
    measured = profile_model(model, job.resolutions, job.profiling, device, job.precision)
    stages = (
        end_to_end(model, store, job.resolutions, job.profiling, device)
        if job.profiling.end_to_end
        else []
    )
    name = device_name(device)
    for cell in measured["cells"]:
        cell["device"] = name
    write_json(
        profile,
        {
            "job": job.model_dump(mode="json"),
            "environment": describe_environment(name),
            **measured,
            "stages": stages,
        },
    )


if __name__ == "__main__":
    run_entry_point(main)
