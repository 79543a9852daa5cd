import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as reference

from resomap.config.training import (
    Augmentation,
    ColorJitter,
    GaussianBlur,
    RandomErasing,
    RandomResizedCrop,
)
from resomap.data.loading.loader import Normalise, TrainLoader
from resomap.data.loading.random_draws import draw_boxes, draw_epoch
from resomap.data.loading.transforms import blur, color_affine, erase, resample, resample_bytes
from tests.recipes import augmentation

CPU = torch.device("cpu")
UPRIGHT = torch.tensor([False])
CROP = RandomResizedCrop(scale=(0.2, 1.0), ratio=(0.75, 1.3333))
CHANGES = {
    "random_resized_crop": CROP,
    "rotation_degrees": 20.0,
    "color_jitter": ColorJitter(brightness=0.2, contrast=0.2, saturation=0.3, hue=0.1),
    "blur": GaussianBlur(probability=0.5, sigma=(0.01, 0.03)),
    "erasing": RandomErasing(probability=0.5, scale=(0.02, 0.3), ratio=(0.3, 3.3)),
}
ALL = augmentation(horizontal_flip=0.5, **CHANGES)


def noise(count: int = 1, side: int = 32, seed: int = 0) -> Tensor:
    return torch.from_numpy(
        np.random.default_rng(seed).random((count, 3, side, side), dtype=np.float32)
    )


def smooth(count: int, side: int) -> Tensor:
    """uint8 NHWC waves that two resolutions show alike."""
    at = (torch.arange(side) + 0.5) / side
    waves = [
        torch.sin(2 * np.pi * (at[:, None] * (1 + number % 3) + at * (2 - number % 2)) + number)
        for number in range(3 * count)
    ]
    return (
        (127 + 90 * torch.stack(waves))
        .round()
        .to(torch.uint8)
        .view(count, 3, side, side)
        .permute(0, 2, 3, 1)
        .contiguous()
    )


@pytest.mark.parametrize(
    ("left", "top", "width", "height"), [(0, 0, 32, 32), (4, 8, 20, 16), (10, 0, 22, 31)]
)
@pytest.mark.parametrize("flip", [False, True])
def test_a_crop_is_torchvisions(left, top, width, height, flip):
    pictures = noise()
    expected = reference.resized_crop(
        pictures, top, left, height, width, [32, 32], antialias=True
    )
    found = resample(
        pictures, torch.tensor([[left, top, width, height]]) / 32, None, torch.tensor([flip])
    )
    inner = (
        slice(None),
        slice(None),
        slice(2, -2),
        slice(2, -2),
    )  # at the edge torchvision repeats, this sees beyond the box
    torch.testing.assert_close(
        found[inner], (expected.flip(3) if flip else expected)[inner], atol=2e-5, rtol=0
    )


@pytest.mark.parametrize("angle", [0.0, 90.0, 180.0, -90.0])
def test_a_right_angle_only_moves_pixels(angle):
    pictures = noise()
    found = resample(pictures, None, torch.tensor([angle]), UPRIGHT)
    torch.testing.assert_close(
        found, torch.rot90(pictures, round(angle / 90), (2, 3)), atol=2e-5, rtol=0
    )
    torch.testing.assert_close(found, reference.rotate(pictures, angle), atol=2e-5, rtol=0)


def test_bytes_are_resampled_as_floats_are_within_a_grey_level():
    pictures, rng = smooth(8, 48), np.random.default_rng(0)
    box = torch.from_numpy(draw_boxes(rng, 8, (0.1, 1.0), (0.75, 1.33)))
    angle, flipped = torch.from_numpy(rng.uniform(-30, 30, 8)), torch.arange(8) % 2 == 0
    found = resample_bytes(pictures, box, angle, flipped, (127.0, 127.0, 127.0))
    expected = resample(pictures.permute(0, 3, 1, 2) - 127.0, box, angle, flipped) + 127
    assert (found.permute(0, 3, 1, 2) - expected).abs().quantile(0.99) <= 1.0


@pytest.mark.parametrize(
    ("index", "change"),
    [(0, "adjust_brightness"), (1, "adjust_contrast"), (2, "adjust_saturation")],
)
@pytest.mark.parametrize("factor", [0.7, 1.0, 1.2])
def test_colours_change_as_torchvisions_where_nothing_clips(index, change, factor):
    pictures, color = 0.3 + 0.3 * noise(), torch.tensor([[1.0, 1.0, 1.0, 0.0]])
    color[0, index] = factor
    gray = reference.rgb_to_grayscale(pictures).mean((1, 2, 3))
    matrix, shift = color_affine(gray, color)
    found = torch.einsum("bij,bjhw->bihw", matrix, pictures) + shift[:, :, None, None]
    torch.testing.assert_close(
        found, getattr(reference, change)(pictures, factor), atol=2e-4, rtol=0
    )


def test_hue_keeps_the_luma_and_a_whole_turn_is_none():
    pictures, gray = noise(), torch.tensor([0.5])
    luma = torch.tensor([0.299, 0.587, 0.114])
    for turn in (0.2, 1.0):
        matrix, _ = color_affine(gray, torch.tensor([[1.0, 1.0, 1.0, turn]]))
        found = torch.einsum("bij,bjhw->bihw", matrix, pictures)
        torch.testing.assert_close(
            torch.einsum("c,bchw->bhw", luma, found),
            torch.einsum("c,bchw->bhw", luma, pictures),
            atol=1e-3,
            rtol=0,
        )
    torch.testing.assert_close(found, pictures, atol=1e-5, rtol=0)


