from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from resomap.config.augmentation import RandomResizedCrop
from resomap.config.data import Filter
from resomap.data.loading import native_crops
from resomap.data.loading.augment import Normalise
from resomap.data.loading.loader import TrainLoader
from resomap.data.loading.native_crops import NativeCrops, crop_native
from resomap.data.loading.random_draws import draw_boxes
from resomap.data.store.resize import resize_images
from tests.recipes import augmentation
from tests.waves import draw_waves

AS_STORED = Normalise((0.0,) * 3, (1 / 255,) * 3, torch.device("cpu"))
ROWS = torch.tensor([7, 0, 3, 5, 1, 6])


def draw(count: int) -> Tensor:
    return torch.from_numpy(
        draw_boxes(np.random.default_rng(0), count, (0.05, 1), (0.75, 1.33))
    )


def noise(count: int, side: int) -> Tensor:
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.integers(0, 256, (count, side, side, 3), np.uint8))


@pytest.mark.parametrize("filter", get_args(Filter))
@pytest.mark.parametrize("side", [16, 40, 90])
def test_crops_by_matrices_equal_those_of_pillow(monkeypatch, filter, side):
    images, box = noise(6, 64), draw(6)
    by_pillow = crop_native(images, box, side, filter).int()
    # As on a GPU.
    monkeypatch.setattr(native_crops, "on_host", lambda _: False)
    difference = (crop_native(images, box, side, filter).int() - by_pillow).abs()
    assert difference.max() <= 2 if filter != "box" else difference.float().mean() < 1
    assert (difference > 1).float().mean() < 0.01


@pytest.mark.parametrize("filter", get_args(Filter))
def test_whole_image_is_that_of_the_store(filter):
    images, whole = noise(3, 64), torch.tensor([[0.0, 0.0, 1.0, 1.0]] * 3)
    stored = resize_images(images.numpy(), 24, filter)
    np.testing.assert_array_equal(crop_native(images, whole, 24, filter).numpy(), stored)


def load(side: int, **options: int) -> list[tuple[Tensor, Tensor]]:
    """Return an epoch of six images among eight native ones of 96 pixels."""
    crop = RandomResizedCrop(scale=(0.2, 1.0), ratio=(0.75, 1.33), crop_from="native")
    recipe = augmentation(horizontal_flip=0.5, random_resized_crop=crop)
    native = NativeCrops(ROWS, side, "bicubic")
    labels = torch.arange(6)
    loader = TrainLoader(
        draw_waves(8, 96), labels, AS_STORED, 4, 3, recipe, native=native, **options
    )
    return list(loader)


def test_resolutions_show_the_same_boxes_of_the_same_images():
    for (coarse, labels), (fine, same) in zip(load(24), load(72), strict=True):
        assert torch.equal(labels, same)
        assert coarse.shape[1:] == (3, 24, 24)
        reduced = torch.nn.functional.avg_pool2d(fine, 3)
        assert (reduced - coarse).abs().mean() < 2


def test_images_are_the_rows_of_their_labels():
    whole = RandomResizedCrop(scale=(1.0, 1.0), ratio=(1.0, 1.0), crop_from="native")
    recipe, native = augmentation(random_resized_crop=whole), NativeCrops(ROWS, 96, "box")
    images = draw_waves(8, 96)
    loader = TrainLoader(images, torch.arange(6), AS_STORED, 4, 3, recipe, native=native)
    for batch, labels in loader:
        expected = images[ROWS[labels]].permute(0, 3, 1, 2).float()
        torch.testing.assert_close(batch, expected)


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_keep_native_crops(workers):
    for (batch, labels), (same, same_labels) in zip(
        load(24), load(24, num_workers=workers), strict=True
    ):
        assert torch.equal(batch, same)
        assert torch.equal(labels, same_labels)
