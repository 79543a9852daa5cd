"""Train a run and publish its results, or publish those that a killed process has finished."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import torch

from resomap.config.schema import Runtime
from resomap.system.files import (
    file_sha256,
    remove_leftovers,
    rename_durably,
    replacing,
    write_json,
    write_rows,
    write_text,
)
from resomap.system.gpu_memory import limit_memory_to_slot
from resomap.system.gpus import device_memory_mib, peak_memory_mib
from resomap.system.nvml import process_memory_mib
from resomap.training.checkpoint import save_weights
from resomap.training.distributed import Group
from resomap.training.fit import HISTORY_COLUMNS, Outcome
from resomap.training.run import RunPaths, RunSetup, train_run

LOG_FILE = "log.txt"
FINGERPRINT_FILE = "fingerprint.txt"


@dataclass(frozen=True)
class StagedResults:
    """The `outputs` of a finished training, staged in `folder` until they are published.

    Snakemake deletes incomplete outputs of a killed job. Staging first means that a kill
    between the end of the training and the last output costs a copy, not a training.
    """

    folder: Path
    fingerprint: str
    outputs: tuple[Path, ...]

    @property
    def is_finished(self) -> bool:
        """Return whether an earlier process finished this very training."""
        # NFS remembers for up to a minute that a name did not exist, and taking a lock does not
        # refresh that. Listing the parent folder does.
        is_listed = self.folder in self.folder.parent.glob("*")
        mark = self.folder / FINGERPRINT_FILE
        if not (is_listed and mark.is_file()):
            return False
        lines = mark.read_bytes().decode(errors="replace").splitlines()
        if lines[:1] != [self.fingerprint]:
            return False
        # Their receipt is written after they are published, so that nothing else checks them.
        is_whole = lines[1:] == self._digests(self.folder)
        if not is_whole:
            print(f"warning: {self.folder} is damaged; training again", file=sys.stderr)
        return is_whole

    def _digests(self, folder: Path) -> list[str]:
        """Return the sha256 of every output in `folder`; blank for a missing one."""
        paths = [folder / output.name for output in self.outputs]
        return [file_sha256(path) if path.is_file() else "" for path in paths]

    @contextmanager
    def writing(self) -> Iterator[tuple[Path, ...]]:
        """Yield a path for each output; all are finished when the block ends without error."""
        leftovers = self.folder.parent.glob(f"{self.folder.name}.*")
        for leftover in (*leftovers, self.folder):
            shutil.rmtree(leftover, ignore_errors=True)
        # A name of its own: another process that believes it holds the lock must not write
        # here.
        draft = self.folder.with_name(f"{self.folder.name}.{uuid4().hex}")
        draft.mkdir(parents=True)
        yield tuple(draft / output.name for output in self.outputs)
        lines = [self.fingerprint, *self._digests(draft)]
        write_text(draft / FINGERPRINT_FILE, "".join(f"{line}\n" for line in lines))
        rename_durably(draft, self.folder)

    def publish(self) -> None:
        """Copy every output to its final path, each whole or not at all."""
        for output in self.outputs:
            remove_leftovers(output.parent)
            with replacing(output) as temporary:
                shutil.copyfile(self.folder / output.name, temporary)


class RunOutputs(NamedTuple):
    """The published files of a run, and the folder of its state."""

    weights: Path
    history: Path
    timing: Path
    metrics: Path
    state: Path


def train_and_publish(
    setup: RunSetup,
    outputs: RunOutputs,
    fingerprint: str,
    record: dict[str, Any],
    runtime: Runtime,
    group: Group,
    device: torch.device,
) -> None:
    """Train and write `outputs`, or publish those of a finished process with `fingerprint`.

    `record` is the part of metrics.json that is known before the training: job and environment.
    Only the leading process of the group writes.
    """
    limit_memory_to_slot(device, group.world_size)
    weights, history, timing, metrics, state = outputs
    published = (weights, history, timing, metrics, state / LOG_FILE)
    results = StagedResults(state / "done", fingerprint, published)
    if not group.broadcast(results.is_finished):
        paths = RunPaths(weights.parent, metrics.parent / "tensorboard", state, fingerprint)
        outcome, settings = train_run(setup, paths, runtime, group, device)
        if group.is_leader:
            _stage(results, setup, outcome, {**record, **settings}, device)
    elif group.is_leader:
        print((results.folder / LOG_FILE).read_text(encoding="utf-8"), file=sys.stderr)
    if group.is_leader:
        results.publish()


def _stage(
    results: StagedResults,
    setup: RunSetup,
    outcome: Outcome,
    record: dict[str, Any],
    device: torch.device,
) -> None:
    metadata = {
        "status": outcome.status,
        "model": setup.architecture.name,
        "resolution": setup.resolution,
        # Evaluation and explanations, and a training that starts from these weights, read how
        # their images were normalised and resized.
        "normalisation": record["normalisation"],
        "filter": setup.store.filter,
        "bn_momentum": record["bn_momentum"],
    }
    memory_mib = device_memory_mib(device)
    with results.writing() as (weights, history, timing, metrics, log):
        save_weights(weights, outcome.weights, metadata)
        write_rows(history, outcome.history, HISTORY_COLUMNS)
        memory = {
            "peak_memory_mib": outcome.peak_memory_mib(peak_memory_mib(device)),
            # At the end, when torch still holds the blocks of its peak.
            "process_memory_mib": process_memory_mib(device),
        }
        write_json(timing, {**outcome.timing(), **memory})
        write_json(metrics, {**record, **outcome.metrics(), "device_memory_mib": memory_mib})
        write_text(log, "".join(f"{line}\n" for line in outcome.log_lines))
