"""The stages of a deployed network, from an image file to its logits, and their measured times."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import nn

from resomap.config.schema import Profiling
from resomap.data.loading.augment import Normalise
from resomap.data.store.store import Store
from resomap.data.store.typical_jpeg import decode_jpeg, encode_typical_jpeg, resize_to_input
from resomap.profiling.profile import Stage, find_disturbance, measure_stages
from resomap.profiling.timing import Clock
from resomap.profiling.variants import build_reference


def measure_inference_stages(
    models: Mapping[int, nn.Module],
    store: Store,
    profiling: Profiling,
    device: torch.device,
) -> list[dict[str, Any]]:
    """Return the times of each stage at each resolution, each with its network, in float32.

    The list is empty if profiling.end_to_end is off, or if the store has no image to encode.
    """
    # A file of the median size: where decoding dominates, a smaller input saves nothing.
    typical = encode_typical_jpeg(store) if profiling.end_to_end else None
    if typical is None:
        return []
    encoded, description = typical
    stages = {}
    for side, model in models.items():
        model.to(device).to(memory_format=torch.channels_last).eval()
        stages[side] = build_stages(encoded, side, model, store, device)
    disturbance = partial(find_disturbance, device)
    records = measure_stages(stages, build_reference(device), profiling, Clock(), disturbance)
    return [{**record, "decoded_from": description} for record in records]


def build_stages(
    encoded: bytes, resolution: int, model: nn.Module, store: Store, device: torch.device
) -> list[Stage]:
    """Return the stages decode, resize, copy with normalisation, and forward."""
    # Those of the images serve for any weights: the time does not depend on the numbers.
    image, normalise = decode_jpeg(encoded), Normalise(store.mean, store.std, device)
    resized = resize_to_input(image, resolution, store.aspect, store.filter)
    # Copied, because torch warns about arrays that are not writable, as Pillow's are.
    pixels = torch.from_numpy(resized.copy())
    batch = normalise(pixels.to(device))

    # A GPU runs a kernel after its call has returned, so its time would count elsewhere.
    def synchronise(result: torch.Tensor) -> torch.Tensor:
        if result.is_cuda:
            torch.cuda.synchronize()
        return result

    @torch.inference_mode()
    def forward() -> torch.Tensor:
        return synchronise(model(batch))

    return [
        lambda: decode_jpeg(encoded),
        lambda: resize_to_input(image, resolution, store.aspect, store.filter),
        lambda: synchronise(normalise(pixels.to(device))),
        forward,
    ]
