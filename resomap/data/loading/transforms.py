"""Augmentations of a batch with parameters per image, as tensor operations on any device."""

from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in Pillow and torchvision
# From RGB to luma and two axes of chroma (NTSC's YIQ), in which hue is an angle.
YIQ = (LUMA, (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))


def on_host(images: Tensor) -> bool:
    """Return whether `images` are in the memory of the CPU, which may then look at values."""
    return images.device.type == "cpu"


def resample(
    images: Tensor, box: Tensor | None, angle: Tensor | None, flipped: Tensor
) -> Tensor:
    """Rotate, crop and flip (B, C, r, r) by one bilinear resampling; outside the image is 0.

    `angle` (B,) is in degrees, `box` (B, 4) in fractions of the side.
    """
    # A box is never larger than the image, hence only upscaled: no antialiasing is needed.
    return warp(images, _affine(box, angle, flipped))


def warp(images: Tensor, matrices: Tensor) -> Tensor:
    """Resample (B, C, r, r) bilinearly; outside the image is 0.

    `matrices` (B, 2, 3) map output to input coordinates, both in [-1, 1].
    """
    grid = _sampling_grid(matrices.to(images.dtype), images.shape[-1])
    return functional.grid_sample(
        images, grid, mode="bilinear", padding_mode="zeros", align_corners=False
    )


def _sampling_grid(matrices: Tensor, side: int) -> Tensor:
    """Return the input coordinates (B, side, side, 2) of every output pixel."""
    # `functional.affine_grid` multiplies matrices, which TF32 would round to a tenth of a pixel.
    steps = torch.arange(side, dtype=matrices.dtype, device=matrices.device)
    centres = (2 * steps + 1) / side - 1
    by_x, by_y, shift = matrices[..., None, None].unbind(2)
    return (by_x * centres + by_y * centres[:, None] + shift).permute(0, 2, 3, 1)


def resample_bytes(
    images: Tensor,
    box: Tensor | None,
    angle: Tensor | None,
    flipped: Tensor,
    fill: tuple[float, ...],
) -> Tensor:
    """Resample as `resample` does, but uint8 (B, r, r, C) on the CPU with OpenCV.

    Outside the image is `fill` (0 to 255). This is 4 times as fast as `resample`; OpenCV rounds
    positions to 1/32 of a pixel and colours to whole levels.
    """
    return warp_bytes(images, _affine(box, angle, flipped), fill)


def resample_to_bytes(
    images: Tensor, box: Tensor | None, angle: Tensor | None, flipped: Tensor, fill: Tensor
) -> Tensor:
    """Resample as `resample` does, but uint8 (B, r, r, C); outside the image is `fill` (C,)."""
    return warp_to_bytes(images, _affine(box, angle, flipped), fill)


def warp_to_bytes(images: Tensor, matrices: Tensor, fill: Tensor) -> Tensor:
    """Warp as `warp` does, but uint8 (B, r, r, C); outside the image is `fill` (C,)."""
    centred = (images.float() - fill).permute(0, 3, 1, 2)
    warped = warp(centred, matrices).permute(0, 2, 3, 1) + fill
    return warped.round_().clamp_(0, 255).to(torch.uint8)


def warp_bytes(images: Tensor, affine: Tensor, fill: tuple[float, ...]) -> Tensor:
    """Resample as `warp` does, but uint8 (B, r, r, C) on the CPU with OpenCV."""
    import cv2

    side, changed = images.shape[1], np.empty_like(images.numpy())
    matrices = affine.numpy().copy()
    # From coordinates in [-1, 1] to pixels counted from the centre of the first.
    matrices[:, :, 2] = (
        matrices[:, :, :2].sum(2) * (1 - side) / 2 + (matrices[:, :, 2] + 1) * side / 2 - 0.5
    )
    flags, border = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, cv2.BORDER_CONSTANT
    for source, target, matrix in zip(images.numpy(), changed, matrices, strict=True):
        cv2.warpAffine(
            source,
            matrix,
            (side, side),
            dst=target,
            flags=flags,
            borderMode=border,
            borderValue=fill,
        )
    return torch.from_numpy(changed)


