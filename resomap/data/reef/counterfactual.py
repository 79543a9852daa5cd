"""Counterfactual test images of the reef: the same scenes with their stickers reversed."""

from dataclasses import replace
from functools import lru_cache

import numpy as np

from resomap.config.data import Filter, Reef
from resomap.data.reef.render import render_scene
from resomap.data.reef.scenes import (
    CLASSES,
    GROUPS,
    SCENES_PER_CHUNK,
    Scene,
    draw_chunk,
    has_bars,
)
from resomap.data.store.resize import resize_images


def render_reversed_stickers(
    settings: Reef, index: np.ndarray, native: int, resolution: int, filter: Filter
) -> np.ndarray:
    """Render test images `index` (n,) whose stickers contradict the label: uint8 (n, r, r, 3).

    They are rendered with `native` pixels and resized as the store is, so that nothing but the
    sticker differs from the stored images; where the sticker contradicted the label already,
    nothing does. The stripes of the outline pair carry no information: its stickers are
    swapped.
    """
    # The eight images of a chunk share its random stream: neighbours draw it once.
    cached_chunk = lru_cache(maxsize=1)(draw_chunk)
    images = []
    for number in index.tolist():
        chunk, position = divmod(number, SCENES_PER_CHUNK)
        scene = cached_chunk(settings, "test", chunk)[position]
        images.append(render_scene(_reverse_sticker(scene), native)[0])
    return resize_images(np.stack(images), resolution, filter)


def _reverse_sticker(scene: Scene) -> Scene:
    assert scene.sticker is not None
    shows_bars = not has_bars(scene.label)
    if GROUPS[CLASSES[scene.label]] == "outline":
        shows_bars = not scene.sticker.shows_bars
    return replace(scene, sticker=replace(scene.sticker, shows_bars=shows_bars))
