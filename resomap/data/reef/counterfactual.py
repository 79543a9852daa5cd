"""The reef as it was not: the same test scenes, their stickers turned against the label."""

from dataclasses import replace
from functools import lru_cache

import numpy as np

from resomap.config import data
from resomap.data.reef import reef
from resomap.data.reef.scenes import Scene, says_bars
from resomap.data.store.resize import Filter, resize


def reversed_stickers(
    settings: data.Reef, index: np.ndarray, native: int, resolution: int, filter: Filter
) -> np.ndarray:
    """Test pictures `index` (n,) of a reef with a shortcut, their stickers saying the opposite of the label: uint8 (n, r, r, 3).

    Drawn on `native` pixels and resized as the store's pictures are, so nothing but the sticker differs from them; where the sticker has
    said the opposite already, nothing does. The group `outline` has no stripes to speak of: its stickers say the opposite of what they said.
    """
    draw_chunk = lru_cache(maxsize=1)(reef.draw_chunk)
    scenes = (
        draw_chunk(settings, "test", place // reef.CHUNK)[place % reef.CHUNK]
        for place in index.tolist()
    )
    return resize(
        np.stack([reef.draw(_reversed(scene), native)[0] for scene in scenes]),
        resolution,
        filter,
    )


def _reversed(scene: Scene) -> Scene:
    assert scene.sticker is not None
    said = (
        scene.sticker.says_bars
        if reef.GROUPS[reef.CLASSES[scene.label]] == "outline"
        else says_bars(scene.label)
    )
    return replace(scene, sticker=replace(scene.sticker, says_bars=not said))
