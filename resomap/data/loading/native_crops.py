"""Crops of images at native resolution, resized once to the resolution of the training.

A crop of the resized image is enlarged, and shows no detail that the resolution cannot hold at
test. A crop of the native image is resized from its own pixels and stays sharp: the object is
larger than at test (torchvision's and timm's recipe).
"""

from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from resomap.config.data import Filter
from resomap.data.loading.transforms import on_host


class NativeCrops(NamedTuple):
    """Where crops are cut from native images: their rows, and how they are resized.

    `rows` (N,) are the rows in the native images of the images that are trained on.
    """

    rows: Tensor
    side: int
    filter: Filter


# Half the width of each filter, in pixels of the coarser of both images, as in Pillow.
SUPPORTS: dict[Filter, float] = {"box": 0.5, "bilinear": 1.0, "bicubic": 2.0, "lanczos": 3.0}


def crop_native(images: Tensor, box: Tensor, side: int, filter: Filter) -> Tensor:
    """Return the `box` (B, 4), in fractions, of uint8 (B, n, n, 3) as (B, side, side, 3)."""
    if on_host(images):
        return _crop_by_pillow(images, box, side, filter)
    native = images.shape[1]
    columns, rows = (
        resize_weights(box[:, axis] * native, box[:, axis + 2] * native, native, side, filter)
        for axis in (0, 1)
    )
    # The filters are separable: one matrix product along each axis. Pillow has bytes between.
    planes = images.permute(0, 3, 1, 2).float()
    narrowed = (planes @ columns[:, None].transpose(-1, -2)).round_().clamp_(0, 255)
    resized = (rows[:, None] @ narrowed).round_().clamp_(0, 255)
    return resized.to(torch.uint8).permute(0, 2, 3, 1)


def _crop_by_pillow(images: Tensor, box: Tensor, side: int, filter: Filter) -> Tensor:
    count, native = images.shape[:2]
    resampling, cropped = (
        Image.Resampling[filter.upper()],
        np.empty((count, side, side, 3), np.uint8),
    )
    ends = torch.cat([box[:, :2], box[:, :2] + box[:, 2:]], dim=1).clamp(0, 1) * native
    for source, target, edges in zip(images.numpy(), cropped, ends.tolist(), strict=True):
        image = Image.fromarray(source)
        target[...] = np.asarray(image.resize((side, side), resampling, tuple(edges)))
    return torch.from_numpy(cropped)


def resize_weights(
    start: Tensor, length: Tensor, native: int, side: int, filter: Filter
) -> Tensor:
    """Return weights (B, side, native) of native pixels in each pixel of the resized crops.

    `start` and `length` (B,) are in native pixels. As in Pillow the filter is widened by the
    reduction, which is the antialiasing, and reads beyond the crop, but not beyond the image.
    """
    scale = (length.double() / side)[:, None, None]
    width = scale.clamp(min=1)
    pixel = torch.arange(side, dtype=torch.float64, device=start.device)[:, None]
    centre = start.double()[:, None, None] + (pixel + 0.5) * scale
    source = torch.arange(native, dtype=torch.float64, device=start.device) + 0.5
    weights = _kernel((source - centre) / width, filter)
    return (weights / weights.sum(-1, keepdim=True)).float()


def _kernel(x: Tensor, filter: Filter) -> Tensor:
    """Return Pillow's filter at distances `x`, in its own unit."""
    distance = x.abs()
    match filter:
        case "box":
            values = ((x > -0.5) & (x <= 0.5)).to(x.dtype)
        case "bilinear":
            values = 1 - distance
        case "bicubic":
            near = (1.5 * distance - 2.5) * distance * distance + 1
            far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
            values = torch.where(distance < 1, near, far)
        case "lanczos":
            values = torch.sinc(x) * torch.sinc(x / 3)
    return torch.where(distance <= SUPPORTS[filter], values, 0.0)
