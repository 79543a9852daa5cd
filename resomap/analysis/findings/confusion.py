"""Findings about confusion: the pair of classes that a cell takes for each other most often."""

import pandas as pd

from resomap.analysis.findings.finding import Estimate, Finding


def top_confusion(confusion: pd.DataFrame, model: str | None, resolution: int) -> Finding:
    """Find the largest share of a class's test images that is predicted as one other class.

    The state is `described`, `none` where no prediction is wrong, `unknown` without a run.
    """
    evidence = "tables/confusion.csv"
    own = confusion[(confusion["model"] == model) & (confusion["resolution"] == resolution)]
    wrong = own[own["class"] != own["predicted"]]
    subject = {"model": model, "resolution": resolution}
    if own.empty:
        return Finding("confusion", "unknown", evidence, subject)
    if wrong.empty:
        return Finding("confusion", "none", evidence, subject)
    top = wrong.loc[(wrong["count"] / wrong["n"]).idxmax()]
    subject |= {"class": str(top["class"]), "predicted": str(top["predicted"])}
    share = Estimate(float(top["count"] / top["n"]), n=int(top["n"]))
    return Finding("confusion", "described", evidence, subject, {"share": share})
