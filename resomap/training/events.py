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
        raise ResoMapError("config/system.yaml: system.training.tensorboard: install it with `pip install 'resomap[tracking]'`") from error

    def write(epoch: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            if name != "epoch":
                writer.add_scalar(_tag(name), value, epoch)
        writer.flush()

    # Events of an earlier training in the same place are hidden from epoch 0 on.
    with SummaryWriter(str(directory), purge_step=0) as writer:
        yield write


def _tag(name: str) -> str:
    group, _, rest = name.partition("_")
    return f"{group}/{rest}" if group in ("train", "val") else name
