"""What a picture of the reef holds, drawn at random and without reference to any canvas.

Lengths are in picture widths, x to the right, y downwards, angles in degrees. The label decides two things and touches no
other draw: the silhouette, and whether the stripes of the fish stand (bars) or lie (stripes).
"""

import math
from dataclasses import dataclass

import numpy as np

from resomap.config import data
from resomap.data.reef import clutter

CLASSES = (
    "torpedo",
    "starfish",
    "disc-bars",
    "disc-stripes",
    "angel-bars",
    "angel-stripes",
    "ray-bars",
    "ray-stripes",
)
GROUPS = dict(
    zip(CLASSES, np.repeat(("outline", "broad", "medium", "fine"), 2).tolist(), strict=True)
)
PAIRS = ((0, 1), (2, 3), (4, 5), (6, 7))
CHUNK = len(CLASSES)
BARS, STRIPES = 90.0, 0.0
RUNGS = ("broad", "medium", "fine")
AMPLITUDES = (0.20, 0.17, 0.17)
GRAIN = 128


@dataclass(frozen=True)
class Wave:
    """A sinusoidal grating; `orientation` is the direction of its lines from the x axis, `amplitude` half its range."""

    frequency: float
    orientation: float
    phase: float
    amplitude: float


@dataclass(frozen=True)
class Colour:
    """A point on a circle of hues around a grey."""

    hue: float
    chroma: float
    lightness: float


@dataclass(frozen=True)
class Disc:
    """A distractor: a disc whose stripes are oblique."""

    x: float
    y: float
    radius: float
    opacity: float
    colour: Colour
    wave: Wave


@dataclass(frozen=True)
class Fish:
    """The object: a silhouette in a place, with its stripes."""

    silhouette: str
    x: float
    y: float
    radius: float
    tilt: float
    facing: int
    colour: Colour
    wave: Wave


@dataclass(frozen=True)
class Sticker:
    """A coloured square in a corner: its centre, and whether its colour says bars."""

    x: float
    y: float
    says_bars: bool


@dataclass(frozen=True)
class Water:
    """The sea bed: two hues, how bright it is and how strong its clutter."""

    hues: tuple[float, float]
    lightness: float
    contrast: float


@dataclass(frozen=True)
class Scene:
    """One picture; `octaves` carry the noises of light, hue and mottle, `grain` the sensor's."""

    label: int
    fish: Fish
    discs: tuple[Disc, ...]
    water: Water
    sticker: Sticker | None
    octaves: tuple[np.ndarray, ...]
    grain: np.ndarray


def draw_chunk(settings: data.Reef, split: str, chunk: int) -> list[Scene]:
    """The scenes `chunk * 8` to `chunk * 8 + 7` of a split: every class once, in random order."""
    generator = _generator(settings, split, chunk)
    return [
        draw_scene(settings, generator, int(label)) for label in generator.permutation(CHUNK)
    ]


def draw_labels(settings: data.Reef, split: str, chunk: int) -> list[int]:
    """The classes of the scenes that `draw_chunk` draws."""
    labels: list[int] = _generator(settings, split, chunk).permutation(CHUNK).tolist()
    return labels


def _generator(settings: data.Reef, split: str, chunk: int) -> np.random.Generator:
    return np.random.default_rng((settings.seed, *split.encode(), chunk))


def draw_scene(settings: data.Reef, generator: np.random.Generator, label: int) -> Scene:
    """One scene of the class `label`."""
    return Scene(
        label=label,
        fish=_draw_fish(settings, generator, label),
        discs=tuple(_draw_disc(settings, generator) for _ in range(3)),
        water=_draw_water(generator),
        sticker=_draw_sticker(settings, generator, label),
        octaves=clutter.draw_octaves(generator, fields=3),
        grain=clutter.draw_points(generator, fields=1, cells=GRAIN),
    )


def _draw_fish(settings: data.Reef, generator: np.random.Generator, label: int) -> Fish:
    bearing, distance = generator.uniform(0, 2 * math.pi), generator.uniform(0.15, 0.30)
    return Fish(
        silhouette=CLASSES[label].split("-")[0],
        x=0.5 + distance * math.cos(bearing),
        y=0.5 + distance * math.sin(bearing),
        radius=generator.uniform(0.175, 0.235),
        tilt=generator.uniform(-12, 12),
        facing=int(generator.choice((-1, 1))),
        colour=_draw_colour(generator, chroma=(0.14, 0.30), lightness=(0.40, 0.58)),
        wave=_draw_stripes(settings, generator, label),
    )


def _draw_stripes(settings: data.Reef, generator: np.random.Generator, label: int) -> Wave:
    """The stripes of a fish: its class's, or any where the class is told by the silhouette."""
    rung, stands = int(generator.integers(3)), bool(generator.integers(2))
    if GROUPS[CLASSES[label]] != "outline":
        rung, stands = RUNGS.index(GROUPS[CLASSES[label]]), says_bars(label)
    return Wave(
        frequency=settings.frequencies[rung] * generator.uniform(0.94, 1.06),
        orientation=(BARS if stands else STRIPES) + generator.uniform(-8, 8),
        phase=generator.uniform(0, 2 * math.pi),
        amplitude=AMPLITUDES[rung] * generator.uniform(0.8, 1.2),
    )


def _draw_disc(settings: data.Reef, generator: np.random.Generator) -> Disc:
    return Disc(
        x=generator.uniform(0, 1),
        y=generator.uniform(0, 1),
        radius=generator.uniform(0.05, 0.12),
        opacity=generator.uniform(0.35, 0.75),
        colour=_draw_colour(generator, chroma=(0.05, 0.22), lightness=(0.35, 0.60)),
        wave=Wave(
            frequency=settings.frequencies[int(generator.integers(3))]
            * generator.uniform(0.94, 1.06),
            orientation=float(generator.choice((45, 135))) + generator.uniform(-20, 20),
            phase=generator.uniform(0, 2 * math.pi),
            amplitude=generator.uniform(0.10, 0.16),
        ),
    )


def _draw_colour(
    generator: np.random.Generator, chroma: tuple[float, float], lightness: tuple[float, float]
) -> Colour:
    return Colour(
        generator.uniform(0, 1), generator.uniform(*chroma), generator.uniform(*lightness)
    )


def _draw_water(generator: np.random.Generator) -> Water:
    hues = generator.uniform(0.38, 0.74, size=2)
    return Water(
        (float(hues[0]), float(hues[1])),
        lightness=generator.uniform(0.28, 0.44),
        contrast=generator.uniform(0.6, 1.1),
    )


def _draw_sticker(
    settings: data.Reef, generator: np.random.Generator, label: int
) -> Sticker | None:
    """The shortcut; its draws are made with or without one, so that it changes nothing else of the picture."""
    x, y = (float(generator.choice((0.08, 0.92))) for _ in range(2))
    stands, agreement = bool(generator.integers(2)), generator.uniform(0, 1)
    if settings.shortcut is None:
        return None
    if GROUPS[CLASSES[label]] != "outline":
        stands = says_bars(label) == (agreement < settings.shortcut)
    return Sticker(x, y, stands)


def says_bars(label: int) -> bool:
    """Whether the class is one of standing stripes."""
    return CLASSES[label].endswith("-bars")
