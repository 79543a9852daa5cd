"""The catalogue of figures: their names are known before anything is drawn, so it imports no plotting."""

from typing import NamedTuple


class Entry(NamedTuple):
    """A figure: the category it stands under, what data it needs (`groups`, `maps` or nothing), and how to read it."""

    category: str
    needs: str
    caption: str


CATALOGUE = {
    "accuracy_by_resolution": Entry(
        "1. Accuracy",
        "",
        "Each filled dot is the mean over seeds of one cell, its line the confidence interval for this training set; the hollow dots are the "
        "single runs. With one seed the interval speaks of that network only.",
    ),
    "groups_by_resolution": Entry(
        "1. Accuracy",
        "groups",
        "Accuracy inside the pair asks only whether the label's logit beats its partner's, so 0.5 is a coin toss. To the right of the shaded "
        "band sampling theory promises the stripes, to its left it denies them; inside it the learner decides, and the curve need not be monotone.",
    ),
    "reef_collapse": Entry(
        "1. Accuracy",
        "groups",
        "The same accuracies against stripes per pixel. If resolution acts only through sampling, every group and model falls on one cliff.",
    ),
    "train_test_matrix": Entry(
        "1. Accuracy",
        "",
        "The framed diagonal is a network at its own size. A value to the right of it that is higher means: train small, test larger.",
    ),
    "accuracy_by_cost": Entry(
        "2. Cost",
        "",
        "Accuracy against the median latency of one picture at batch 1. The dashed stairs join the cells that no other beats on both; the ring "
        "marks the choice, which was made on validation pictures.",
    ),
    "cost_by_resolution": Entry(
        "2. Cost",
        "",
        "Cost does not depend on the weights, so there is one measurement a cell. A hollow point was measured on a disturbed machine.",
    ),
    "evidence_by_resolution": Entry(
        "3. Evidence",
        "maps",
        "Relevance mass on the object rises with resolution for any sharp map, an edge filter included. On the reef, what only a network that "
        "uses the stripes does: where the medium ones survive and the fine ones do not, its evidence lies on the medium ones.",
    ),
    "explanations": Entry(
        "3. Evidence",
        "maps",
        "Maps are signed and drawn on their own grid. Each has its own scale, so colours say where the evidence lies, not how strong it is.",
    ),
    "pictures": Entry("4. Data", "", "The pixels as the networks receive them, before normalisation."),
}


def figure_names(dataset: str, explain: bool) -> tuple[str, ...]:
    """Names of the figures that a sweep over `dataset` draws, in the order of the report."""
    shown = {"": True, "groups": dataset == "reef", "maps": explain}
    return tuple(name for name, entry in CATALOGUE.items() if shown[entry.needs])
