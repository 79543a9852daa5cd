"""Rendering scenes of the reef: striped fish on a cluttered sea bed, at any size."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np

from resomap.config.data import Reef
from resomap.data.reef import clutter
from resomap.data.reef.paint import (
    Window,
    circle,
    contrast,
    coverage,
    grating,
    paint_over,
    ramp,
    rgb,
    window,
)
from resomap.data.reef.scenes import (
    CLASSES,
    GROUPS,
    SCENES_PER_CHUNK,
    Disc,
    Fish,
    Scene,
    Sticker,
    Water,
    draw_chunk,
)
from resomap.data.reef.shapes import SILHOUETTES

# Lengths in image widths; the eye in radii of the fish; the grain is an amplitude.
FADE = 0.02
SHADOW = 0.06
EYE = 0.11
GRAIN = 0.018
STICKER = 0.05
ORANGE, AQUA = (1.0, 0.45, 0.05), (0.10, 0.80, 0.95)


@dataclass(frozen=True)
class ReefImages:
    """Rendered images and all that is known of them; the first axis of each array is the image.

    images         uint8 (N, H, W, 3)
    masks          uint8 (N, H, W), share of each pixel that the fish covers, 255 for all of it
    cue_masks      the same of its stripes where they have their full contrast
    sticker_masks  the same of the sticker
    labels         int64 (N,)
    groups         (N,) of str
    frequency      float64 (N,), cycles per image
    orientation    float64 (N,), degrees: 0 for horizontal, 90 for vertical stripes
    x, y           float64 (N,), centre of the fish as a fraction of the side
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


def render_split(settings: Reef, split: str, count: int, canvas: int) -> ReefImages:
    """Render the first `count` images of a split, all in memory."""
    chunks = list(render_chunks(settings, split, count, canvas))
    return ReefImages(
        **{
            field.name: np.concatenate([getattr(chunk, field.name) for chunk in chunks])
            for field in fields(ReefImages)
        }
    )


