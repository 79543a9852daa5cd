"""What an interactive chart is: its marks, its rows, and how a reader gets at their numbers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import altair as alt
import pandas as pd

from resomap.report.figures.style import INK, MUTED, model_style
from resomap.report.markup import CSS_COLOURS
from resomap.report.text.page.charts import DOWNLOAD, POINTER, chart_label, table_summary

Row = dict[str, Any]
ROWS = "rows"
"""Name of the data of every chart, which the page sets when it draws it."""
FOCUS = "focus"
"""Name of the parameter that holds the model that a reader singles out; blank for none."""
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'DejaVu Sans', sans-serif"
# The markers of the figures as paths in a square from -1 to 1, for marks and legend alike.
SHAPES = {
    "o": "M1,0A1,1,0,1,1,-1,0A1,1,0,1,1,1,0Z",
    "s": "M-.88,-.88H.88V.88H-.88Z",
    "^": "M0,-1L1,.8H-1Z",
    "D": "M0,-1.1L1.1,0L0,1.1L-1.1,0Z",
    "v": "M0,1L1,-.8H-1Z",
    "P": "M-.35,-1H.35V-.35H1V.35H.35V1H-.35V.35H-1V-.35H-.35Z",
    "X": "M0,-.5L.5,-1L1,-.5L.5,0L1,.5L.5,1L0,.5L-.5,1L-1,.5L-.5,0L-1,-.5L-.5,-1Z",
    "p": "M0,-1L.95,-.31L.59,.81H-.59L-.95,-.31Z",
}


@dataclass(frozen=True)
class ChartColumn:
    """A number or name of a row, in the tooltip and in the table behind a chart.

    `form` is how the page writes it: `text`, `px`, `count`, `accuracy`, `digits` (three
    significant ones), `decimals` (two) or `yes`. `low` and `high` name the ends of its interval.
    """

    field: str
    label: str
    form: str = "text"
    low: str = ""
    high: str = ""


def interval_column(field: str, label: str, form: str, prefix: str = "") -> ChartColumn:
    """Return a column whose interval is in `PREFIX_low` and `PREFIX_high`."""
    prefix = prefix or field
    return ChartColumn(field, label, form, f"{prefix}_low", f"{prefix}_high")


@dataclass(frozen=True)
class ChartSelector:
    """A choice of the rows that are drawn; `names` are the options by value of the field."""

    field: str
    label: str
    names: Mapping[str, str]
    initial: str


@dataclass(frozen=True)
class ModelSeries:
    """The mark of a model: the same in all charts and figures of a sweep."""

    name: str
    colour: str
    shape: str


@dataclass(frozen=True)
class InteractiveChart:
    """A chart of the page, without its title, which is that of the figure of the same name.

    `resolution` is the column with the resolution of a cell, which a click on a mark opens.
    `square` charts are as high as wide. `other_title` stands above the chart where the title
    does not hold: the claim is about the limits of the configuration.
    """

    note: str
    marks: Any
    rows: Sequence[Row]
    columns: Sequence[ChartColumn]
    selectors: Sequence[ChartSelector] = ()
    series: Sequence[ModelSeries] = ()
    resolution: str = "resolution"
    square: bool = False
    other_title: str = ""

    def block(self, title: str) -> dict[str, Any]:
        """Return the chart as JSON-able values for the page."""
        return {
            "title": title,
            "label": chart_label(title),
            "note": self.note,
            "hint": POINTER,
            "download": DOWNLOAD,
            "summary": table_summary(len(self.rows)),
            "spec": specification(self.marks),
            "rows": list(map(_round_numbers, self.rows)),
            "columns": [asdict(column) for column in self.columns],
            "selectors": [asdict(selector) for selector in self.selectors],
            "series": [asdict(model) for model in self.series],
            "resolution": self.resolution,
            "square": self.square,
            "other_title": self.other_title,
        }


def _round_numbers(row: Row) -> Row:
    """Return a row whose numbers have six digits, more than are drawn or shown."""
    rounded = dict(row)
    for name, value in row.items():
        if isinstance(value, float):
            rounded[name] = float(f"{value:.6g}")
        elif isinstance(value, list):
            rounded[name] = [float(f"{one:.6g}") for one in value]
    return rounded


def specification(marks: Any) -> dict[str, Any]:
    """Return layers of marks as a Vega-Lite specification that altair has checked."""
    size = {"width": "container", "height": "container"}
    values: dict[str, Any] = _configure(marks.properties(**size)).to_dict()
    # The address of the schema is of no use to a page that sends no request.
    del values["$schema"]
    return values


def _configure(marks: Any) -> Any:
    """Apply the look of the page: its colours follow light and dark, its text is HTML's."""
    ink, muted, line = follow_page(INK), follow_page(MUTED), "var(--line)"
    axis = {"labelColor": ink, "titleColor": ink, "labelFontSize": 12, "titleFontSize": 12}
    axis |= {"gridColor": line, "domainColor": muted, "tickColor": muted, "labelPadding": 5}
    # A title beside the axis would take the width that a telephone lacks.
    upright = {"titleAngle": 0, "titleAlign": "left", "titleAnchor": "end", "titleX": -36}
    upright |= {"titleBaseline": "bottom", "titleY": -10}
    return (
        marks.configure(background="transparent", font=FONT, padding=4, aria=False)
        .configure_mark(aria=False)
        .configure_axis(**axis, titleFontWeight="normal")
        .configure_axisY(**upright)
        .configure_view(stroke=None)
    )


