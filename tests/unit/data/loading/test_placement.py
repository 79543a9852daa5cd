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


def test_images_that_fit_are_read_into_memory(stored):
    placed = place_images(stored, CPU)
    assert (placed.numpy() == stored).all()
    assert placed.data_ptr() != stored.ctypes.data


def test_images_that_do_not_fit_stay_on_disk(stored, monkeypatch):
    monkeypatch.setattr(placement, "_free_memory", lambda: 2 * stored.nbytes - 1)
    placed = place_images(stored, CPU)
    assert isinstance(placed, DiskImages)
    order = torch.randperm(50)
    assert (placed[order].numpy() == stored[order.numpy()]).all()


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_equal_from_memory_and_disk(stored, monkeypatch, workers):
    def batches():
        normalise = Normalise((0.5,) * 3, (0.2,) * 3, CPU)
        images, labels = place_images(stored, CPU), torch.arange(50)
        train = TrainLoader(
            images, labels, normalise, 16, 0, augmentation(), num_workers=workers
        )
        return [*train, *EvalLoader(images, labels, normalise, 16)]

    resident = batches()
    monkeypatch.setattr(placement, "_free_memory", lambda: 0)
    for (images, labels), (same_images, same_labels) in zip(resident, batches(), strict=True):
        assert torch.equal(images, same_images)
        assert torch.equal(labels, same_labels)


@pytest.mark.parametrize(("share", "copies"), [(1.0, 1), (0.5, 1), (0.4, 0)])
def test_jobs_of_one_gpu_place_images_in_their_part(stored, monkeypatch, share, copies):
    memory, copied = 4 * stored.nbytes, list[torch.device]()
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (memory, memory))
    # A plain `cuda` has no index; torch raises ValueError for it, and takes None.
    shares = {None: share}
    monkeypatch.setattr(torch.cuda, "get_per_process_memory_fraction", shares.__getitem__)
    monkeypatch.setattr(torch.Tensor, "to", lambda tensor, gpu: copied.append(gpu) or tensor)
    place_images(stored, torch.device("cuda"))
    assert len(copied) == copies


def test_free_memory_is_plausible():
    assert 2**26 < placement._free_memory() < 2**50
