"""Train one run: one network, one resolution, one seed."""

from contextlib import nullcontext
from pathlib import Path

from resomap.config.schema import Runtime
from resomap.data.store.store import open_store
from resomap.entry.arguments import run_entry_point
from resomap.system.determinism import choose_kernels, explaining_missing_kernels
from resomap.system.gpus import device_name, keep_freed_memory, open_device
from resomap.system.locks import hold_lock
from resomap.system.precision import use_float32
from resomap.training.distributed import join_group, relaunch_with_torchrun
from resomap.training.publish import RunOutputs, train_and_publish
from resomap.training.run import RunSetup
from resomap.training.states import compute_fingerprint
from resomap.workflow.code_digest import describe_environment
from resomap.workflow.jobs import Train


def main(
    job: Train,
    data: Path,
    weights: Path,
    metrics: Path,
    history: Path,
    timing: Path,
    state: Path,
    runtime: Runtime,
    threads: int,
) -> None:
    """Write the best weights, their scores, the history and the times; `state` survives a kill."""
    # With several GPUs this replaces the process by torchrun, which starts `main` once per GPU.
    relaunch_with_torchrun(runtime.gpus, job.device)
    with (
        join_group(open_device(job.device, threads)) as (group, device),
        # A job that replaces a killed one waits here until no orphan of it trains any longer.
        hold_lock(state / "lock", str(state)) if group.is_leader else nullcontext(),
    ):
        use_float32()
        keep_freed_memory()
        choose_kernels(
            device, benchmark=runtime.cudnn_benchmark, deterministic=runtime.deterministic
        )
        # Saved states are resumed only for the same job, data, device type and number of GPUs.
        files = [data, *job.training.start_files]
        fingerprint = compute_fingerprint(job.to_json(), files, device.type, group.world_size)
        environment = {
            **describe_environment(device_name(device)),
            "precision": job.training.precision,
            "execution": runtime.execution,
            "processes": group.world_size,
        }
        record = {"job": job.model_dump(mode="json"), "environment": environment}
        store = open_store(data)
        setup = RunSetup(job.training, job.architecture, job.resolution, job.seed, store)
        outputs = RunOutputs(weights, history, timing, metrics, state)
        with explaining_missing_kernels():
            train_and_publish(setup, outputs, fingerprint, record, runtime, group, device)


if __name__ == "__main__":
    run_entry_point(main)