def test_a_blur_is_torchvisions_inside_and_leaves_the_others_alone():
    pictures = noise(2, 40)
    found = blur(pictures, torch.tensor([0.05, 0.0]))
    expected = reference.gaussian_blur(pictures, [17, 17], [2.0, 2.0])
    torch.testing.assert_close(
        found[0, :, 10:-10, 10:-10], expected[0, :, 10:-10, 10:-10], atol=1e-4, rtol=0
    )
    assert torch.equal(found[1], pictures[1])


def test_an_erased_box_is_zero_and_the_rest_is_as_it_was():
    pictures = noise(2, 8) + 1
    found = erase(pictures, torch.tensor([[0.25, 0.5, 0.5, 0.25], [0.0, 0.0, 0.0, 0.0]]))
    assert (found[0, :, 4:6, 2:6] == 0).all()
    assert (found == 0).sum() == 3 * 2 * 4


def batches(
    resolution: int, augmentation: Augmentation = ALL, **options: int
) -> list[tuple[Tensor, Tensor]]:
    normalise = Normalise((0.5, 0.5, 0.5), (0.25, 0.25, 0.25), CPU)
    loader = TrainLoader(
        smooth(21, resolution), torch.arange(21), normalise, 6, 3, augmentation, **options
    )
    loader.set_epoch(2)
    return list(loader)


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_any_number_of_workers_makes_the_same_batches(workers):
    for (alone, labels), (found, their) in zip(
        batches(24), batches(24, num_workers=workers), strict=True
    ):
        assert torch.equal(alone, found)
        assert torch.equal(labels, their)


@pytest.mark.parametrize("world", [1, 2, 3])
def test_the_parts_of_all_processes_are_the_batch(world):
    parts = [batches(24, rank=rank, world=world) for rank in range(world)]
    whole, shares = (
        batches(24),
        [share for batch in zip(*parts, strict=True) for share in batch],
    )
    torch.testing.assert_close(
        torch.cat([images for images, _ in shares]),
        torch.cat([images for images, _ in whole]),
        atol=1e-6,
        rtol=0,
    )
    assert torch.equal(
        torch.cat([labels for _, labels in shares]), torch.cat([labels for _, labels in whole])
    )
    assert all(len(images) >= 2 for images, _ in shares)


def test_an_epoch_that_begins_in_the_middle_ends_as_the_whole_does():
    normalise = Normalise((0.5, 0.5, 0.5), (0.25, 0.25, 0.25), CPU)
    loader = TrainLoader(smooth(21, 24), torch.arange(21), normalise, 6, 3, ALL)
    loader.set_epoch(2, step=2)
    for (images, labels), (found, their) in zip(batches(24)[2:], loader, strict=True):
        assert torch.equal(images, found)
        assert torch.equal(labels, their)


def test_two_resolutions_show_the_same_pictures_changed_alike():
    small, large = batches(24), batches(96)
    for (coarse, labels), (fine, their) in zip(small, large, strict=True):
        assert torch.equal(labels, their)
        reduced = torch.nn.functional.avg_pool2d(fine, 4)
        assert (reduced - coarse).abs().median() < 0.05
        assert torch.corrcoef(torch.stack([reduced.flatten(), coarse.flatten()]))[0, 1] > 0.97


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_that_is_switched_on_leaves_the_draws_of_the_others(name):
    without = draw_epoch(1, 2, 50, augmentation(horizontal_flip=0.5))
    alone = draw_epoch(1, 2, 50, augmentation(horizontal_flip=0.5, **{name: CHANGES[name]}))
    every = draw_epoch(1, 2, 50, ALL)
    np.testing.assert_array_equal(without.order, every.order)
    np.testing.assert_array_equal(without.flipped, every.flipped)
    drawn = [
        field
        for field in ("box", "angle", "color", "sigma", "erased")
        if getattr(alone, field) is not None
    ]
    assert len(drawn) == 1
    np.testing.assert_array_equal(getattr(alone, drawn[0]), getattr(every, drawn[0]))


def test_boxes_follow_the_law_of_torchvision():
    box = draw_boxes(np.random.default_rng(0), 20_000, (0.08, 1.0), (0.75, 4 / 3))
    assert (box[:, :2] >= 0).all()
    assert (box[:, :2] + box[:, 2:] <= 1 + 1e-12).all()
    from torchvision.transforms.v2 import RandomResizedCrop as Theirs

    torch.manual_seed(0)
    crop, blank = Theirs(1, scale=(0.08, 1.0)), torch.zeros(3, 1000, 1000)
    theirs = np.array(
        [
            [made[name] / 1000 for name in ("left", "top", "width", "height")]
            for made in (crop.make_params([blank]) for _ in range(4000))
        ]
    )
    for column in range(4):
        np.testing.assert_allclose(
            np.quantile(box[:, column], [0.1, 0.5, 0.9]),
            np.quantile(theirs[:, column], [0.1, 0.5, 0.9]),
            atol=0.03,
        )


def test_a_box_that_never_fits_is_the_largest_in_the_middle():
    box = draw_boxes(np.random.default_rng(0), 3, (1.0, 1.0), (2.0, 2.0))
    np.testing.assert_allclose(box, [[0.0, 0.25, 1.0, 0.5]] * 3)
