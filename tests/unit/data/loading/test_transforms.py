import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as reference

from resomap.data.loading.random_draws import draw_boxes
from resomap.data.loading.transforms import blur, color_affine, erase, resample, resample_bytes

UPRIGHT = torch.tensor([False])


def noise(count: int = 1, side: int = 32) -> Tensor:
    values = np.random.default_rng(0).random((count, 3, side, side), dtype=np.float32)
    return torch.from_numpy(values)


def recolor(images: Tensor, gray: Tensor, color: Tensor) -> Tensor:
    matrix, shift = color_affine(gray, color)
    return torch.einsum("bij,bjhw->bihw", matrix, images) + shift[:, :, None, None]


@pytest.mark.parametrize(
    ("left", "top", "width", "height"), [(0, 0, 32, 32), (4, 8, 20, 16), (10, 0, 22, 31)]
)
@pytest.mark.parametrize("flip", [False, True])
def test_crop_equals_torchvision(left, top, width, height, flip):
    images = noise()
    expected = reference.resized_crop(
        images, top, left, height, width, [32, 32], antialias=True
    )
    if flip:
        expected = expected.flip(3)
    box = torch.tensor([[left, top, width, height]]) / 32
    cropped = resample(images, box, None, torch.tensor([flip]))
    # At its border torchvision repeats pixels of the box, where `resample` reads beyond it.
    inner = np.s_[:, :, 2:-2, 2:-2]
    torch.testing.assert_close(cropped[inner], expected[inner], atol=2e-5, rtol=0)


@pytest.mark.parametrize("angle", [0.0, 90.0, 180.0, -90.0])
def test_rotation_by_right_angle_moves_pixels(angle):
    images = noise()
    rotated = resample(images, None, torch.tensor([angle]), UPRIGHT)
    expected = torch.rot90(images, round(angle / 90), (2, 3))
    torch.testing.assert_close(rotated, expected, atol=2e-5, rtol=0)
    torch.testing.assert_close(rotated, reference.rotate(images, angle), atol=2e-5, rtol=0)


def test_resampled_bytes_equal_floats_within_one_level(waves):
    images, rng = waves(8, 48), np.random.default_rng(0)
    box = torch.from_numpy(draw_boxes(rng, 8, (0.1, 1.0), (0.75, 1.33)))
    angle, flipped = torch.from_numpy(rng.uniform(-30, 30, 8)), torch.arange(8) % 2 == 0
    resampled = resample_bytes(images, box, angle, flipped, (127.0, 127.0, 127.0))
    expected = resample(images.permute(0, 3, 1, 2) - 127.0, box, angle, flipped) + 127
    assert (resampled.permute(0, 3, 1, 2) - expected).abs().quantile(0.99) <= 1.0


@pytest.mark.parametrize(
    ("index", "function"),
    [(0, "adjust_brightness"), (1, "adjust_contrast"), (2, "adjust_saturation")],
)
@pytest.mark.parametrize("factor", [0.7, 1.0, 1.2])
def test_color_change_equals_torchvision_without_clipping(index, function, factor):
    images, color = 0.3 + 0.3 * noise(), torch.tensor([[1.0, 1.0, 1.0, 0.0]])
    color[0, index] = factor
    gray = reference.rgb_to_grayscale(images).mean((1, 2, 3))
    expected = getattr(reference, function)(images, factor)
    torch.testing.assert_close(recolor(images, gray, color), expected, atol=2e-4, rtol=0)


@pytest.mark.parametrize("turn", [0.2, 1.0])
def test_hue_shift_keeps_luma(turn):
    images, luma = noise(), torch.tensor([0.299, 0.587, 0.114])
    changed = recolor(images, torch.tensor([0.5]), torch.tensor([[1.0, 1.0, 1.0, turn]]))
    before, after = (torch.einsum("c,bchw->bhw", luma, each) for each in (images, changed))
    torch.testing.assert_close(after, before, atol=1e-3, rtol=0)
    if turn == 1.0:
        torch.testing.assert_close(changed, images, atol=1e-5, rtol=0)


def test_blur_equals_torchvision_inside_and_skips_sigma_0():
    images = noise(2, 40)
    blurred = blur(images, torch.tensor([0.05, 0.0]))
    expected = reference.gaussian_blur(images, [17, 17], [2.0, 2.0])
    inner = np.s_[0, :, 10:-10, 10:-10]
    torch.testing.assert_close(blurred[inner], expected[inner], atol=1e-4, rtol=0)
    assert torch.equal(blurred[1], images[1])


def test_erase_sets_only_its_box_to_0():
    images = noise(2, 8) + 1
    erased = erase(images, torch.tensor([[0.25, 0.5, 0.5, 0.25], [0.0, 0.0, 0.0, 0.0]]))
    assert (erased[0, :, 4:6, 2:6] == 0).all()
    assert (erased == 0).sum() == 3 * 2 * 4
