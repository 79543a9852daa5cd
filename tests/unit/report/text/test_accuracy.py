"""Sentences about accuracy that depend on how far a measurement is from a prediction."""

from resomap.analysis.findings.finding import Estimate, Finding
from resomap.report.text.accuracy import sampling_theory_sentence


def theory(*distances: float) -> Finding:
    parts = tuple(
        Finding(
            "theory_at",
            "shown",
            "",
            {},
            {"accuracy": Estimate(0.5), "predicted": Estimate(0.5 + d)},
        )
        for d in distances
    )
    return Finding("theory", "shown", "", {"model": "net"}, parts=parts)


def test_small_distance_is_a_prediction_at_every_size() -> None:
    sentence = sampling_theory_sentence(theory(0.01, 0.02))
    assert sentence == (
        "Sampling theory alone predicts the accuracy of net to within 2 points at every size."
    )


def test_large_distance_is_no_prediction() -> None:
    sentence = sampling_theory_sentence(theory(0.01, 0.4))
    assert sentence.startswith("Sampling theory does not predict the accuracy of net")
    assert "40 points" in sentence
