"""Findings about the user's files: masks, ranges of values, groups, and pixels not stored."""

from collections.abc import Sequence

from resomap.analysis.facts import Facts
from resomap.analysis.findings.finding import Estimate, Finding

MANIFEST = "data/manifest.json"
MIN_OVERSHOOT = 0.05
"""Share of the images by which a split exceeds its share before it is reported."""


def object_masks(facts: Facts) -> Finding:
    """Find how many images have a mask, and what share of them the object covers.

    The state is `none` without masks, and `none in test` where localisation cannot be measured.
    """
    objects = facts.manifest.get("objects", {})
    if not facts.has_files or not objects.get("images"):
        return Finding("object masks", "none", MANIFEST)
    total = int(facts.counts.to_numpy().sum())
    tested = int(facts.counts["test"].sum())
    unmatched = facts.manifest.get("listing", {}).get("unmatched_masks", 0)
    numbers = {
        "images": Estimate(objects["images"], n=total),
        "test_images": Estimate(objects["test_images"], n=tested),
        "share": Estimate(objects["share"], n=objects["images"]),
        "unmatched": Estimate(unmatched),
    }
    state = "shown" if objects["test_images"] else "none in test"
    return Finding("object masks", state, MANIFEST, numbers=numbers)


def narrow_ranges(facts: Facts) -> Finding:
    """Find how many images use a small part of the range of values, and one of them."""
    narrow = facts.manifest.get("narrow", {})
    if not facts.has_files or not narrow.get("images"):
        return Finding("narrow ranges", "not shown", MANIFEST)
    numbers = {
        "images": Estimate(narrow["images"], n=int(facts.counts.to_numpy().sum())),
        "share": Estimate(narrow["share"]),
    }
    return Finding("narrow ranges", "shown", MANIFEST, {"example": narrow["example"]}, numbers)


def oversized_splits(facts: Facts) -> list[Finding]:
    """Find the assigned splits that a large group makes larger than requested."""
    findings = []
    for split, values in facts.manifest.get("assigned", {}).items():
        overshoot = values["actual"] - values["requested"]
        if values["largest_group_images"] < 2 or overshoot <= MIN_OVERSHOOT:
            continue
        numbers = {
            "requested": Estimate(values["requested"]),
            "actual": Estimate(values["actual"]),
            "group": Estimate(values["largest_group_images"]),
        }
        subject = {"split": split, "group": values["largest_group"]}
        findings.append(Finding("oversized split", "shown", MANIFEST, subject, numbers))
    return findings


def larger_files(facts: Facts, resolutions: Sequence[int]) -> Finding:
    """Find which share of the files has more pixels than are stored, and what would keep them.

    `keep` is the native resolution at which no resolution of the sweep lacks pixels of a file.
    """
    counts, native = facts.side_counts, facts.native_resolution
    share = float(counts[counts.index > native].sum() / counts.sum())
    if not share:
        return Finding("larger files", "not shown", "data/pictures.csv")
    keep = min(max(resolutions), int(counts.index.max()))
    numbers = {
        "share": Estimate(share, n=int(counts.sum())),
        "largest": Estimate(int(counts.index.max())),
        "keep": Estimate(keep),
    }
    subject = {"side": facts.side_name, "stored_at": native}
    return Finding("larger files", "shown", "data/pictures.csv", subject, numbers)
