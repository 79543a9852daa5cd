"""Pairs of classes that more pixels separate."""

import pandas as pd

from resomap.analysis.findings.confusion import separated_pairs

SIZES = (24, 48, 96)


def confusion(**wrong: tuple[int, ...]) -> pd.DataFrame:
    """Return a table of 100 images a class in two runs, with counts `cat_as_dog` by size."""
    rows = []
    for place, px in enumerate(SIZES):
        for name in ("ant", "cat", "dog"):
            key = {"model": "net", "resolution": px, "class": name, "n_seeds": 2, "n": 200}
            taken = 0
            for names, counts in wrong.items():
                label, predicted = names.split("_as_")
                if label == name and counts[place]:
                    taken += counts[place]
                    rows.append({**key, "predicted": predicted, "count": counts[place]})
            rows.append({**key, "predicted": name, "count": 200 - taken})
    return pd.DataFrame(rows)


def test_pair_is_counted_in_both_directions_at_every_size():
    table = confusion(cat_as_dog=(60, 20, 0), dog_as_cat=(40, 4, 2))
    (finding,) = separated_pairs(table, "net", 0.95)
    assert (finding.subject["first"], finding.subject["second"]) == ("cat", "dog")
    shares = [part.numbers["share"] for part in finding.parts]
    assert [share.value for share in shares] == [100 / 400, 24 / 400, 2 / 400]
    assert all(share.n == 400 and share.low < share.value < share.high for share in shares)


def test_size_without_a_confusion_has_a_share_of_zero():
    (finding,) = separated_pairs(confusion(cat_as_dog=(60, 0, 0)), "net", 0.95)
    assert [part.numbers["share"].value for part in finding.parts] == [60 / 400, 0, 0]
    assert finding.parts[1].numbers["share"].n == 400


def test_pair_with_overlapping_intervals_is_not_separated():
    assert separated_pairs(confusion(cat_as_dog=(60, 50, 45)), "net", 0.95) == []


def test_pair_that_is_confused_more_by_pixels_is_not_separated():
    assert separated_pairs(confusion(cat_as_dog=(0, 20, 60)), "net", 0.95) == []


def test_most_separated_pair_comes_first():
    table = confusion(cat_as_dog=(60, 0, 0), ant_as_cat=(90, 0, 0))
    pairs = separated_pairs(table, "net", 0.95)
    assert [one.subject["first"] for one in pairs] == ["ant", "cat"]


def test_sweep_of_one_size_separates_nothing():
    table = confusion(cat_as_dog=(60, 20, 0))
    assert separated_pairs(table[table["resolution"] == 24], "net", 0.95) == []
    assert separated_pairs(table, "other", 0.95) == []
