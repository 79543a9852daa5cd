"""Images on their way to a training: already on its device, or through pinned buffers."""

from typing import NamedTuple

import torch
from torch import Tensor

from resomap.data.loading.placement import PlacedImages, take_images


class Arrival(NamedTuple):
    """Images (n, r, r, 3) on the device, and the event after which they are there."""

    images: Tensor
    copied: torch.cuda.Event | None = None


class ImageFeed:
    """Batches of placed images on `device`.

    Images that stay in host memory or on disk are gathered into a buffer and copied on a side
    stream, while the device computes. With `pin_memory` the buffer is page-locked: from other
    memory CUDA copies through a buffer of its own, and the host waits for it.
    """

    def __init__(
        self, images: PlacedImages, device: torch.device, *, pin_memory: bool = False
    ) -> None:
        self.images, self._device, self._pin_memory = images, device, pin_memory
        # By type: images lie on cuda:0 where the device of the job is plain cuda.
        self.is_resident = images.device.type == device.type
        needs_stream = device.type == "cuda" and not self.is_resident
        self._stream = torch.cuda.Stream(device) if needs_stream else None

    def start(self, index: Tensor) -> Arrival:
        """Take the images of `index` (n,) and start their copy; any thread may call this."""
        if self.is_resident:
            return Arrival(take_images(self.images, index))
        buffer = take_images(self.images, index, out=self._buffer(len(index)))
        if self._stream is None:
            return Arrival(buffer.to(self._device, non_blocking=True))
        with torch.cuda.stream(self._stream):
            images = buffer.to(self._device, non_blocking=True)
            return Arrival(images, self._stream.record_event())

    def finish(self, arrival: Arrival) -> Tensor:
        """Return the images; what follows on the current stream waits for their copy."""
        if arrival.copied is not None:
            stream = torch.cuda.current_stream(self._device)
            stream.wait_event(arrival.copied)
            # Their memory belongs to the side stream, which could give it to a later copy
            # before this stream has read them.
            arrival.images.record_stream(stream)
        return arrival.images

    def _buffer(self, count: int) -> Tensor:
        # torch keeps freed pinned blocks, and gives them out again only after copies from them
        # have ended: a new buffer a batch costs nothing and is never overwritten too early.
        shape = (count, *self.images.shape[1:])
        return torch.empty(shape, dtype=torch.uint8, pin_memory=self._pin_memory)
