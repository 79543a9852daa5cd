"""One picture on its way through a deployed network: from its file to its logits."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from resomap.config.schema import Profiling
from resomap.data.loading.loader import Normalise
from resomap.data.store.store import Store
from resomap.data.store.typical_jpeg import decode_jpeg, encode_typical_jpeg, resize_to_input
from resomap.profiling.profile import Stage, find_disturbance, measure_stages
from resomap.profiling.timing import Clock
from resomap.profiling.variants import build_reference


def end_to_end(
    model: nn.Module,
    store: Store,
    resolutions: Sequence[int],
    profiling: Profiling,
    device: torch.device,
) -> list[dict[str, Any]]:
    """Where the time of one file goes at each resolution, float32; nothing where no stored picture is left to encode."""
    found = encode_typical_jpeg(store)
    if found is None:
        return []
    encoded, words = found
    model.to(device).to(memory_format=torch.channels_last).eval()
    stages = {
        resolution: stages_of(encoded, resolution, model, store, device)
        for resolution in resolutions
    }
    records = measure_stages(
        stages, build_reference(device), profiling, Clock(), partial(find_disturbance, device)
    )
    return [{**record, "decoded_from": words} for record in records]


def stages_of(
    encoded: bytes, resolution: int, model: nn.Module, store: Store, device: torch.device
) -> list[Stage]:
    """Decode, resize, copy with normalisation, forward; the last two wait for the device."""
    picture, normalise = decode_jpeg(encoded), Normalise(store.mean, store.std, device)
    pixels = torch.from_numpy(
        resize_to_input(picture, resolution, store.aspect, store.filter).copy()
    )
    batch = normalise(pixels.to(device))

    def done(result: torch.Tensor) -> torch.Tensor:
        if result.is_cuda:
            torch.cuda.synchronize()
        return result

    @torch.inference_mode()
    def forward() -> torch.Tensor:
        return done(model(batch))

    return [
        lambda: decode_jpeg(encoded),
        lambda: resize_to_input(picture, resolution, store.aspect, store.filter),
        lambda: done(normalise(pixels.to(device))),
        forward,
    ]
