from resomap.analysis.findings.finding import Estimate, Finding
from resomap.report.text.listing import (
    class_counts,
    listing_sentences,
    mask_sentences,
    oversized_split_sentence,
    range_sentences,
)


def masks(share: float = 0.25, in_test: int = 8, unmatched: int = 0) -> list[str]:
    numbers = {
        "images": Estimate(30, n=40),
        "test_images": Estimate(in_test, n=8),
        "share": Estimate(share, n=30),
        "unmatched": Estimate(unmatched),
    }
    state = "shown" if in_test else "none in test"
    return list(mask_sentences(Finding("object masks", state, "", numbers=numbers)))


def test_classes_are_written_with_their_counts() -> None:
    assert class_counts({"ant": 1500, "bee": 3}) == "2 classes: ant 1,500, bee 3."
    many = class_counts({f"c{number}": number for number in range(1000)})
    assert many.startswith("1,000 classes: c0 0, c1 1,")
    assert many.endswith("c39 39 and 960 more.")


def test_everything_that_is_not_used_has_a_sentence() -> None:
    notes = {
        "layout": "one folder per class",
        "ignored_files": {".txt": 16, ".svg": 1200},
        "ignored_folders": ["labels"],
        "unused_columns": ["doctor", "Unnamed: 0"],
        "shared_groups": ["p1 (test, train)"],
    }
    assert list(listing_sentences(notes)) == [
        "Layout: one folder per class.",
        "Ignored: 1,216 files that are no images (.svg 1,200, .txt 16).",
        "Ignored: 1 folder without images (labels).",
        "Columns that are not used: doctor, Unnamed: 0.",
        "Accepted by data.group_leaks: 1 group in two splits: p1 (test, train). "
        "Test accuracies may be too high.",
    ]
    assert list(listing_sentences({})) == []


def test_masks_are_accounted_for() -> None:
    assert masks() == [
        "30 of 40 images have a mask or box (8 of 8 in test); "
        "it covers 25 % of an image on average."
    ]
    assert masks(share=0.75)[1].endswith("the masks are inverted.")
    assert masks(in_test=0)[1].startswith("No test image has one")
    assert masks(unmatched=1)[1] == "1 mask belongs to no image."


def test_narrow_range_and_oversized_split_have_numbers() -> None:
    numbers = {"images": Estimate(24, n=40), "share": Estimate(0.0588)}
    narrow = Finding("narrow ranges", "shown", "", {"example": "a.png"}, numbers)
    assert list(range_sentences(narrow)) == [
        "24 images use at most 6 % of the range from black to white, such as a.png."
    ]
    numbers = {"requested": Estimate(0.2), "actual": Estimate(0.6), "group": Estimate(24)}
    split = Finding("oversized split", "shown", "", {"split": "test", "group": "p1"}, numbers)
    sentence = oversized_split_sentence(split)
    assert sentence.startswith("Split test has 60 % of the images instead of 20 %")
    assert sentence.endswith("p1 alone has 24 images.")
