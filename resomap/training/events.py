"""TensorBoard event files, written while a training runs."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from resomap.errors import ResoMapError

OnEpoch = Callable[[int, Mapping[str, float]], None]


@contextmanager
def event_writer(directory: Path | None) -> Iterator[OnEpoch | None]:
    """Yield a function that writes the values of an epoch as scalars into `directory`.

    It yields None when `directory` is None. Scalars are grouped by their first word
    (train/loss, val/accuracy) and readable at once. ResoMapError when TensorBoard is not
    installed.
    """
    if directory is None:
        yield None
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ResoMapError(
            "config/system.yaml: system.training.tensorboard needs TensorBoard; "
            "install it with `pip install 'resomap[tracking]'`"
        ) from error

    writers: list[SummaryWriter] = []

    def write(epoch: int, values: Mapping[str, float]) -> None:
        if not writers:
            # Opened at the first epoch, because purge_step hides the events from that epoch on:
            # those of an earlier training here, or of epochs that a resumed one repeats.
            writers.append(SummaryWriter(str(directory), purge_step=epoch))
        for name, value in values.items():
            if name != "epoch":
                writers[0].add_scalar(_tag(name), value, epoch)
        writers[0].flush()

    try:
        yield write
    finally:
        for writer in writers:
            writer.close()


def _tag(name: str) -> str:
    split, _, metric = name.partition("_")
    return f"{split}/{metric}" if split in ("train", "val") else name
