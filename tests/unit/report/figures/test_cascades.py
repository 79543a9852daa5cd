import pandas as pd

from resomap.analysis.findings.cascades import best_cascade
from resomap.report.figures.cascades import plot_cascades


def test_cells_cascades_and_ensemble_are_drawn(tables):
    drawing = plot_cascades(tables)
    (axes,) = drawing.figure.axes
    labels = axes.get_legend_handles_labels()[1]
    assert {"single cell", "ensemble"} <= set(labels)
    assert any("cascade" in label for label in labels)
    drawing.figure.canvas.draw()
    assert sum(bool(tick.get_text()) for tick in axes.get_xticklabels()) >= 2


def test_sweep_without_profiles_has_no_cascade(tables):
    empty = type(tables)(**{**vars(tables), "cascades": tables.cascades[:0]})
    assert plot_cascades(empty).title.startswith("No cascade could be made")


def cascades(*verdicts: str) -> pd.DataFrame:
    rows = []
    for number, verdict in enumerate(verdicts):
        row = {"kind": "cascade", "stages": f"a > {number}", "last": "b", "verdict": verdict}
        for name in ("saved", "difference", "escalated", "accuracy"):
            row |= {name: 0.1 * number + 0.3, f"{name}_low": 0.2, f"{name}_high": 0.9}
        rows.append({**row, "last_cost_ms": 4.0, "n": 100})
    return pd.DataFrame(rows)


def test_cascade_is_found_only_where_it_is_shown():
    assert best_cascade(cascades("nothing", "nothing")).state == "none"
    assert best_cascade(cascades("nothing", "open")).state == "not shown"
    finding = best_cascade(cascades("saves", "saves", "open"))
    assert (finding.state, finding.subject["stages"]) == ("shown", "a > 1")