def follow_page(colour: str) -> str:
    """Return the CSS variable of a colour that differs between light and dark, else itself."""
    return CSS_COLOURS.get(colour, colour)


def layer(*marks: Any) -> Any:
    """Return marks as layers over the rows of the chart, with the model in focus."""
    focus = alt.param(name=FOCUS, value="")
    return alt.layer(*marks, data=alt.NamedData(ROWS)).add_params(focus)


def marks_of(name: str | None = None) -> Any:
    """Return an empty chart; the page finds marks under the pointer by the name `points`."""
    return alt.Chart() if name is None else alt.Chart(name=name)


def in_focus() -> Any:
    """Return the opacity that fades the models that are not singled out."""
    is_shown = f"{FOCUS} === '' || datum.model === {FOCUS}"
    return alt.condition(is_shown, alt.value(1), alt.value(0.12))


def model_series(models: Sequence[str], shown: Iterable[str]) -> list[ModelSeries]:
    """Return the marks of the models shown, among all models of a sweep."""
    series = []
    for model in shown:
        style = model_style(models, model)
        colour, shape = follow_page(style["color"]), SHAPES[style["marker"]]
        series.append(ModelSeries(model, colour, shape))
    return series


def model_colours(series: Sequence[ModelSeries]) -> Any:
    """Return the scale of the colours of models."""
    names, colours = [one.name for one in series], [one.colour for one in series]
    return alt.Scale(domain=names, range=colours)


def model_shapes(series: Sequence[ModelSeries]) -> Any:
    """Return the scale of the shapes of models."""
    names, shapes = [one.name for one in series], [one.shape for one in series]
    return alt.Scale(domain=names, range=shapes)


def accuracy_scale() -> Any:
    """Return the scale of accuracies: as wide as their intervals, with some room."""
    return alt.Scale(zero=False, nice=False, padding=14)


def resolution_axis(field: str, resolutions: Sequence[int]) -> Any:
    """Return a logarithmic axis with a tick at each resolution of the sweep."""
    scale = alt.Scale(type="log", base=2, nice=False, padding=24)
    axis = alt.Axis(values=list(resolutions), format="d", grid=False, labelOverlap="greedy")
    return alt.X(f"{field}:Q", title="input resolution (px)", scale=scale, axis=axis)


def plain_rows(frame: pd.DataFrame, columns: Sequence[str]) -> list[Row]:
    """Return columns of a table as rows of plain values, None where they are blank."""
    values = frame[list(columns)].astype(object)
    rows: list[Row] = values.where(values.notna(), None).to_dict("records")
    return rows
