"""Images on their way to a GPU, with buffers and streams of the CPU in its place."""

from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import Tensor

from resomap.data.loading import placement
from resomap.data.loading.feed import ImageFeed
from resomap.data.loading.loader import EvalLoader, Normalise, TrainLoader
from resomap.data.loading.placement import DiskImages, place_images
from tests.recipes import augmentation
from tests.waits import META, no_waits

CPU = torch.device("cpu")
NORMALISE = Normalise((0.5,) * 3, (0.2,) * 3, CPU)


@pytest.fixture
def stored(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (50, 8, 8, 3), np.uint8)
    np.save(tmp_path / "train.npy", images)
    return np.load(tmp_path / "train.npy", mmap_mode="r")


@pytest.fixture
def buffers(monkeypatch):
    """Let page-locked buffers be plain ones, and return whether each was to be page-locked."""
    empty, pinned = torch.empty, list[bool]()

    def plain_empty(*arguments, pin_memory=None, **options):
        if pin_memory is not None:
            pinned.append(pin_memory)
        return empty(*arguments, **options)

    monkeypatch.setattr(torch, "empty", plain_empty)
    return pinned


@pytest.fixture
def calls(monkeypatch):
    """Replace CUDA's streams, and return their calls in order."""
    calls = list[str]()

    class Stream:
        def __init__(self, *_):
            calls.append("new stream")

        def record_event(self):
            calls.append("record event")
            return "event"

        def wait_event(self, event):
            calls.append(f"wait for {event}")

    @contextmanager
    def stream(_):
        calls.append("enter")
        yield
        calls.append("leave")

    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _: Stream())
    monkeypatch.setattr(torch.cuda, "stream", stream)
    monkeypatch.setattr(Tensor, "record_stream", lambda *_: calls.append("record stream"))
    monkeypatch.setattr(
        Tensor, "to", lambda tensor, *_, non_blocking: calls.append("copy") or tensor
    )
    return calls


def read(images, *, resident: bool, pinned: bool, workers: int = 0) -> list[Tensor]:
    """Return the images and labels of two epochs and of an evaluation."""
    labels = torch.arange(50)
    train = TrainLoader(
        images,
        labels,
        NORMALISE,
        16,
        0,
        augmentation(horizontal_flip=0.5, rotation_degrees=9.0),
        num_workers=workers,
        pin_memory=pinned,
    )
    val = EvalLoader(images, labels, NORMALISE, 16, pin_memory=pinned)
    train._feed.is_resident = val._feed.is_resident = resident
    batches = [*train]
    train.set_epoch(1)
    return [tensor for batch in [*batches, *train, *val] for tensor in batch]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("place", ["memory", "disk"])
@pytest.mark.parametrize("pinned", [False, True])
def test_batches_are_equal_from_everywhere(
    stored, monkeypatch, buffers, place, pinned, workers
):
    expected = read(place_images(stored, CPU), resident=True, pinned=False)
    assert buffers == []
    if place == "disk":
        monkeypatch.setattr(placement, "_free_memory", lambda: 0)
    images = place_images(stored, CPU)
    assert isinstance(images, DiskImages) == (place == "disk")
    batches = read(images, resident=False, pinned=pinned, workers=workers)
    assert all(map(torch.equal, batches, expected))
    assert buffers == [pinned] * 12


def test_copy_runs_on_side_stream_and_is_waited_for(stored, buffers, calls):
    feed = ImageFeed(torch.from_numpy(np.array(stored)), torch.device("cuda"), pin_memory=True)
    index = torch.tensor([3, 1, 4])
    arrival = feed.start(index)
    assert calls == ["new stream", "enter", "copy", "record event", "leave"]
    calls.clear()
    assert (feed.finish(arrival).numpy() == stored[index.numpy()]).all()
    assert calls == ["new stream", "wait for event", "record stream"]
    assert buffers == [True]


def test_copy_of_host_images_does_not_wait(stored):
    feed = ImageFeed(torch.from_numpy(np.array(stored)), META)
    with no_waits():
        assert feed.finish(feed.start(torch.tensor([1, 2]))).shape == (2, 8, 8, 3)


def test_images_on_numbered_gpu_are_resident_on_unnumbered():
    images = torch.zeros(4, 2, 2, 3, dtype=torch.uint8, device="meta:0")
    assert ImageFeed(images, META).is_resident
