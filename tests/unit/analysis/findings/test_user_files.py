"""What is found about the user's files: pixels that are not stored, masks and groups."""

import pytest

from resomap.analysis.findings.limits import above_native
from resomap.analysis.findings.user_files import (
    larger_files,
    narrow_ranges,
    object_masks,
    oversized_splits,
)
from tests.dataset_facts import facts_of, with_sizes


def with_manifest(facts, **changes):
    return type(facts)(**{**vars(facts), "manifest": facts.manifest | changes})


def test_share_of_larger_files_is_of_files_not_of_the_store(tmp_path):
    facts = with_sizes(
        facts_of(tmp_path), (40, 60, 30), (48, 48, 20), (100, 70, 45), (300, 200, 5)
    )
    found = larger_files(facts, (24, 96))
    assert found.numbers["share"].value == pytest.approx(0.5)
    assert found.numbers["largest"].value == 200
    assert found.numbers["keep"].value == 96
    assert larger_files(facts, (24, 512)).numbers["keep"].value == 200


def test_resolution_above_native_is_about_files_where_these_are_larger(tmp_path):
    facts = with_sizes(facts_of(tmp_path), (100, 70, 1), (40, 40, 3))
    [finding] = above_native((24, 96), 48, larger_files(facts, (24, 96)))
    assert finding.state == "pixels dropped"
    assert finding.numbers["share"].value == pytest.approx(0.25)
    small = with_sizes(facts, (40, 40, 3))
    [finding] = above_native((24, 96), 48, larger_files(small, (24, 96)))
    assert finding.state == "shown"
    assert above_native((24, 48), 48, larger_files(facts, (24, 48))) == []


def test_manifest_of_an_earlier_version_has_no_such_findings(tmp_path):
    facts = facts_of(tmp_path)
    names = ("objects", "narrow", "assigned", "listing")
    manifest = {key: value for key, value in facts.manifest.items() if key not in names}
    facts = type(facts)(**{**vars(facts), "manifest": manifest})
    assert object_masks(facts).state == "none"
    assert narrow_ranges(facts).state == "not shown"
    assert oversized_splits(facts) == []


@pytest.mark.parametrize(("test_images", "state"), [(8, "shown"), (0, "none in test")])
def test_masks_are_counted(tmp_path, test_images, state):
    objects = {"images": 20, "test_images": test_images, "share": 0.3}
    facts = with_manifest(facts_of(tmp_path), objects=objects)
    found = object_masks(facts)
    assert found.state == state
    assert found.numbers["images"].value == 20
    assert found.numbers["test_images"].n == 40


@pytest.mark.parametrize(
    ("actual", "group_images", "count"), [(0.45, 18, 1), (0.22, 8, 0), (0.45, 1, 0)]
)
def test_split_is_oversized_by_a_group_only(tmp_path, actual, group_images, count):
    assigned = {
        "test": {
            "requested": 0.2,
            "actual": actual,
            "largest_group": "p1",
            "largest_group_images": group_images,
        }
    }
    assert len(oversized_splits(with_manifest(facts_of(tmp_path), assigned=assigned))) == count
