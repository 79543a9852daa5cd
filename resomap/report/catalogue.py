"""The catalogue of figures: their names are known before anything is drawn, so it imports no plotting."""

from typing import NamedTuple


class Entry(NamedTuple):
    """A figure: the category it stands under, what data it needs (`groups`, `maps`, `files` or nothing), and how to read it."""

    category: str
    needs: str
    caption: str


COST = "2. Cost"
EVIDENCE = "3. Evidence"
DATA = "4. Data"
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
        COST,
        "",
        "Accuracy against the median latency of one picture at batch 1. The dashed stairs join the cells that no other beats on both; the ring "
        "marks the choice, which was made on validation pictures.",
    ),
    "cost_by_resolution": Entry(
        COST,
        "",
        "Cost does not depend on the weights, so there is one measurement a cell. The thick bar is the 95 % interval between rounds of measuring "
        "and often hides behind its dot. A hollow point was measured on a disturbed machine.",
    ),
    "cost_breakdown": Entry(
        COST,
        "",
        "A smaller picture shortens what the network does, and hardly what stands before it. Every stage was timed alone, on one thread; with "
        "several workers they overlap, and the longest decides.",
    ),
    "right_answer_wrong_reason": Entry(
        EVIDENCE,
        "maps",
        "An alarm says: look. Its judge exchanges everything but the object (or reverses a sticker) and counts the answers that follow the change; "
        "a network that uses the object follows none. Where the answer is a coin toss, half of them follow anything.",
    ),
    "correct_and_fooled": Entry(
        EVIDENCE,
        "maps",
        "All of these answers are right. Pictures that raised an alarm stand first, and they are the ones to look at before a network is trusted.",
    ),
    "evidence_by_resolution": Entry(
        EVIDENCE,
        "maps",
        "Relevance on the object rises with resolution for any sharp map, an edge filter included; and where stripes survive, an edge filter finds "
        "them, too. So this figure tells where the evidence lies; whether the network uses it, only exchanges and blurring tell.",
    ),
    "agreement": Entry(
        EVIDENCE,
        "maps",
        "Two trainings of one network never agree wholly, so a resolution is held against another seed, not against 1. A finding stands only where "
        "Grad-CAM, with the block of the rule and with one block for all, and Integrated Gradients tell the same.",
    ),
    "faithfulness": Entry(
        EVIDENCE,
        "maps",
        "A map on a fine grid can point more sharply than one on a coarse grid, and blur can help a noisy one; at one bandwidth only the order of "
        "the areas counts.",
    ),
    "explanations": Entry(
        EVIDENCE,
        "maps",
        "Maps are signed and drawn on their own grid. Colours may be compared down a column; methods, and resolutions, have units of their own.",
    ),
    "mean_maps": Entry(
        EVIDENCE,
        "maps",
        "Objects lie now here, now there, so in a mean they blur. What stays sharp stays in its place: a border, a watermark, a sticker.",
    ),
    "class_balance": Entry(
        DATA,
        "",
        "Accuracy weighs every picture alike, so large classes count for more in it; balanced accuracy weighs every class alike.",
    ),
    "picture_sizes": Entry(
        DATA,
        "files",
        "A picture that is enlarged gains pixels and no detail. A network sees all of them at one size and one shape.",
    ),
    "information_by_resolution": Entry(
        DATA,
        "",
        "What a resolution cannot hold, no network can use there. The converse does not hold: how much of the energy is lost does not tell "
        "whether the cue of a class was in it.",
    ),
    "pictures": Entry(
        DATA, "", "The pixels as the networks receive them, before normalisation."
    ),
    "contact_sheet": Entry(
        DATA,
        "",
        "The eye is a judge, too: of labels, of what fills the frame, of what a smaller picture would still show.",
    ),
}


def figure_names(dataset: str, explain: bool) -> tuple[str, ...]:
    """Names of the figures that a sweep over `dataset` draws, in the order of the report."""
    shown = {"": True, "groups": dataset == "reef", "maps": explain, "files": dataset != "reef"}
    return tuple(name for name, entry in CATALOGUE.items() if shown[entry.needs])


def data_figure_names(dataset: str) -> tuple[str, ...]:
    """Names of those that are known before any training and before any resizing."""
    return tuple(
        name
        for name in figure_names(dataset, False)
        if CATALOGUE[name].category == DATA and name != "pictures"
    )