def render_chunks(settings: Reef, split: str, count: int, canvas: int) -> Iterator[ReefImages]:
    """Yield the first `count` images of a split, eight at a time, `canvas` pixels wide."""
    for start in range(0, count, SCENES_PER_CHUNK):
        scenes = draw_chunk(settings, split, start // SCENES_PER_CHUNK)[: count - start]
        rendered = [render_scene(scene, canvas) for scene in scenes]
        images, masks, cue_masks, sticker_masks = map(np.stack, zip(*rendered, strict=True))
        fish = [scene.fish for scene in scenes]
        yield ReefImages(
            images,
            masks,
            cue_masks,
            sticker_masks,
            labels=np.array([scene.label for scene in scenes]),
            groups=np.array([GROUPS[CLASSES[scene.label]] for scene in scenes]),
            frequency=np.array([each.wave.frequency for each in fish]),
            orientation=np.array([each.wave.orientation for each in fish]),
            x=np.array([each.x for each in fish]),
            y=np.array([each.y for each in fish]),
        )


def render_scene(
    scene: Scene, canvas: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return image, mask, cue mask and sticker mask of a scene, uint8.

    The masks are covered shares of the pixels, 255 for all of a pixel.
    """
    light, hue, mottle = clutter.evaluate(clutter.add_octaves(scene.octaves), canvas)
    image = _render_sea_bed(scene.water, light, hue)
    masks = np.zeros((3, canvas, canvas), np.float32)
    for disc in scene.discs:
        _add_disc(image, disc)
    _add_fish(image, masks[:2], scene.fish, mottle)
    image += GRAIN * clutter.evaluate(scene.grain, canvas)
    # Last and without grain: the sticker has two exact colours, and hides what is below.
    if scene.sticker:
        _add_sticker(image, masks, scene.sticker)
    return _to_bytes(image).transpose(1, 2, 0), *_to_bytes(masks)


def _to_bytes(share: np.ndarray) -> np.ndarray:
    rounded: np.ndarray = (np.clip(share, 0, 1) * 255 + 0.5).astype(np.uint8)
    return rounded


def _render_sea_bed(water: Water, light: np.ndarray, hue: np.ndarray) -> np.ndarray:
    first, second = (1 + 0.52 * circle(angle) for angle in water.hues)
    tint = first + (second - first) / (1 + np.exp(-2 * hue))
    bed: np.ndarray = tint * (water.lightness * np.exp(0.40 * water.contrast * light))
    return bed


def _add_disc(image: np.ndarray, disc: Disc) -> None:
    where = window(image.shape[-1], disc.x, disc.y, disc.radius + 0.01)
    distance = np.hypot(where.x - disc.x, where.y - disc.y) - disc.radius
    colour = rgb(disc.colour) * _rounded(distance, disc.radius) + grating(
        where, disc.wave
    ) * ramp(distance, FADE)
    paint_over(image, where, colour, coverage(distance, where.pixel) * disc.opacity)


def _add_fish(image: np.ndarray, masks: np.ndarray, fish: Fish, mottle: np.ndarray) -> None:
    """Paint a fish and its shadow, and write its mask and cue mask into `masks` (2, H, W)."""
    silhouette = SILHOUETTES[fish.silhouette]
    where = window(image.shape[-1], fish.x, fish.y, fish.radius * silhouette.reach + SHADOW)
    shadow = fish.radius * silhouette.distance(
        *_frame(fish, where.x - SHADOW / 4, where.y - SHADOW / 2)
    )
    paint_over(image, where, 0.0, 0.5 * ramp(shadow - SHADOW / 2, SHADOW))

    u, v = _frame(fish, where.x, where.y)
    distance = fish.radius * silhouette.distance(u, v)
    mask, stripes = coverage(distance, where.pixel), ramp(distance, FADE)
    # Lighter towards the back: v points down.
    flesh = rgb(fish.colour)
    body = flesh * (_rounded(distance, fish.radius / 2) - 0.08 * v + 0.05 * mottle[where.area])
    body += contrast(flesh) * (grating(where, fish.wave) * stripes)
    paint_over(image, where, body, mask)
    masks[:, *where.area] = mask, mask * stripes
    for x, y in silhouette.eyes:
        # The eye hides stripes, but belongs to the object.
        masks[1, *where.area] *= 1 - _add_eye(
            image, where, fish.radius * np.hypot(u - x, v - y), fish.radius * EYE
        )


def _add_eye(
    image: np.ndarray, where: Window, distance: np.ndarray, radius: float
) -> np.ndarray:
    """Paint an eye, and return the share of each pixel that it covers."""
    eye = coverage(distance - radius, where.pixel)
    paint_over(image, where, 0.95, eye)
    paint_over(image, where, 0.05, coverage(distance - 0.6 * radius, where.pixel))
    return eye


def _add_sticker(image: np.ndarray, masks: np.ndarray, sticker: Sticker) -> None:
    """Paint a sticker: the last of the masks gains what the others lose to it."""
    where = window(image.shape[-1], sticker.x, sticker.y, STICKER + 0.02)
    distance = np.maximum(np.abs(where.x - sticker.x), np.abs(where.y - sticker.y)) - STICKER
    covered = coverage(distance, where.pixel)
    masks[:, *where.area] *= 1 - covered
    masks[2, *where.area] = covered
    paint_over(image, where, 0.97, covered)
    colour = np.array(ORANGE if sticker.shows_bars else AQUA, np.float32)[:, None, None]
    paint_over(image, where, colour, coverage(distance + STICKER / 5, where.pixel))


def _frame(fish: Fish, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the points (x, y) in the frame of the fish: forwards and down, in its radius."""
    tilt = math.radians(fish.tilt)
    cos, sin = math.cos(tilt) / fish.radius, math.sin(tilt) / fish.radius
    dx, dy = (x - fish.x) * fish.facing, y - fish.y
    return dx * cos + dy * sin, dy * cos - dx * sin


def _rounded(distance: np.ndarray, depth: float) -> np.ndarray:
    """Return the shading of a body that rises from its outline over `depth`: 0.6 to 1.08."""
    t = np.clip(distance * (-1 / depth), 0, 1)
    # The profile of a quarter circle.
    return 0.6 + 0.48 * np.sqrt(t * (2 - t))
