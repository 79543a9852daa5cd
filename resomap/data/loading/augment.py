"""The augmentation of a batch by its draws, and the normalisation of images."""

import torch
from torch import Tensor

from resomap.data.loading.native_crops import NativeCrops, crop_native
from resomap.data.loading.operations import apply_operations
from resomap.data.loading.transforms import (
    blur,
    color_affine,
    color_constants,
    erase,
    resample,
    resample_bytes,
    resample_to_bytes,
)

Drawn = dict[str, Tensor]


class Normalise:
    """A map of uint8 NHWC images to float32 NCHW in channels_last: `(x / 255 - mean) / std`."""

    def __init__(
        self, mean: tuple[float, ...], std: tuple[float, ...], device: torch.device
    ) -> None:
        self.device, self.mean_bytes = device, tuple(255 * value for value in mean)
        self.fill = (255 * torch.tensor(mean)).to(device)
        # Scale and shift are folded into one multiply-add per value.
        self._scale = (1 / (255 * torch.tensor(std))).to(device)
        self._shift = (-torch.tensor(mean) / torch.tensor(std)).to(device)
        self._luma, *_ = color_constants(device)

    def __call__(self, images: Tensor) -> Tensor:
        """Normalise a batch; the NHWC result viewed as NCHW is channels_last without a copy."""
        return torch.addcmul(self._shift, images.float(), self._scale).permute(0, 3, 1, 2)

    def recolor(self, images: Tensor, color: Tensor) -> Tensor:
        """Normalise a batch whose colours change by `color` (B, 4): one matrix per image."""
        unit = images.float() / 255
        mean_luma = (unit.mean((1, 2)) * self._luma).sum(1)
        matrix, shift = color_affine(mean_luma, color)
        scale = 255 * self._scale
        changed = torch.baddbmm(
            (shift * scale + self._shift)[:, None],
            unit.flatten(1, 2),
            (matrix * scale[:, None]).transpose(1, 2),
        )
        return changed.view(images.shape).permute(0, 3, 1, 2)


def augment_in_pieces(
    images: Tensor, drawn: Drawn, normalise: Normalise, native: NativeCrops | None, pieces: int
) -> Tensor:
    """Return the augmented batch; intermediate results are of one of its `pieces` at a time."""
    if pieces == 1:
        return _augment(images, drawn, normalise, native)
    count, side, _, channels = images.shape
    side = native.side if native else side
    batch = torch.empty(
        (count, channels, side, side),
        device=normalise.device,
        memory_format=torch.channels_last,
    )
    for part in torch.arange(count).tensor_split(pieces):
        rows = slice(int(part[0]), int(part[-1]) + 1)
        own = {name: values[rows] for name, values in drawn.items()}
        batch[rows].copy_(_augment(images[rows], own, normalise, native))
    return batch


def _augment(
    images: Tensor, drawn: Drawn, normalise: Normalise, native: NativeCrops | None = None
) -> Tensor:
    if native:
        images = crop_native(images, drawn["box"], native.side, native.filter)
        drawn = {name: values for name, values in drawn.items() if name != "box"}
    moved, on_cpu = "box" in drawn or "angle" in drawn, images.device.type == "cpu"
    box, angle, flipped = drawn.get("box"), drawn.get("angle"), drawn["flipped"]
    # Operations are on bytes; without them, bytes are resampled where that is faster.
    in_bytes = on_cpu or "operation" in drawn
    if not moved:
        images = _flip(images, flipped)
    elif on_cpu:
        images = resample_bytes(images, box, angle, flipped, normalise.mean_bytes)
    elif in_bytes:
        images = resample_to_bytes(images, box, angle, flipped, normalise.fill)
    if "operation" in drawn:
        operation, strength = drawn["operation"], drawn["strength"]
        images = apply_operations(images, operation, strength, normalise.fill)
    batch = normalise.recolor(images, drawn["color"]) if "color" in drawn else normalise(images)
    # After normalisation 0 is the mean colour, which fills corners and erased boxes.
    if moved and not in_bytes:
        batch = resample(batch, box, angle, flipped)
    if "sigma" in drawn:
        batch = blur(batch, drawn["sigma"])
    if "erased" in drawn:
        batch = erase(batch, drawn["erased"])
    return batch.contiguous(memory_format=torch.channels_last)


def _flip(images: Tensor, flipped: Tensor) -> Tensor:
    return torch.where(flipped[:, None, None, None], images.flip(2), images)
