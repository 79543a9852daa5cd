"""Measure the cost of one network at every resolution, with the machine to itself."""

from pathlib import Path

import torch

from resomap.data.store.store import open_store
from resomap.entry.arguments import run_entry_point
from resomap.entry.inference_stages import measure_inference_stages
from resomap.entry.profiled_runtimes import describe_runtimes, open_runtimes
from resomap.models.registry import build_at_sides
from resomap.profiling.profile import profile_model, unsupported_reasons
from resomap.system.files import write_json
from resomap.system.gpus import device_name, keep_freed_memory, open_device
from resomap.system.precision import use_float32
from resomap.workflow.code_digest import describe_environment
from resomap.workflow.jobs import Profile


def main(job: Profile, data: Path, profile: Path) -> None:
    """Write a record per resolution, batch size and variant.

    The times of a fixed reference workload and of the stages of an image file come with them.
    """
    device = open_device(job.device, job.profiling.cpu_threads, exclusive=True)
    use_float32()
    keep_freed_memory()
    # Random weights: cost does not depend on them, so a profile needs no training.
    torch.manual_seed(0)
    store = open_store(data)
    models = build_at_sides(job.architecture, store.num_classes, job.resolutions)
    profiling, model = job.profiling, job.architecture.name
    with open_runtimes(profiling, model) as build_in_runtime:
        measured = profile_model(models, profiling, device, job.precision, build_in_runtime)
    stages = measure_inference_stages(models, store, profiling, device)
    name = device_name(device)
    for cell in measured["cells"]:
        if cell["device"] == device.type:  # runtimes stay on the CPU
            cell["device"] = name
    record = {
        "job": job.model_dump(mode="json"),
        "environment": describe_environment(name),
        **measured,
        **describe_runtimes(profiling),
        "stages": stages,
    }
    for reason in sorted(unsupported_reasons(measured["cells"])):
        print(reason)
    write_json(profile, record)


if __name__ == "__main__":
    run_entry_point(main)
