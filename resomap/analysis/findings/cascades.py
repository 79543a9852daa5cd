"""Findings about cascades: whether one saves time at equal accuracy."""

import pandas as pd

from resomap.analysis.findings.finding import Finding, read_estimate, select

STATES = {"nothing": "none", "open": "not shown"}


def best_cascade(cascades: pd.DataFrame) -> Finding:
    """Find the cascade that saves the most of the latency of the most expensive cell.

    The state is `shown`, `not shown` where none is shown to save time within the margin, `none`
    where none costs less than its last cell, `unknown` where no cascade was made.
    """
    evidence = "tables/cascades.csv"
    own = cascades[cascades["kind"] == "cascade"]
    saving = own[own["verdict"] == "saves"]
    if saving.empty:
        verdicts = set(own["verdict"])
        state = "unknown"
        if verdicts:
            state = STATES["open" if "open" in verdicts else "nothing"]
        return Finding("cascade", state, evidence)
    # The most expensive cell of the front is the most accurate one.
    of_best = saving[saving["last_cost_ms"] == saving["last_cost_ms"].max()]
    top = of_best.loc[of_best["saved"].idxmax()]
    names = ("saved", "difference", "escalated", "accuracy")
    numbers = {name: read_estimate(top, name) for name in names}
    return Finding("cascade", "shown", evidence, select(top, "stages", "last"), numbers)
