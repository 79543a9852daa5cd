"""TensorBoard event files, written while a training runs."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from resomap.errors import ResoMapError

OnEpoch = Callable[[int, Mapping[str, float]], None]


@contextmanager
def events_into(directory: Path | None) -> Iterator[OnEpoch | None]:
    """Yield what writes the values of an epoch as scalars into `directory`, at once; None for None.

    Scalars are grouped by their first word (train/loss, val/accuracy). ResoMapError when TensorBoard is not installed.
    """
    if directory is None:
        yield None
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ResoMapError(
            "config/system.yaml: system.training.tensorboard: install it with `pip install 'resomap[tracking]'`"
        ) from error

    writers: list[SummaryWriter] = []

    def write(epoch: int, values: Mapping[str, float]) -> None:
        if not writers:  # events of an earlier training, or of epochs that are trained again, are hidden from here on
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
    group, _, rest = name.partition("_")
    return f"{group}/{rest}" if group in ("train", "val") else name