def _affine(box: Tensor | None, angle: Tensor | None, flipped: Tensor) -> Tensor:
    """Return the matrices (B, 2, 3) from output to input coordinates, both in [-1, 1].

    They are float64. Without a box it is the whole image, without an angle 0.
    """
    # Made on the device: a constant of the host would be copied in every batch.
    unturned = torch.zeros(len(flipped), dtype=torch.float64, device=flipped.device)
    if box is None:
        box = torch.stack([unturned, unturned, unturned + 1, unturned + 1], dim=1)
    if angle is None:
        angle = unturned
    box, angle = box.double(), angle.double()
    center, size = 2 * box[:, :2] + box[:, 2:] - 1, box[:, 2:]
    rotation = rotation_matrices(angle)[:, :, :2]
    mirror = torch.where(flipped, -1.0, 1.0).to(size.dtype)
    scale = torch.diag_embed(torch.stack([size[:, 0] * mirror, size[:, 1]], dim=1))
    return torch.cat([rotation @ scale, rotation @ center[:, :, None]], dim=2)


def rotation_matrices(angle: Tensor) -> Tensor:
    """Return the matrices (B, 2, 3) of rotations by `angle` (B,) degrees, counter-clockwise."""
    radians = torch.deg2rad(angle)
    cos, sin, zero = radians.cos(), radians.sin(), torch.zeros_like(radians)
    return torch.stack([cos, -sin, zero, sin, cos, zero], dim=1).view(-1, 2, 3)


@cache
def color_constants(device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Return LUMA (3,), YIQ and its inverse (3, 3) as float32 on `device`, copied there once."""
    # A copy in every batch, or an inverse on the device, would make the CPU wait for a GPU.
    yiq = torch.tensor(YIQ)
    constants = torch.tensor(LUMA), yiq, torch.linalg.inv(yiq)
    luma, yiq, inverse = (constant.to(device) for constant in constants)
    return luma, yiq, inverse


def color_affine(gray: Tensor, color: Tensor) -> tuple[Tensor, Tensor]:
    """Return brightness, contrast, saturation and hue as a matrix (B, 3, 3) and a shift (B, 3).

    They apply to images in [0, 1]. `gray` (B,) is the mean luma of each image, `color` (B, 4)
    the three factors and the shift of hue. The first three are torchvision's, without its
    clamping after each. Hue rotates in the plane of I and Q instead of HSV's hexagon, which
    keeps the luma.
    """
    brightness, contrast, saturation, hue = color.to(gray.dtype).unbind(1)
    _, yiq, inverse = color_constants(gray.device)
    angle = 2 * torch.pi * hue
    chroma = torch.zeros(len(gray), 3, 3, dtype=gray.dtype, device=gray.device)
    chroma[:, 0, 0] = 1
    chroma[:, 1, 1] = chroma[:, 2, 2] = saturation * angle.cos()
    chroma[:, 1, 2], chroma[:, 2, 1] = -saturation * angle.sin(), saturation * angle.sin()
    mixed = inverse @ chroma @ yiq
    # Contrast blends with a grey, which a change of chroma leaves as it is.
    matrix = mixed * (brightness * contrast)[:, None, None]
    shift = ((1 - contrast) * brightness * gray)[:, None].expand(-1, 3)
    return matrix, shift


def blur(images: Tensor, sigma: Tensor) -> Tensor:
    """Blur (B, C, r, r) with Gaussians of `sigma` (B,) in fractions of the side; 0 for no blur.

    At the edges the weights are renormalised.
    """
    if not on_host(images):
        # To know which images are blurred, the CPU would wait for the GPU: blur all of them.
        blurred = _blur_all(images, torch.where(sigma > 0, sigma, 1.0))
        return torch.where((sigma > 0)[:, None, None, None], blurred, images)
    chosen = sigma.nonzero().flatten()
    if not len(chosen):
        return images
    return images.index_copy(0, chosen, _blur_all(images[chosen], sigma[chosen]))


def _blur_all(images: Tensor, sigma: Tensor) -> Tensor:
    side = images.shape[-1]
    pixel = torch.arange(side, dtype=images.dtype, device=images.device)
    distance = (pixel[:, None] - pixel) / (sigma.to(images.dtype) * side)[:, None, None]
    weights = torch.exp(-(distance**2) / 2)
    weights = (weights / weights.sum(-1, keepdim=True))[:, None]
    # A Gaussian is separable: one matrix product along each axis.
    return weights @ images @ weights.transpose(-1, -2)


def erase(images: Tensor, box: Tensor) -> Tensor:
    """Set the pixels of (B, C, r, r) whose centres are in `box` (B, 4), in fractions, to 0."""
    side = images.shape[-1]
    centre = (torch.arange(side, dtype=torch.float64, device=images.device) + 0.5) / side
    left_top, right_bottom = box[:, :2, None], (box[:, :2] + box[:, 2:])[:, :, None]
    inside = (centre >= left_top) & (centre < right_bottom)
    return images.masked_fill((inside[:, 1, :, None] & inside[:, 0, None, :])[:, None], 0.0)
