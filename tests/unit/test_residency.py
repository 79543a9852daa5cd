import numpy as np
import pytest
import torch

from resomap.data.loading import placement
from resomap.data.loading.loader import EvalLoader, Normalise, TrainLoader
from resomap.data.loading.placement import DiskImages, place_images
from tests.recipes import augmentation

CPU = torch.device("cpu")


@pytest.fixture
def stored(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (50, 8, 8, 3), np.uint8)
    np.save(tmp_path / "train.npy", images)
    return np.load(tmp_path / "train.npy", mmap_mode="r")


def test_pictures_that_fit_are_read_into_memory(stored):
    placed = place_images(stored, CPU, pin_memory=False)
    assert (placed.numpy() == stored).all()
    assert placed.data_ptr() != stored.ctypes.data


def test_pictures_that_do_not_fit_stay_on_the_disk_and_are_the_same(stored, monkeypatch):
    monkeypatch.setattr(placement, "_free_memory", lambda: 2 * stored.nbytes - 1)
    placed = place_images(stored, CPU, pin_memory=False)
    assert isinstance(placed, DiskImages)
    order = torch.randperm(50)
    assert (placed[order].numpy() == stored[order.numpy()]).all()
    assert (torch.cat(list(placed.split(7))).numpy() == stored).all()


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_the_same_wherever_the_pictures_lie(stored, monkeypatch, workers):
    def batches():
        normalise = Normalise((0.5,) * 3, (0.2,) * 3, CPU)
        images, labels = place_images(stored, CPU, pin_memory=False), torch.arange(50)
        train = TrainLoader(
            images, labels, normalise, 16, 0, augmentation(), num_workers=workers
        )
        return [*train, *EvalLoader(images, labels, normalise, 16)]

    resident = batches()
    monkeypatch.setattr(placement, "_free_memory", lambda: 0)
    for (images, labels), (same, named) in zip(resident, batches(), strict=True):
        assert torch.equal(images, same)
        assert torch.equal(labels, named)


def test_free_memory_is_what_could_be_taken():
    assert 2**26 < placement._free_memory() < 2**50
