"""Changes of a batch of pictures with parameters of their own for each: a few operations on tensors, on any device."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in Pillow and torchvision
# From RGB to luma and two axes of colour (NTSC's YIQ), in which hue is an angle.
YIQ = (LUMA, (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))


def resample(
    images: Tensor, box: Tensor | None, angle: Tensor | None, flipped: Tensor
) -> Tensor:
    """Turn by `angle` (B,) degrees, cut out `box` (B, 4) in fractions of the side, flip: one bilinear resampling of (B, C, r, r).

    A box is never larger than the picture, so it is only ever enlarged and needs no antialiasing. Outside the picture is 0.
    """
    box, angle = (values.to(images) for values in _defaults(len(images), box, angle))
    grid = functional.affine_grid(
        _affine(box, angle, flipped), list(images.shape), align_corners=False
    )
    return functional.grid_sample(
        images, grid, mode="bilinear", padding_mode="zeros", align_corners=False
    )


def resample_bytes(
    images: Tensor,
    box: Tensor | None,
    angle: Tensor | None,
    flipped: Tensor,
    fill: tuple[float, ...],
) -> Tensor:
    """`resample` of uint8 (B, r, r, C) on the CPU by OpenCV, 4 times as fast; outside the picture is `fill` (0 to 255).

    OpenCV rounds places to 1/32 of a pixel and colours to whole numbers.
    """
    import cv2

    side, changed = images.shape[1], np.empty_like(images.numpy())
    matrices = _affine(*_defaults(len(images), box, angle), flipped).double().numpy()
    # From coordinates in [-1, 1] to those that count pixels from the centre of the first.
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


def _defaults(count: int, box: Tensor | None, angle: Tensor | None) -> tuple[Tensor, Tensor]:
    whole = torch.tensor([0.0, 0.0, 1.0, 1.0], dtype=torch.float64).expand(count, 4)
    return whole if box is None else box, torch.zeros(
        count, dtype=torch.float64
    ) if angle is None else angle


def _affine(box: Tensor, angle: Tensor, flipped: Tensor) -> Tensor:
    """Where the output's coordinates in [-1, 1] lie in the input (B, 2, 3)."""
    center, size = 2 * box[:, :2] + box[:, 2:] - 1, box[:, 2:]
    turn = torch.deg2rad(angle)
    rotation = torch.stack([turn.cos(), -turn.sin(), turn.sin(), turn.cos()], dim=1).view(
        -1, 2, 2
    )
    mirror = torch.where(flipped, -1.0, 1.0).to(size.dtype)
    scale = torch.diag_embed(torch.stack([size[:, 0] * mirror, size[:, 1]], dim=1))
    return torch.cat([rotation @ scale, rotation @ center[:, :, None]], dim=2)


def color_affine(gray: Tensor, color: Tensor) -> tuple[Tensor, Tensor]:
    """Brightness, contrast, saturation and hue as one matrix (B, 3, 3) and shift (B, 3) on pictures in [0, 1].

    `gray` (B,) is each picture's mean luma, `color` (B, 4) the factors and the turn of hue. torchvision's changes of the first three,
    without its clamping after each; hue turns in the plane of I and Q instead of HSV's hexagon, which keeps the luma.
    """
    brightness, contrast, saturation, hue = color.to(gray.dtype).unbind(1)
    yiq = gray.new_tensor(YIQ)
    turn = 2 * torch.pi * hue
    chroma = torch.zeros(len(gray), 3, 3, dtype=gray.dtype, device=gray.device)
    chroma[:, 0, 0] = 1
    chroma[:, 1, 1] = chroma[:, 2, 2] = saturation * turn.cos()
    chroma[:, 1, 2], chroma[:, 2, 1] = -saturation * turn.sin(), saturation * turn.sin()
    mixed = torch.linalg.inv(yiq) @ chroma @ yiq
    # Contrast blends with a grey, which chroma leaves as it is.
    return mixed * (brightness * contrast)[:, None, None], ((1 - contrast) * brightness * gray)[
        :, None
    ].expand(-1, 3)


def blur(images: Tensor, sigma: Tensor) -> Tensor:
    """A Gaussian blur of (B, C, r, r) by `sigma` (B,) in fractions of the side, weights renormalised at the edges; 0 changes nothing."""
    chosen = sigma.nonzero().flatten()
    if not len(chosen):
        return images
    side = images.shape[-1]
    at = torch.arange(side, dtype=images.dtype, device=images.device)
    distance = (at[:, None] - at) / (sigma[chosen].to(images.dtype) * side)[:, None, None]
    weights = torch.exp(-(distance**2) / 2)
    weights = (weights / weights.sum(-1, keepdim=True))[:, None]
    return images.index_copy(0, chosen, weights @ images[chosen] @ weights.transpose(-1, -2))


def erase(images: Tensor, box: Tensor) -> Tensor:
    """Set `box` (B, 4) in fractions of the side to 0 in (B, C, r, r): the pixels whose centres lie inside."""
    side = images.shape[-1]
    at = (torch.arange(side, dtype=torch.float64, device=images.device) + 0.5) / side
    start, end = box[:, :2], box[:, :2] + box[:, 2:]
    inside = [(at >= start[:, axis, None]) & (at < end[:, axis, None]) for axis in (0, 1)]
    return images.masked_fill((inside[1][:, :, None] & inside[0][:, None, :])[:, None], 0.0)
