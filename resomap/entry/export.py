"""Export one run for test images of one resolution, and prove the exported network."""

from pathlib import Path

import torch

from resomap.data.store.store import open_store
from resomap.deploy.run import export_run, no_exports
from resomap.entry.arguments import run_entry_point
from resomap.entry.exported_run import open_images, open_network
from resomap.system.files import replacing, write_arrays, write_json
from resomap.training.checkpoint import load_weights, recorded_normalisation
from resomap.workflow.code_digest import describe_environment
from resomap.workflow.jobs import Export


def main(
    job: Export,
    data: Path,
    weights: Path,
    networks: tuple[Path, ...],
    record: Path,
    logits: Path,
    threads: int,
) -> None:
    """Write a network for each precision of the job, the record, and the test logits.

    A run that diverged or did not fit, and a network that is not deployable, have empty files.
    """
    torch.set_num_threads(threads)
    state, metadata = load_weights(weights)
    if metadata["status"] == "ok":
        store = open_store(data).normalised_by(recorded_normalisation(metadata))
        network = open_network(job, store.num_classes, state)
        images = open_images(job, store)
        exported = export_run(
            network, images, job.precisions, job.eval_resolution, job.title, job.runtimes
        )
    else:
        exported = no_exports(job.precisions, metadata["status"])
    for reason in exported.failures:
        print(reason)
    # What an earlier configuration exported here is not described by this record.
    for path in set(record.parent.glob("*.onnx")) - set(networks):
        path.unlink()
    for path, precision in zip(networks, job.precisions, strict=True):
        with replacing(path) as temporary:
            temporary.write_bytes(exported.networks[precision])
    write_arrays(logits, **exported.logits)
    environment = describe_environment("cpu")
    job_values = job.model_dump(mode="json")
    write_json(record, {**exported.record, "job": job_values, "environment": environment})


if __name__ == "__main__":
    run_entry_point(main)
