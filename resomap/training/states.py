"""The last states of a training on disk: checksummed, and of this very training or not used."""

import sys
from collections.abc import Iterable
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from resomap.system.files import (
    file_sha256,
    naming_file,
    remove_leftovers,
    rename_durably,
    temporary_beside,
)

NUM_STATES = 2  # the newest, and the one before it in case the newest is damaged


def compute_fingerprint(job: str, files: Iterable[Path], device: str, processes: int) -> str:
    """Return the sha256 of all that the numbers of a training depend on.

    These are the job (with the digest of its code), the bytes of `files`, the type of the
    device, the number of processes and the version of torch.
    """
    parts = [job, *map(file_sha256, files), device, str(processes), version("torch")]
    return sha256("\n".join(parts).encode()).hexdigest()


def write_state(path: Path, state: Any) -> None:
    """Write nested dicts, lists and tuples of tensors and plain values."""
    # Through an open file a full disk raises its OSError; given a path, torch raises a
    # RuntimeError without the number of the error.
    with path.open("wb") as stream:
        torch.save(state, stream)


class StateFolder:
    """The last states of one training, in `folder`; `fingerprint` identifies the training."""

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.folder, self.fingerprint = folder, fingerprint

    def save(self, state: Any) -> None:
        """Write `state` as the newest one; when writing fails, the states before it stay."""
        self.folder.mkdir(parents=True, exist_ok=True)
        number = max(map(_number, self._paths()), default=0) + 1
        # Two processes may both believe that they hold the lock, when a node lost its network.
        # A temporary and a final name of its own keep each from overwriting the other's file.
        temporary = temporary_beside(self.folder / "state.pt")
        try:
            write_state(temporary, {"fingerprint": self.fingerprint, "state": state})
            with naming_file(self.folder):
                digest = file_sha256(temporary)
                rename_durably(temporary, self.folder / f"state{number:08d}.{digest}.pt")
        finally:
            temporary.unlink(missing_ok=True)
        for old in self._paths()[NUM_STATES:]:
            old.unlink(missing_ok=True)

    def load(self) -> Any:
        """Return the newest undamaged state, on the CPU; None if it is of another training."""
        for path in self._paths():
            if file_sha256(path) == path.name.split(".")[1]:
                stored = torch.load(path, map_location="cpu", weights_only=True)
                return stored["state"] if stored["fingerprint"] == self.fingerprint else None
            warning = f"warning: {path} is damaged; resuming from the state before it"
            print(warning, file=sys.stderr, flush=True)
        return None

    def tidy(self, *, foreign: bool) -> None:
        """Remove the temporaries of killed writers, and all states if they are `foreign`.

        No other process may be reading them.
        """
        remove_leftovers(self.folder)
        for path in self._paths() if foreign else ():
            path.unlink()

    def _paths(self) -> list[Path]:
        """Return the paths of the states, the newest first."""
        return sorted(self.folder.glob("state*.*.pt"), key=_number, reverse=True)


def _number(path: Path) -> int:
    return int(path.name.split(".")[0].removeprefix("state"))
