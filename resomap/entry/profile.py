"""Measure what one network costs at every resolution, alone on the machine."""

from pathlib import Path

import torch

from resomap.data.store import open_store
from resomap.devices import device_name, open_device
from resomap.entry.arguments import run
from resomap.files import write_json
from resomap.jobs import Profile
from resomap.models.registry import build_model
from resomap.profiling.profile import profile_model
from resomap.provenance import environment
from resomap.recipe import Precision
from resomap.training.precision import use_float32

PRECISION: Precision = "fp32"


def main(job: Profile, data: Path, profile: Path) -> None:
    """Write a record a resolution and batch size, and the reference workload measured beside them."""
    device = open_device(job.device, job.profiling.cpu_threads, alone=True)
    use_float32()
    torch.manual_seed(0)
    model = build_model(job.architecture, num_classes=len(open_store(data).classes))
    measured = profile_model(model, job.resolutions, job.profiling, device, PRECISION)
    name = device_name(device)
    for cell in measured["cells"]:
        cell["device"] = name
    write_json(profile, {"job": job.model_dump(mode="json"), "environment": environment(name), **measured})


if __name__ == "__main__":
    run(main)
