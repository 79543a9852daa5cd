"""The sentence that heads each figure of cost, and the names and numbers that such sentences are made of."""

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from resomap.analysis.measurements import single
from resomap.report.text.data_titles import percent

STAGES = {
    "decode": "Decoding the file",
    "resize": "Resizing",
    "copy": "Copying to the device",
    "forward": "The network",
}
MODES = {"cuda_graph": "CUDA graph", "training_step": "training step"}


def mode_name(variant: str) -> str:
    """`eager`, `training step`."""
    return MODES.get(variant, variant)


def measurement_name(row: Mapping[Hashable, Any]) -> str:
    """`tiny_cnn at 24 px (eager, batch 1)`."""
    return f"{row['model']} at {row['resolution']} px ({mode_name(row['variant'])}, batch {row['batch_size']})"


def joules(energy: float) -> str:
    """Three significant digits, `2.31 mJ`."""
    return f"{1e3 * energy:.3g} mJ" if energy < 1 else f"{energy:.3g} J"


def cost_title(profiles: pd.DataFrame) -> str:
    """What more pixels cost the model whose latency grows most."""
    measured = single(profiles)
    growth = {
        str(model): rows
        for model, rows in measured.groupby("model", sort=False)
        if len(rows) > 1
    }
    if not growth:
        return "The cost of a picture" if len(measured) else "No cost was measured"
    model = max(growth, key=lambda name: latency_growth(growth[name]))
    return f"{pixel_growth(growth[model]):.3g} times the pixels cost {model} {latency_growth(growth[model]):.2g} times the latency ({_span(growth[model])})"


def latency_growth(rows: pd.DataFrame) -> float:
    """The last row's latency over the first's."""
    return float(rows["latency_ms_p50"].iloc[-1] / rows["latency_ms_p50"].iloc[0])


def pixel_growth(rows: pd.DataFrame) -> float:
    """The last row's pixels over the first's."""
    return float((rows["resolution"].iloc[-1] / rows["resolution"].iloc[0]) ** 2)


def _span(rows: pd.DataFrame) -> str:
    return f"{rows['resolution'].iloc[0]} to {rows['resolution'].iloc[-1]} px"


def stage_shares(stages: pd.DataFrame) -> pd.DataFrame:
    """The share of each stage (columns) in the time of every cell (rows)."""
    return pd.DataFrame(
        {name: stages[f"{name}_ms"].fillna(0) / stages["total_ms"] for name in STAGES}
    )


def breakdown_title(stages: pd.DataFrame) -> str:
    """Which stage takes longest, in how many cells, and what the network's share is."""
    if stages.empty:
        return "Where the time goes from a file to an answer was not measured"
    shares = stage_shares(stages)
    longest = shares.idxmax(axis=1)
    stage, count = longest.mode().iloc[0], int(longest.value_counts().max())
    where = "in every cell" if count == len(shares) else f"in {count} of {len(shares)} cells"
    ends = dict.fromkeys(
        percent(share) for share in (shares["forward"].min(), shares["forward"].max())
    )
    told = " to ".join(ends)
    return f"{STAGES[stage]} takes longest {where}{f': {told} of the time' if stage == 'forward' else f'; the network takes {told} of the time'}"
