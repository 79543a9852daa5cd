"""The operations of RandAugment, and mixup and CutMix, equal those of torchvision."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import CutMix, MixUp, RandAugment, TrivialAugmentWide

from resomap.config import augmentation as config
from resomap.data.loading import operations
from resomap.data.loading.mixing import BatchMix, mix_images, mix_labels
from resomap.data.loading.operations import apply_operations
from resomap.data.loading.policies import (
    Operation,
    draw_rand_augment,
    draw_trivial_augment,
)
from tests.waves import draw_waves

SIDE, FILL = 48, (120.0, 110.0, 100.0)
NAMES = list(RandAugment._AUGMENTATION_SPACE)
PER_PIXEL = [
    *((Operation.BRIGHTNESS, value) for value in (-0.9, -0.3, 0.5, 0.99)),
    *((Operation.COLOR, value) for value in (-0.9, 0.3, 0.99)),
    *((Operation.CONTRAST, value) for value in (-0.9, 0.3, 0.99)),
    *((Operation.POSTERIZE, value) for value in (8.0, 5.0, 2.0)),
    *((Operation.SOLARIZE, value) for value in (1.0, 0.5, 0.0)),
    (Operation.IDENTITY, 0.0),
    (Operation.AUTO_CONTRAST, 0.0),
    (Operation.EQUALIZE, 0.0),
]
MOVES = [
    *((Operation.SHEAR_X, value) for value in (-0.3, 0.2, 0.99)),
    *((Operation.SHEAR_Y, value) for value in (-0.3, 0.2, 0.99)),
    *((Operation.TRANSLATE_X, value) for value in (-0.25, 0.125)),
    *((Operation.TRANSLATE_Y, value) for value in (-0.25, 0.125)),
    *((Operation.ROTATE, value) for value in (-135.0, 30.0)),
]


def apply(images: Tensor, operation: Operation, strength: float) -> Tensor:
    """Return NCHW bytes after one operation."""
    count = len(images)
    kinds = torch.full((count, 1), int(operation))
    strengths = torch.full((count, 1), strength, dtype=torch.float64)
    nhwc = images.permute(0, 2, 3, 1).contiguous()
    return apply_operations(nhwc, kinds, strengths, torch.tensor(FILL)).permute(0, 3, 1, 2)


def apply_torchvision(images: Tensor, operation: Operation, strength: float) -> Tensor:
    magnitude = strength
    if operation in (Operation.TRANSLATE_X, Operation.TRANSLATE_Y):
        magnitude = strength * images.shape[-1]
    return RandAugment()._apply_image_or_video_transform(
        images,
        NAMES[operation],
        magnitude,
        InterpolationMode.BILINEAR,
        {torch.Tensor: list(FILL)},
    )


@pytest.fixture
def images() -> Tensor:
    return draw_waves(4, SIDE).permute(0, 3, 1, 2).contiguous()


@pytest.fixture(params=["chosen images", "all images"])
def way(request, monkeypatch):
    if request.param == "all images":
        # As on a GPU, where the CPU does not know which images are chosen.
        monkeypatch.setattr(operations, "on_host", lambda _: False)


def test_operations_have_torchvisions_names_and_order():
    assert [name.lower() for name in NAMES] == [
        each.name.lower().replace("_", "") for each in Operation
    ]


@pytest.mark.parametrize(("operation", "strength"), PER_PIXEL)
def test_colours_equal_torchvision_within_a_level(images, way, operation, strength):
    ours = apply(images, operation, strength).int()
    theirs = apply_torchvision(images, operation, strength).int()
    assert (ours - theirs).abs().max() <= 1
    # torchvision weighs red by 0.2989 in its grey, and rounds that down.
    assert ((ours - theirs) != 0).float().mean() < 0.1


@pytest.mark.parametrize(("operation", "strength"), MOVES)
def test_moves_equal_torchvision_away_from_edges(images, way, operation, strength):
    ours = apply(images, operation, strength).float()
    theirs = apply_torchvision(images, operation, strength).float()
    # torchvision blends the filled outside within the last pixel differently.
    difference = (ours - theirs).abs()
    assert difference.quantile(0.9) <= 2
    assert (difference > 8).float().mean() < 0.06


@pytest.mark.parametrize("strength", [-0.9, 0.9])
def test_sharpness_equals_torchvision_at_224_pixels(strength):
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.integers(60, 190, (2, 3, 224, 224), dtype=np.uint8))
    inner = np.s_[:, :, 1:-1, 1:-1]
    ours = apply(images, Operation.SHARPNESS, strength)[inner].float()
    theirs = apply_torchvision(images, Operation.SHARPNESS, strength)[inner].float()
    changed = (theirs - images[inner]).std()
    # Of noise, the hardest case: two kernels of one variance, one a Gaussian.
    assert (ours - theirs).std() < 0.25 * changed


@pytest.mark.parametrize(
    ("theirs", "wide"), [(RandAugment(), False), (TrivialAugmentWide(), True)], ids=str
)
def test_strengths_equal_torchvisions_at_224_pixels(theirs, wide):
    rng, space, seen = np.random.default_rng(0), theirs._AUGMENTATION_SPACE, set()
    if wide:
        draws = draw_trivial_augment(rng, 4000)
    else:
        options = config.RandAugment(num_ops=2, magnitude=9)
        draws = draw_rand_augment(rng, 2000, options)
    for operation, strength in zip(*(each.flatten() for each in draws), strict=True):
        magnitudes = space[NAMES[operation]][0](31, 224, 224)
        if magnitudes is None:
            assert strength == 0
            continue
        pixels = 224 if "Translate" in NAMES[operation] else 1
        expected = magnitudes.double() if wide else magnitudes.double()[9:10]
        distance = (expected - abs(strength) * pixels).abs().min()
        assert distance < 1e-5, (operation, strength)
        seen.add((operation, round(strength, 6)))
    assert {operation for operation, _ in seen} == set(range(1, 12))
    assert {strength < 0 for operation, strength in seen if operation == 9} == {True, False}


LABELS = torch.tensor([0, 2, 1, 2])


def mix_as_torchvision(
    monkeypatch, transform: MixUp | CutMix, images: Tensor, **params: object
):
    monkeypatch.setattr(transform, "make_params", lambda _: params)
    return transform(images, LABELS)


def neighbours(images: Tensor, mix: BatchMix) -> tuple[Tensor, Tensor]:
    """Return images and targets mixed as the loader does."""
    mixed = mix_images(images, images.roll(1, 0), mix)
    return mixed, mix_labels(LABELS, LABELS.roll(1, 0), mix, 3)


def test_mixup_equals_torchvision(monkeypatch, images):
    floats, transform = images.float() / 255, MixUp(alpha=0.2, num_classes=3)
    theirs, targets = mix_as_torchvision(monkeypatch, transform, floats, lam=0.3)
    ours, shares = neighbours(floats, BatchMix(0.3))
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(shares, targets)


def test_cutmix_equals_torchvision(monkeypatch, images):
    box, transform = (6, 12, 30, 36), CutMix(alpha=1.0, num_classes=3)
    share = 1 - 24 * 24 / SIDE**2
    theirs, targets = mix_as_torchvision(
        monkeypatch, transform, images.float(), box=box, lam_adjusted=share
    )
    fractions = tuple(edge / SIDE for edge in box)
    ours, shares = neighbours(images.float(), BatchMix(share, fractions))
    assert torch.equal(ours, theirs)
    torch.testing.assert_close(shares, targets)
    assert math.isclose(float(shares[0].sum()), 1.0, abs_tol=1e-6)
