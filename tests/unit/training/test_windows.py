import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset

from resomap.training.distributed import Group
from resomap.training.fit import fit
from resomap.training.memory import Infeasible, MicroBatch, in_pieces_within_memory
from resomap.training.windows import load_batches, load_windows
from tests.tiny_training import (
    VAL_LOSS,
    build_loaders,
    build_network,
    build_noise_trainer,
    noise_batches,
)

CPU = torch.device("cpu")


OUT_OF_MEMORY = [torch.OutOfMemoryError("CUDA out of memory."), MemoryError()]


class FullLoader:
    """A loader that runs out of memory while it prepares its second batch."""

    def __init__(self, error: Exception = OUT_OF_MEMORY[0]) -> None:
        self._error = error

    def __iter__(self):
        """Yield one batch, and fail."""
        yield noise_batches(8, 8)[0]
        raise self._error


class BrokenLoader:
    """A loader with an error of another kind."""

    def __iter__(self):
        """Fail."""
        raise RuntimeError("shapes differ")
        yield


class Stream(IterableDataset):
    """Batches without a known number."""

    def __iter__(self):
        """Yield two batches."""
        yield from noise_batches(8, 4)


def test_stream_without_length_is_loaded():
    windows = load_windows(DataLoader(Stream(), batch_size=None), 1, Group(), CPU)
    assert [window.sizes for window in windows] == [[4], [4]]


def test_window_has_batches_of_one_step_and_rest():
    windows = load_windows(noise_batches(22, 4), 2, Group(), CPU)
    assert [window.sizes for window in windows] == [[4, 4], [4, 4], [4, 2]]


@pytest.mark.parametrize(("rank", "own"), [(0, [8] * 4 + [4]), (1, [8] * 4 + [4])])
def test_sizes_of_a_loader_count_all_processes(rank, own):
    loader, _ = build_loaders()
    loader._rank, loader._world = rank, 2
    windows = list(load_windows(loader, 1, Group(rank, 2), CPU))
    assert [window.sizes for window in windows] == [[16]] * 4 + [[8]]
    assert [len(window.batches[0][0]) for window in windows] == own


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=repr)
def test_full_memory_while_loading_is_infeasible(error):
    batches = load_batches(FullLoader(error))
    next(batches)
    with pytest.raises(Infeasible, match="a batch of images does not fit into memory"):
        next(batches)


def test_other_errors_of_a_loader_pass():
    with pytest.raises(RuntimeError, match="shapes differ"):
        next(load_batches(BrokenLoader()))


@pytest.mark.parametrize("name", ["train_loader", "val_loader"])
def test_training_with_full_loader_ends_as_infeasible(name):
    trainer = build_noise_trainer(build_network())
    setattr(trainer, name, FullLoader())
    outcome = fit(trainer, 2, VAL_LOSS)
    assert outcome.status == "infeasible"
    assert "does not fit into memory" in outcome.reason


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=repr)
def test_optimizer_state_that_does_not_fit_is_infeasible(error):
    trainer = build_noise_trainer(build_network())

    def fail() -> None:
        raise error

    trainer.optimizer.step = fail
    outcome = fit(trainer, 2, VAL_LOSS)
    assert outcome.status == "infeasible"
    assert outcome.reason == "the state of the optimizer does not fit into memory"


@pytest.mark.parametrize(("limit", "pieces"), [(9, 1), (5, 3), (2, 5), (1, 9)])
def test_preparation_is_repeated_in_more_pieces(limit, pieces):
    def work(number: int) -> int:
        if -(-9 // number) > limit:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return number

    assert in_pieces_within_memory(9, work) == pieces


@pytest.mark.parametrize("world", range(1, 9))
@pytest.mark.parametrize(("size", "minimum"), [(1, 1), (2, 2), (3, 1), (16, 2), (None, 2)])
def test_processes_split_their_parts_alike(world, size, minimum):
    micro_batch = MicroBatch(size, minimum)
    for count in range(world * minimum, 120):
        parts = [len(part) for part in torch.arange(count).tensor_split(world)]
        pieces = micro_batch.num_pieces(count, world)
        lengths = [
            len(piece) for part in parts for piece in torch.arange(part).tensor_split(pieces)
        ]
        assert min(lengths) >= minimum
        if size is not None:
            assert max(lengths) <= size + minimum


def test_process_with_one_image_less_makes_as_many_passes():
    # 33 images of 2 processes: 17 would be 2 passes of at most 16 images, and 16 only one.
    assert MicroBatch(16).num_pieces(33, 2) == 2
    assert (MicroBatch(16).num_pieces(17), MicroBatch(16).num_pieces(16)) == (2, 1)
