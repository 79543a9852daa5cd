"""What a training ends with: whole in its state folder first, then published, so that no kill between the two costs a training."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from resomap.system.files import remove_leftovers, rename_durably, replacing, write_text

FINGERPRINT = "fingerprint.txt"


@dataclass(frozen=True)
class Results:
    """The finished `outputs` of the training that `fingerprint` names, in `folder` until they are published."""

    folder: Path
    fingerprint: str
    outputs: tuple[Path, ...]

    @property
    def finished(self) -> bool:
        """Whether an earlier process finished this very training."""
        # A node remembers for up to a minute that a name was not there (NFS), and a lock does not make it forget: a listing does.
        there = self.folder in self.folder.parent.glob("*")
        mark = self.folder / FINGERPRINT
        return there and mark.is_file() and mark.read_text(encoding="utf-8") == self.fingerprint

    @contextmanager
    def writing(self) -> Iterator[tuple[Path, ...]]:
        """Yield a path for each output; when the block ends without an error, all of them are finished at once."""
        for leftover in (*self.folder.parent.glob(f"{self.folder.name}.*"), self.folder):
            shutil.rmtree(leftover, ignore_errors=True)
        draft = self.folder.with_name(f"{self.folder.name}.{uuid4().hex}")
        draft.mkdir(parents=True)
        yield tuple(draft / output.name for output in self.outputs)
        write_text(draft / FINGERPRINT, self.fingerprint)
        rename_durably(draft, self.folder)

    def publish(self) -> None:
        """Copy every output to its place, each whole or not at all."""
        for output in self.outputs:
            remove_leftovers(output.parent)
            with replacing(output) as temporary:
                shutil.copyfile(self.folder / output.name, temporary)
