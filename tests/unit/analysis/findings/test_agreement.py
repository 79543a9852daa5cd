"""Findings about agreement: verdicts of the methods, and when a claim stands."""

from typing import Any

import pandas as pd
import pytest

from resomap.analysis.findings.agreement import (
    agreement_finding,
    reference_agreement,
    widest_pairs,
)
from resomap.analysis.findings.finding import Finding

NO_FAILURES: set[tuple[str, int, str]] = set()


def row(method: str, normalised: float | None, **more: Any) -> dict[str, Any]:
    """Return a row of agreement.csv between 24 and 96 px, with an interval of 0.1 to either side."""
    kind = {"network": "trained", "population": "all", "measure": "spearman"}
    raw = {"observed": 0.3, "same_seed": 0.35, "floor": 0.05, "ceiling": 0.55}
    key = {"model": "net", "method": method, "block": "input", "low": 24, "high": 96}
    ends: dict[str, Any] = {"normalised": normalised}
    if normalised is not None:
        ends |= {"normalised_low": normalised - 0.1, "normalised_high": normalised + 0.1}
    return {**key, **kind, **raw, **ends, **more}


def find(*rows: dict[str, Any], failed: set[tuple[str, int, str]] = NO_FAILURES) -> Finding:
    return agreement_finding(pd.DataFrame(rows), "net", failed)


def test_claim_stands_when_control_methods_agree() -> None:
    finding = find(
        row("gradcam", 0.5, block="rule"),
        row("gradcam", 0.45, block="fixed"),
        row("integrated_gradients", 0.4),
    )
    assert finding.state == "between"
    assert (finding.subject["smallest"], finding.subject["largest"]) == (24, 96)
    first = finding.parts[0]
    assert first.numbers["normalised"] == (0.5, 0.4, 0.6, None)
    assert first.numbers["floor"].value == 0.05
    assert first.numbers["ceiling"].value == 0.55


def test_dissenting_method_keeps_its_own_verdict() -> None:
    finding = find(
        row("gradcam", 0.95), row("integrated_gradients", 1.2), row("saliency", 0.02)
    )
    assert finding.state == "alike"
    assert [part.state for part in finding.parts] == ["alike", "alike", "apart"]


@pytest.mark.parametrize(
    ("rows", "state"),
    [
        ([row("gradcam", 0.5), row("integrated_gradients", 1.0)], "methods differ"),
        (
            [
                row("gradcam", 0.5, block="rule"),
                row("gradcam", 1.0, block="fixed"),
                row("integrated_gradients", 0.5),
            ],
            "methods differ",
        ),
        ([row("gradcam", 0.5), row("saliency", 0.5)], "control missing"),
        ([row("gradcam", 0.5, low=24, high=24)], "unknown"),
    ],
)
def test_no_claim_without_two_agreeing_kinds_of_methods(
    rows: list[dict[str, Any]], state: str
) -> None:
    assert find(*rows).state == state


def test_ceiling_at_floor_leaves_verdict_open() -> None:
    finding = find(
        row("gradcam", None, ceiling=0.06), row("integrated_gradients", None, ceiling=0.06)
    )
    assert finding.state == "open"
    assert all("normalised" not in part.numbers for part in finding.parts)


def test_one_seed_has_no_ceiling() -> None:
    finding = find(row("gradcam", None, observed=None, ceiling=None))
    assert finding.state == "one seed"
    assert finding.parts[0].numbers["same_seed"].value == 0.35


def test_failed_methods_are_left_out_at_either_end() -> None:
    rows = [row("gradcam", 0.3), row("integrated_gradients", 0.4), row("saliency", 1.2)]
    finding = find(*rows, failed={("net", 96, "saliency")})
    assert [part.subject["method"] for part in finding.parts] == [
        "gradcam",
        "integrated_gradients",
    ]


def test_references_are_baselines_and_untrained_network() -> None:
    edge = row("edge", None, block="image", network="none", observed=0.8)
    untrained = row("gradcam", None, block="fixed", network="untrained", observed=0.1)
    table = pd.DataFrame([row("gradcam", 0.5), edge, untrained])
    references = reference_agreement(table, agreement_finding(table, "net", NO_FAILURES))
    values = [(one.subject["method"], one.numbers["raw"].value) for one in references]
    assert values == [("edge", 0.8), ("gradcam", 0.1)]


def test_widest_pair_has_two_resolutions() -> None:
    pairs = [(24, 24), (24, 96), (48, 96), (96, 96)]
    rows = pd.DataFrame([row("gradcam", 0.3, low=low, high=high) for low, high in pairs])
    assert widest_pairs(rows)[["low", "high"]].to_numpy().tolist() == [[24, 96]]
    assert widest_pairs(rows[:1]).empty
