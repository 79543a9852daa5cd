"""The list of figures: names, categories, captions. No plotting, so rules can import it.

`python -m resomap.report.catalogue report` writes the captions as files, which Snakemake's own
report needs.
"""

import sys
import textwrap
from pathlib import Path
from typing import NamedTuple

from resomap.system.files import write_text

ACCURACY, COST, EVIDENCE = "1. Accuracy", "2. Cost", "3. Evidence"
CLASSES, DATA, DEPLOYMENT = "4. Classes", "5. Data", "6. Deployment"


class CatalogueEntry(NamedTuple):
    """A figure: its category in the report, the data it needs, and how to read it.

    `needs` is `groups` (of the reef), `maps` (explained runs), `files` (images from outside),
    `deploy` (drawn by that target, on no page) or blank.
    """

    category: str
    needs: str
    caption: str


# In the order of the page. Snakemake sorts categories as text, hence their numbers.
CATALOGUE = {
    "accuracy_by_resolution": CatalogueEntry(
        ACCURACY,
        "",
        "Filled dots are means over seeds of one model at one resolution, hollow dots are "
        "single runs. The line through a mean is its confidence interval over seeds and "
        "test images. With one seed it covers the test images only, not another training.",
    ),
    "groups_by_resolution": CatalogueEntry(
        ACCURACY,
        "groups",
        "Accuracy inside the pair counts whether the logit of the label exceeds that of its "
        "pair partner, so 0.5 is chance. Right of the shaded band sampling theory "
        "guarantees that the stripes survive, left of it that they are lost. Inside the "
        "band the result depends on the model, and the curve need not be monotonic.",
    ),
    "reef_collapse": CatalogueEntry(
        ACCURACY,
        "groups",
        "The same accuracies against stripes per pixel. If resolution matters only through "
        "sampling, all groups and models drop at the same place.",
    ),
    "train_test_matrix": CatalogueEntry(
        ACCURACY,
        "",
        "Each row is a network trained at one resolution, each column a test resolution. "
        "The framed diagonal is the training resolution. A higher value to the right of the "
        "frame means: train small and test larger. BatchNorm keeps means and variances of the "
        "size of training, so a network may fail elsewhere for that reason alone: bn takes "
        "them anew from training images at the size of the test.",
    ),
    "accuracy_by_cost": CatalogueEntry(
        COST,
        "",
        "Test accuracy against the median latency of one image at batch size 1. The dashed "
        "steps join the cells that no other cell beats in both. A ring marks the choice, where "
        "there is one.",
    ),
    "cascades": CatalogueEntry(
        COST,
        "",
        "Cascades are made of the cells that no cheaper one equals on validation images. A "
        "cascade saves when the interval of its latency lies below that of its last cell alone, "
        "and its accuracy is shown within the margin of that cell's, on test images. Latencies "
        "count as exact.",
    ),
    "cost_by_resolution": CatalogueEntry(
        COST,
        "",
        "Cost does not depend on the weights, so each model is measured once per "
        "resolution. The thick bar is the 95 % interval between rounds of measuring and is "
        "often shorter than its dot. A hollow dot was measured while the machine was "
        "disturbed.",
    ),
    "cost_breakdown": CatalogueEntry(
        COST,
        "",
        "A smaller image shortens the time of the network, and hardly that of the stages "
        "before it. Each stage is timed alone, on one thread. With several workers the "
        "stages overlap, and the longest one limits the rate.",
    ),
    "latency_by_device": CatalogueEntry(
        COST,
        "deploy",
        "Median latency of one image on every device whose measurements the sweep reads, beside "
        "the machine that profiles it, which may run the network otherwise: its variant stands "
        "in the title of its panel. Devices share no clock, so compare the order of the cells "
        "rather than milliseconds. A hollow dot was measured while the device was disturbed.",
    ),
    "right_answer_wrong_reason": CatalogueEntry(
        EVIDENCE,
        "maps",
        "An alarm is a reason to look at the images. To confirm it, the object is pasted "
        "onto an image of another class (or a sticker is reversed), and predictions that "
        "follow the rest of the image are counted. A network that uses the object never "
        "follows the rest; one that guesses follows it in half of the cases.",
    ),
    "correct_and_fooled": CatalogueEntry(
        EVIDENCE,
        "maps",
        "All of these images are predicted correctly. Images that raised an alarm come "
        "first. Look at them before you trust the network.",
    ),
    "evidence_by_resolution": CatalogueEntry(
        EVIDENCE,
        "maps",
        "Relevance on the object rises with resolution for any sharp map, even for an edge "
        "filter, which also finds stripes wherever they survive. So this figure shows where "
        "the evidence lies. Whether the network uses it is shown by the interventions and "
        "by faithfulness.",
    ),
    "agreement": CatalogueEntry(
        EVIDENCE,
        "maps",
        "Two trainings of the same network never agree completely, so a resolution is "
        "compared with another seed and not with 1. Rely on a finding only if Grad-CAM (its "
        "usual block, and one block for all resolutions) and Integrated Gradients agree on "
        "it.",
    ),
    "faithfulness": CatalogueEntry(
        EVIDENCE,
        "maps",
        "A map on a fine grid can be sharper than one on a coarse grid, and blurring can "
        "help a noisy map. At a common number of cells only the order of the areas counts.",
    ),
    "explanations": CatalogueEntry(
        EVIDENCE,
        "maps",
        "Maps are signed and drawn on their own grid. Compare colours within a column only: "
        "methods and resolutions have different units.",
    ),
    "mean_maps": CatalogueEntry(
        EVIDENCE,
        "maps",
        "Objects change their position, so they blur in a mean. What stays sharp has a "
        "fixed position: a border, a watermark, a sticker.",
    ),
    "confusion": CatalogueEntry(
        CLASSES,
        "",
        "What a class is taken for shows what a resolution no longer separates. Shares of a "
        "class with few test images are uncertain: results/tables/confusion.csv has the counts.",
    ),
    "demand": CatalogueEntry(
        CLASSES,
        "",
        "Networks of the same seed are compared image by image. An image that is wrong at a "
        "larger resolution counts from above it, so luck at a small one does not: a network "
        "that guesses between two classes is right in half of the cases.",
    ),
    "class_balance": CatalogueEntry(
        DATA,
        "",
        "Accuracy weighs all images equally, so large classes count more in it. Balanced "
        "accuracy weighs all classes equally.",
    ),
    "picture_sizes": CatalogueEntry(
        DATA,
        "files",
        "An upscaled image gains pixels and no detail. The network receives all images at "
        "one size and as squares.",
    ),
    "information_by_resolution": CatalogueEntry(
        DATA,
        "",
        "Detail that a resolution cannot hold is lost to every network. The converse does "
        "not hold: the energy that is lost may or may not contain what separates the "
        "classes.",
    ),
    "pictures": CatalogueEntry(
        DATA, "", "The pixels that the networks receive, before normalisation."
    ),
    "contact_sheet": CatalogueEntry(
        DATA,
        "",
        "Check by eye whether the labels are right, what fills the frame, and what a "
        "smaller image would still show.",
    ),
    "preprocessing_parity": CatalogueEntry(
        DEPLOYMENT,
        "deploy",
        "A network is trained on images that were made in one way, and may run on images that "
        "were made in another. Dots are means over seeds of one exported cell on the test "
        "images, bars are paired intervals. Decoders are compared on the same JPEG files. "
        "system.deploy.max_flips holds for the first group.",
    ),
}


def figure_names(dataset: str, explain: bool) -> tuple[str, ...]:
    """Return the names of the figures of a sweep over `dataset`, in report order."""
    # Rules declare the figures as outputs before any data exist, so by the configuration.
    available = {
        "": True,
        "groups": dataset == "reef",
        "maps": explain,
        "files": dataset != "reef",
        "deploy": False,
    }
    return tuple(name for name, entry in CATALOGUE.items() if available[entry.needs])


def data_figure_names(dataset: str) -> tuple[str, ...]:
    """Return the names of the figures that need neither trained networks nor resized images."""
    return tuple(
        name
        for name in figure_names(dataset, False)
        if CATALOGUE[name].category == DATA and name != "pictures"
    )


def write_captions(folder: Path) -> None:
    """Write the caption of every figure into `folder`, as NAME.rst."""
    for name, entry in CATALOGUE.items():
        write_text(folder / f"{name}.rst", textwrap.fill(entry.caption, 96) + "\n")


if __name__ == "__main__":
    write_captions(Path(sys.argv[1]))
