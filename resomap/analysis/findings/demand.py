"""Findings about demand: how many images need which resolution."""

import pandas as pd

from resomap.analysis.findings.finding import Finding, read_estimate


def demand_of_model(demand: pd.DataFrame, model: str | None) -> Finding:
    """Return the shares of a model's images that are right from the ends of the sweep on.

    The state is `described`, `one resolution`, or `unknown` where no seed finished everywhere.
    """
    own = demand[(demand["model"] == model) & demand["class"].isna()]
    shares = own.dropna(subset=["demand"]).sort_values("demand").to_dict("records")
    if not shares:
        return Finding("demand", "unknown", "tables/demand.csv", {"model": model})
    (never,) = own[own["demand"].isna()].to_dict("records")
    smallest, largest = shares[0], shares[-1]
    subject = {
        "model": model,
        "smallest": int(smallest["demand"]),
        "largest": int(largest["demand"]),
    }
    numbers = {
        "smallest": read_estimate(smallest, "share"),
        "largest": read_estimate(largest, "share"),
        "never": read_estimate(never, "share"),
    }
    state = "described" if len(shares) > 1 else "one resolution"
    return Finding("demand", state, "tables/demand.csv", subject, numbers)
