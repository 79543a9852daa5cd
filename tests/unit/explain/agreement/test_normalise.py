import numpy as np

from resomap.explain.agreement.compare import seed_pairs
from resomap.explain.agreement.normalise import AgreementParts, SeedPairs, summarise


def test_disagreeing_seed_widens_interval_with_three_seeds():
    pairs = seed_pairs([0, 1, 2])
    noise = np.random.default_rng(0).normal(size=(len(pairs), 50)).astype(np.float32)
    consistent = 0.5 + 0.01 * noise
    with_outlier = consistent - 0.3 * np.array([[2 in pair] for pair in pairs])
    nothing = SeedPairs([], np.zeros((0, 50)))
    widths = []
    for values in (consistent, with_outlier):
        parts = AgreementParts(SeedPairs(pairs, values), nothing, (nothing, nothing))
        summary = summarise(parts, (0, 1, 2), "correlation")
        widths.append(summary["observed_high"] - summary["observed_low"])
    assert widths[1] > 20 * widths[0]


def test_intervals_cover_the_truth_in_95_percent():
    rng, covered = np.random.default_rng(9), []
    truth = {"observed": 0.5, "normalised": 0.4 / (0.6 - 0.1)}
    for _ in range(200):
        observed, floor, *ceilings = (
            SeedPairs([(0, 1)], rng.normal(expected, 0.3, size=(1, 60)))
            for expected in (0.5, 0.1, 0.9, 0.4)
        )
        parts = AgreementParts(observed, floor, (ceilings[0], ceilings[1]))
        summary = summarise(parts, (0, 1), "correlation")
        covered.append(
            [
                summary[f"{name}_low"] < value < summary[f"{name}_high"]
                for name, value in truth.items()
            ]
        )
    assert all(0.9 < share < 0.99 for share in np.mean(covered, axis=0))
