"""The reef: striped fish on a cluttered sea bed, where the cue of a class lives at a known spatial frequency.

A pair of classes shares its silhouette and differs in one thing: its stripes stand (bars) or lie (stripes). The groups
`broad`, `medium` and `fine` have stripes of three frequencies, so that sampling theory tells at which resolution each pair
must become a coin toss; the pair `outline` differs in silhouette, and its stripes say nothing.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np

from resomap.config import data
from resomap.data.reef import clutter
from resomap.data.reef.paint import (
    Window,
    circle,
    contrast,
    coverage,
    grating,
    lay,
    ramp,
    rgb,
    window,
)
from resomap.data.reef.scenes import (
    CHUNK,
    CLASSES,
    GROUPS,
    PAIRS,
    RUNGS,
    Disc,
    Fish,
    Scene,
    Sticker,
    Water,
    draw_chunk,
    draw_labels,
)
from resomap.data.reef.shapes import SILHOUETTES

__all__ = [
    "CHUNK",
    "CLASSES",
    "GROUPS",
    "PAIRS",
    "RUNGS",
    "Pictures",
    "chunks",
    "draw",
    "draw_chunk",
    "labels",
    "render",
]

FADE = 0.02
SHADOW = 0.06
EYE = 0.11
GRAIN = 0.018
STICKER = 0.05
ORANGE, AQUA = (1.0, 0.45, 0.05), (0.10, 0.80, 0.95)


@dataclass(frozen=True)
class Pictures:
    """Pictures and all that is known about them; the first axis of every array counts pictures.

    images uint8 (N, H, W, 3); masks, cue_masks, sticker_masks uint8 (N, H, W): share of the pixel that the fish, its full
    stripes, the sticker cover, 255 for all of it; labels int64 (N,); groups (N,) of str; frequency float64 (N,) in cycles
    per picture; orientation float64 (N,) in degrees, 0 for lying and 90 for standing stripes; x, y float64 (N,), the centre
    of the fish as a fraction of the side.
    """

    images: np.ndarray
    masks: np.ndarray
    cue_masks: np.ndarray
    sticker_masks: np.ndarray
    labels: np.ndarray
    groups: np.ndarray
    frequency: np.ndarray
    orientation: np.ndarray
    x: np.ndarray
    y: np.ndarray


def render(settings: data.Reef, split: str, count: int, canvas: int) -> Pictures:
    """The first `count` pictures of a split, all in memory; a longer split starts with the shorter one."""
    parts = list(chunks(settings, split, count, canvas))
    return Pictures(
        **{
            field.name: np.concatenate([getattr(part, field.name) for part in parts])
            for field in fields(Pictures)
        }
    )


def labels(settings: data.Reef, split: str, count: int) -> list[int]:
    """The classes of the first `count` pictures of a split, nothing drawn."""
    return [
        label
        for chunk in range(-(-count // CHUNK))
        for label in draw_labels(settings, split, chunk)
    ][:count]


def chunks(settings: data.Reef, split: str, count: int, canvas: int) -> Iterator[Pictures]:
    """The first `count` pictures of a split on a canvas of that many pixels a side, eight at a time."""
    for start in range(0, count, CHUNK):
        scenes = draw_chunk(settings, split, start // CHUNK)[: count - start]
        drawn = [draw(scene, canvas) for scene in scenes]
        images, masks, cue_masks, sticker_masks = (
            np.stack(layer) for layer in zip(*drawn, strict=True)
        )
        yield Pictures(
            images,
            masks,
            cue_masks,
            sticker_masks,
            labels=np.array([scene.label for scene in scenes]),
            groups=np.array([GROUPS[CLASSES[scene.label]] for scene in scenes]),
            frequency=np.array([scene.fish.wave.frequency for scene in scenes]),
            orientation=np.array([scene.fish.wave.orientation for scene in scenes]),
            x=np.array([scene.fish.x for scene in scenes]),
            y=np.array([scene.fish.y for scene in scenes]),
        )


def draw(scene: Scene, canvas: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """One scene as (image, mask, cue mask, sticker mask), uint8; the last three are covered shares of the pixels."""
    light, hue, mottle = clutter.evaluate(clutter.add_octaves(scene.octaves), canvas)
    image = _sea_bed(scene.water, light, hue)
    masks = np.zeros((3, canvas, canvas), np.float32)
    for disc in scene.discs:
        _add_disc(image, disc)
    _add_fish(image, masks[:2], scene.fish, mottle)
    image += GRAIN * clutter.evaluate(scene.grain, canvas)
    if scene.sticker:
        _add_sticker(image, masks, scene.sticker)
    return _bytes(image).transpose(1, 2, 0), *_bytes(masks)


def _bytes(share: np.ndarray) -> np.ndarray:
    rounded: np.ndarray = (np.clip(share, 0, 1) * 255 + 0.5).astype(np.uint8)
    return rounded


def _sea_bed(water: Water, light: np.ndarray, hue: np.ndarray) -> np.ndarray:
    here, there = (1 + 0.52 * circle(angle) for angle in water.hues)
    tint = here + (there - here) / (1 + np.exp(-2 * hue))
    bed: np.ndarray = tint * (water.lightness * np.exp(0.40 * water.contrast * light))
    return bed


def _add_disc(image: np.ndarray, disc: Disc) -> None:
    where = window(image.shape[-1], disc.x, disc.y, disc.radius + 0.01)
    distance = np.hypot(where.x - disc.x, where.y - disc.y) - disc.radius
    colour = rgb(disc.colour) * _rounded(distance, disc.radius) + grating(
        where, disc.wave
    ) * ramp(distance, FADE)
    lay(image, where, colour, coverage(distance, where.pixel) * disc.opacity)


def _add_fish(image: np.ndarray, masks: np.ndarray, fish: Fish, mottle: np.ndarray) -> None:
    """Lay a fish and its shadow on the image, and write its mask and its cue mask into `masks` (2, H, W)."""
    silhouette = SILHOUETTES[fish.silhouette]
    where = window(image.shape[-1], fish.x, fish.y, fish.radius * silhouette.reach + SHADOW)
    shadow = fish.radius * silhouette.distance(
        *_frame(fish, where.x - SHADOW / 4, where.y - SHADOW / 2)
    )
    lay(image, where, 0.0, 0.5 * ramp(shadow - SHADOW / 2, SHADOW))

    u, v = _frame(fish, where.x, where.y)
    distance = fish.radius * silhouette.distance(u, v)
    mask, stripes = coverage(distance, where.pixel), ramp(distance, FADE)
    flesh = rgb(fish.colour)
    body = flesh * (_rounded(distance, fish.radius / 2) - 0.08 * v + 0.05 * mottle[where.area])
    body += contrast(flesh) * (grating(where, fish.wave) * stripes)
    lay(image, where, body, mask)
    masks[:, *where.area] = mask, mask * stripes
    for x, y in silhouette.eyes:
        masks[1, *where.area] *= 1 - _add_eye(
            image, where, fish.radius * np.hypot(u - x, v - y), fish.radius * EYE
        )


def _add_eye(
    image: np.ndarray, where: Window, distance: np.ndarray, radius: float
) -> np.ndarray:
    """Lay an eye on the image; returns what it covers."""
    eye = coverage(distance - radius, where.pixel)
    lay(image, where, 0.95, eye)
    lay(image, where, 0.05, coverage(distance - 0.6 * radius, where.pixel))
    return eye


def _add_sticker(image: np.ndarray, masks: np.ndarray, sticker: Sticker) -> None:
    """Lay a sticker on the image; the last of the masks gains what the others lose to it."""
    where = window(image.shape[-1], sticker.x, sticker.y, STICKER + 0.02)
    distance = np.maximum(np.abs(where.x - sticker.x), np.abs(where.y - sticker.y)) - STICKER
    covered = coverage(distance, where.pixel)
    masks[:, *where.area] *= 1 - covered
    masks[2, *where.area] = covered
    lay(image, where, 0.97, covered)
    colour = np.array(ORANGE if sticker.says_bars else AQUA, np.float32)[:, None, None]
    lay(image, where, colour, coverage(distance + STICKER / 5, where.pixel))


def _frame(fish: Fish, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The points (x, y) as the fish sees them: forwards and down, in its radius."""
    cos, sin = (
        math.cos(math.radians(fish.tilt)) / fish.radius,
        math.sin(math.radians(fish.tilt)) / fish.radius,
    )
    dx, dy = (x - fish.x) * fish.facing, y - fish.y
    return dx * cos + dy * sin, dy * cos - dx * sin


def _rounded(distance: np.ndarray, depth: float) -> np.ndarray:
    """Shading of a body that rises from its outline over `depth`: 0.6 at the edge, 1.08 on its back."""
    t = np.clip(distance * (-1 / depth), 0, 1)
    return 0.6 + 0.48 * np.sqrt(t * (2 - t))
