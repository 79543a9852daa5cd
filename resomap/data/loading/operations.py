"""The operations of RandAugment and TrivialAugment on bytes, with parameters per image.

They equal torchvision's but for two things: lengths need not be whole pixels, and sharpness
blurs by a fraction of the side, which is torchvision's three pixels at 224.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from resomap.data.loading.policies import Operation
from resomap.data.loading.transforms import (
    blur,
    color_constants,
    on_host,
    rotation_matrices,
    warp_bytes,
    warp_to_bytes,
)

Work = Callable[..., Tensor]
# The kernel (1 1 1, 1 5 1, 1 1 1) / 13 has a variance of 6/13 squared pixels along each axis.
SHARPNESS_SIGMA = (6 / 13) ** 0.5 / 224
MOVES = (
    Operation.SHEAR_X,
    Operation.SHEAR_Y,
    Operation.TRANSLATE_X,
    Operation.TRANSLATE_Y,
    Operation.ROTATE,
)


def apply_operations(
    images: Tensor, operations: Tensor, strengths: Tensor, fill: Tensor
) -> Tensor:
    """Apply to each of uint8 images (B, r, r, 3) its row of `operations`, one after another.

    `operations` and `strengths` are (B, K). `fill` (3,) is the colour outside the image.
    """
    for operation, strength in zip(operations.unbind(1), strengths.unbind(1), strict=True):
        images = _apply(images, operation, strength, fill)
    return images


def _apply(images: Tensor, operation: Tensor, strength: Tensor, fill: Tensor) -> Tensor:
    is_move = (operation >= MOVES[0]) & (operation <= MOVES[-1])
    images = _where(is_move, _move, images, _move_matrices(operation, strength), fill=fill)
    for kind, work in WORKS.items():
        images = _where(operation == kind, work, images, strength)
    return images


def _where(
    chosen: Tensor, work: Work, images: Tensor, *parameters: Tensor, **constants: Tensor
) -> Tensor:
    """Return `images`, the `chosen` (B,) of them replaced by what `work` makes of them."""
    if not on_host(images):
        # To know which are chosen, the CPU would wait for the GPU: work on all of them.
        changed = work(images, *parameters, **constants)
        return torch.where(chosen[:, None, None, None], changed, images)
    rows = chosen.nonzero().flatten()
    if not len(rows):
        return images
    own = (parameter[rows] for parameter in parameters)
    return images.index_copy(0, rows, work(images[rows], *own, **constants))


def _move(images: Tensor, matrices: Tensor, fill: Tensor) -> Tensor:
    if on_host(images):
        return warp_bytes(images, matrices, tuple(fill.tolist()))
    return warp_to_bytes(images, matrices, fill)


def _move_matrices(operation: Tensor, strength: Tensor) -> Tensor:
    """Return the matrices (B, 2, 3) from output to input coordinates, both in [-1, 1]."""

    def strength_of(kind: Operation) -> Tensor:
        return torch.where(operation == kind, strength, 0.0)

    matrices = rotation_matrices(strength_of(Operation.ROTATE))
    shear_x, shear_y = strength_of(Operation.SHEAR_X), strength_of(Operation.SHEAR_Y)
    left, top = strength_of(Operation.TRANSLATE_X), strength_of(Operation.TRANSLATE_Y)
    matrices[:, 0, 1] += shear_x
    matrices[:, 1, 0] += shear_y
    # Shears keep the upper left corner, which is at -1.
    matrices[:, 0, 2] += shear_x - 2 * left
    matrices[:, 1, 2] += shear_y - 2 * top
    return matrices


def _to_bytes(values: Tensor) -> Tensor:
    return values.clamp_(0, 255).to(torch.uint8)


def _blend(images: Tensor, other: Tensor, strength: Tensor) -> Tensor:
    """Return the line from `other` through `images` at the factor 1 + `strength` (B,)."""
    factor = (1 + strength).float()[:, None, None, None]
    return _to_bytes(images * factor + other * (1 - factor))


def _gray(images: Tensor) -> Tensor:
    luma, *_ = color_constants(images.device)
    return (images * luma).sum(3, keepdim=True).floor_()


def _brightness(images: Tensor, strength: Tensor) -> Tensor:
    return _blend(images, torch.zeros_like(images), strength)


def _color(images: Tensor, strength: Tensor) -> Tensor:
    return _blend(images, _gray(images), strength)


def _contrast(images: Tensor, strength: Tensor) -> Tensor:
    return _blend(images, _gray(images).mean((1, 2, 3), keepdim=True), strength)


def _sharpness(images: Tensor, strength: Tensor) -> Tensor:
    sigma = torch.full_like(strength, SHARPNESS_SIGMA)
    blurred = blur(images.permute(0, 3, 1, 2).float(), sigma).permute(0, 2, 3, 1)
    return _blend(images, blurred.round_(), strength)


def _posterize(images: Tensor, strength: Tensor) -> Tensor:
    # Other operations have negative strengths.
    lost = 2 ** (8 - strength.clamp(0, 8)).to(torch.int32)
    return images & (256 - lost).to(torch.uint8)[:, None, None, None]


def _solarize(images: Tensor, strength: Tensor) -> Tensor:
    threshold = (255 * strength).float()[:, None, None, None]
    return torch.where(images >= threshold, 255 - images, images)


def _auto_contrast(images: Tensor, strength: Tensor) -> Tensor:
    # As in torchvision, whose assignment by a mask makes the CPU wait for the GPU in torch 2.11.
    pixels = images.float()
    low, high = pixels.amin((1, 2), keepdim=True), pixels.amax((1, 2), keepdim=True)
    is_flat = low == high
    scale = torch.where(is_flat, 1.0, (high - low) * (1 / 255))
    return _to_bytes((pixels - torch.where(is_flat, 0.0, low)) / scale)


def _equalize(images: Tensor, strength: Tensor) -> Tensor:
    # Imported here, since it takes more than a second.
    from torchvision.transforms.v2 import functional

    return functional.equalize(images.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


WORKS: dict[Operation, Work] = {
    Operation.BRIGHTNESS: _brightness,
    Operation.COLOR: _color,
    Operation.CONTRAST: _contrast,
    Operation.SHARPNESS: _sharpness,
    Operation.POSTERIZE: _posterize,
    Operation.SOLARIZE: _solarize,
    Operation.AUTO_CONTRAST: _auto_contrast,
    Operation.EQUALIZE: _equalize,
}
