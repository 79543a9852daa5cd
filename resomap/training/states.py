"""What a training was after some step, on disk: whole, checked, and of this very training, or not taken at all."""

import sys
from collections.abc import Iterable
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

from resomap.system.files import (
    file_sha256,
    naming_file,
    remove_leftovers,
    rename_durably,
    temporary_beside,
)
from resomap.training.treefile import load_tree, write_tree

KEPT = 2
"""States on disk: the last, and the one before it, in case the last is damaged."""


def fingerprint(job: str, files: Iterable[Path], device: str, processes: int) -> str:
    """Which training a state belongs to: its job (code included), the bytes of `files`, and what else the numbers hang on."""
    parts = [job, *map(file_sha256, files), device, str(processes), version("torch")]
    return sha256("\n".join(parts).encode()).hexdigest()


class States:
    """The last states of one training in `folder`; `fingerprint` says which training (its job, its data)."""

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.folder, self.fingerprint = folder, fingerprint

    def save(self, tree: Any) -> None:
        """Keep `tree` as the newest state; the last good one stays where writing fails."""
        self.folder.mkdir(parents=True, exist_ok=True)
        number = max((_number(path) for path in self._paths()), default=0) + 1
        # Its own name: two processes that both believe to hold the lock (a node that lost its network) must not write one file.
        unnamed = temporary_beside(self.folder / "state.safetensors")
        try:
            write_tree(unnamed, {"fingerprint": self.fingerprint, "tree": tree})
            with naming_file(self.folder):
                rename_durably(
                    unnamed,
                    self.folder / f"state{number:08d}.{file_sha256(unnamed)}.safetensors",
                )
        finally:
            unnamed.unlink(missing_ok=True)
        for old in self._paths()[KEPT:]:
            old.unlink(missing_ok=True)

    def load(self) -> Any:
        """The newest state that is whole; None where there is none of this training."""
        for path in self._paths():
            if file_sha256(path) != path.name.split(".")[1]:
                print(
                    f"warning: {path} is damaged; going back to the state before it",
                    file=sys.stderr,
                    flush=True,
                )
                continue
            stored = load_tree(path)
            return stored["tree"] if stored["fingerprint"] == self.fingerprint else None
        return None

    def tidy(self, *, foreign: bool) -> None:
        """Remove what killed writers left, and the states themselves where they are `foreign`; nobody else may be reading."""
        remove_leftovers(self.folder)
        for path in self._paths() if foreign else ():
            path.unlink()

    def _paths(self) -> list[Path]:
        """The newest first."""
        return sorted(self.folder.glob("state*.*.safetensors"), key=_number, reverse=True)


def _number(path: Path) -> int:
    return int(path.name.split(".")[0].removeprefix("state"))
