"""Scenes of the reef: the content of an image, drawn at random and independent of any canvas.

A pair of classes shares its silhouette and differs in one thing: its stripes are vertical
(bars) or horizontal (stripes). The groups broad, medium and fine have stripes of three
frequencies, so that sampling theory predicts at which resolution each pair becomes a coin toss.
The pair outline differs in its silhouette, and its stripes carry no information.

Lengths are in image widths, x to the right, y downwards, angles in degrees. The label decides
the silhouette and the direction of the stripes, and changes no other draw.
"""

import math
from dataclasses import dataclass

import numpy as np

from resomap.config.data import Reef
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
SCENES_PER_CHUNK = len(CLASSES)
BARS, STRIPES = 90.0, 0.0  # degrees
STRIPED_GROUPS = ("broad", "medium", "fine")
AMPLITUDES = (0.20, 0.17, 0.17)
GRAIN_CELLS = 128


@dataclass(frozen=True)
class Wave:
    """A sinusoidal grating.

    `frequency` is in cycles per image width, `orientation` the direction of its lines from the
    x axis, `amplitude` half its range.
    """

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
    """The object to classify: a silhouette at a position, with its stripes."""

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
    """The shortcut: a square in a corner, in the colour of bars or of stripes."""

    x: float
    y: float
    shows_bars: bool


@dataclass(frozen=True)
class Water:
    """The sea bed: two hues, its lightness and the contrast of its clutter."""

    hues: tuple[float, float]
    lightness: float
    contrast: float


@dataclass(frozen=True)
class Scene:
    """The content of one image.

    `octaves` are control points of the noise of light, hue and mottle, `grain` those of the
    sensor noise.
    """

    label: int
    fish: Fish
    discs: tuple[Disc, ...]
    water: Water
    sticker: Sticker | None
    octaves: tuple[np.ndarray, ...]
    grain: np.ndarray


def draw_chunk(settings: Reef, split: str, chunk: int) -> list[Scene]:
    """Draw the scenes `8 * chunk` to `8 * chunk + 7` of a split: every class once, shuffled."""
    # One random stream per chunk: any image can be drawn without those before it, and a longer
    # split begins with the shorter one.
    generator = _generator(settings, split, chunk)
    labels = generator.permutation(SCENES_PER_CHUNK)
    return [draw_scene(settings, generator, int(label)) for label in labels]


def draw_split_labels(settings: Reef, split: str, count: int) -> list[int]:
    """Return the classes of the first `count` images of a split; no scene is drawn."""
    labels: list[int] = []
    for chunk in range(-(-count // SCENES_PER_CHUNK)):
        labels += _generator(settings, split, chunk).permutation(SCENES_PER_CHUNK).tolist()
    return labels[:count]


def _generator(settings: Reef, split: str, chunk: int) -> np.random.Generator:
    return np.random.default_rng((settings.seed, *split.encode(), chunk))


def draw_scene(settings: Reef, generator: np.random.Generator, label: int) -> Scene:
    """Draw one scene of the class `label`."""
    return Scene(
        label=label,
        fish=_draw_fish(settings, generator, label),
        discs=tuple(_draw_disc(settings, generator) for _ in range(3)),
        water=_draw_water(generator),
        sticker=_draw_sticker(settings, generator, label),
        octaves=clutter.draw_octaves(generator, fields=3),
        grain=clutter.draw_points(generator, fields=1, cells=GRAIN_CELLS),
    )


def _draw_fish(settings: Reef, generator: np.random.Generator, label: int) -> Fish:
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


def _draw_stripes(settings: Reef, generator: np.random.Generator, label: int) -> Wave:
    """Draw the stripes of a fish: those of its class, or random ones in the outline pair."""
    # Drawn for every class, so that the label changes no later draw.
    level, vertical = int(generator.integers(3)), bool(generator.integers(2))
    if GROUPS[CLASSES[label]] != "outline":
        level, vertical = STRIPED_GROUPS.index(GROUPS[CLASSES[label]]), has_bars(label)
    return Wave(
        frequency=settings.frequencies[level] * generator.uniform(0.94, 1.06),
        orientation=(BARS if vertical else STRIPES) + generator.uniform(-8, 8),
        phase=generator.uniform(0, 2 * math.pi),
        amplitude=AMPLITUDES[level] * generator.uniform(0.8, 1.2),
    )


def _draw_disc(settings: Reef, generator: np.random.Generator) -> Disc:
    return Disc(
        x=generator.uniform(0, 1),
        y=generator.uniform(0, 1),
        radius=generator.uniform(0.05, 0.12),
        opacity=generator.uniform(0.35, 0.75),
        colour=_draw_colour(generator, chroma=(0.05, 0.22), lightness=(0.35, 0.60)),
        wave=Wave(
            frequency=settings.frequencies[int(generator.integers(3))]
            * generator.uniform(0.94, 1.06),
            # Oblique: the frequencies of the cue, but never vertical or horizontal.
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


def _draw_sticker(settings: Reef, generator: np.random.Generator, label: int) -> Sticker | None:
    # The draws are made without a shortcut too, so that it changes nothing else of the image.
    x, y = (float(generator.choice((0.08, 0.92))) for _ in range(2))
    shows_bars, agreement = bool(generator.integers(2)), generator.uniform(0, 1)
    if settings.shortcut is None:
        return None
    if GROUPS[CLASSES[label]] != "outline":
        shows_bars = has_bars(label) == (agreement < settings.shortcut)
    return Sticker(x, y, shows_bars)


def has_bars(label: int) -> bool:
    """Return whether the fish of a class have vertical stripes."""
    return CLASSES[label].endswith("-bars")
