"""Heat maps: a coloured square for every two resolutions, with its number."""

from typing import Any

import altair as alt
import matplotlib as mpl
import numpy as np
import seaborn as sns

from resomap.report.charts.chart import layer, marks_of
from resomap.report.figures.style import ORANGE

# The colours of the figures, which are the same on a light and on a dark page.
COLOURS = sns.color_palette("crest", as_cmap=True)
STEPS = 9
ON_DARK, ON_LIGHT = "#ffffff", "#1b1b1b"


def heat_map(
    x: str,
    y: str,
    value: str,
    *,
    titles: tuple[str, str],
    domain: tuple[float, float],
    framed: str | None = None,
) -> Any:
    """Return the marks of a heat map of `value`, its numbers, and frames where `framed` holds."""
    across = alt.X(f"{x}:O", title=titles[0], axis=_axis(), scale=_gaps())
    down = alt.Y(f"{y}:O", title=titles[1], axis=_axis(), scale=_gaps(), sort="descending")
    colours = [mpl.colors.to_hex(COLOURS(step)) for step in np.linspace(0, 1, STEPS)]
    scale = alt.Scale(domain=list(domain), range=colours, clamp=True)
    fill = alt.condition(
        f"datum.{value} === null",
        alt.value("var(--line)"),
        alt.Fill(f"{value}:Q", scale=scale, legend=None),
    )
    squares = marks_of("points").mark_rect(cornerRadius=3).encode(across, down, fill=fill)
    layers = [squares, _numbers(across, down, value, domain)]
    if framed:
        frames = marks_of().mark_rect(
            filled=False, stroke=ORANGE, strokeWidth=3, cornerRadius=3
        )
        layers.insert(1, frames.transform_filter(framed).encode(across, down))
    return layer(*layers)


def _axis() -> Any:
    return alt.Axis(domain=False, ticks=False, grid=False, labelAngle=0)


def _gaps() -> Any:
    return alt.Scale(paddingInner=0.05, paddingOuter=0.02)


def _numbers(across: Any, down: Any, value: str, domain: tuple[float, float]) -> Any:
    lowest, highest = domain
    # Where white text has more contrast than black, on the scale of the values.
    turn = lowest + _first_dark() * (highest - lowest)
    # The ink of the page where there is no colour below.
    fill = (
        alt.when(f"datum.{value} === null")
        .then(alt.value("var(--ink)"))
        .when(f"datum.{value} > {turn}")
        .then(alt.value(ON_DARK))
        .otherwise(alt.value(ON_LIGHT))
    )
    marks = marks_of().mark_text(fontSize={"expr": "width < 300 ? 10 : 13"})
    text = f"datum.{value} === null ? '\N{EN DASH}' : format(datum.{value}, '.2f')"
    marks = marks.transform_calculate(number=text)
    return marks.encode(across, down, text="number:N", fill=fill)


def _first_dark() -> float:
    """Return from which share of the scale on its colours are dark."""
    shares = np.linspace(0, 1, 101)
    red, green, blue, _ = np.moveaxis(COLOURS(shares), -1, 0)
    # Luma of ITU-R BT.601.
    is_dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.55
    return float(shares[is_dark.argmax()])
