import numpy as np
import pytest
import torch
from torch import nn

from resomap.config.schema import Explainability, Faithfulness, Sanity
from resomap.explain import faithfulness, intervention, sanity
from resomap.explain.run import (
    FAITHFULNESS_COLUMNS,
    LOCALISATION_COLUMNS,
    ExplainedImages,
    ExplainedNetwork,
    ExplainedRun,
    empty_explanations,
    stratified_indices,
)

torch.set_num_threads(1)
ASKED = Explainability(
    enabled=True,
    methods=("gradcam", "integrated_gradients", "saliency"),
    target="contrast",
    images=8,
    layer="auto",
    ig_steps=4,
    smoothgrad_samples=2,
    pointing_tolerance=0.0,
    faithfulness=Faithfulness(images=4, bandwidths=(3, 6, 12)),
    sanity=Sanity(images=4, draws=5),
    interventions=True,
)


def fresh(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    first = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU())
    second = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU())
    return nn.Sequential(first, second, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4))


def subject(**changes: object) -> ExplainedRun:
    draw = np.random.default_rng(0)
    told = {
        "index": np.arange(10, 18),
        "pixels": draw.integers(256, size=(8, 12, 12, 3), dtype=np.uint8),
        "labels": np.arange(8) % 4,
        "masks": draw.integers(256, size=(8, 32, 32), dtype=np.uint8),
        "stickers": None,
        "mean": (0.5, 0.4, 0.3),
        "std": (0.2, 0.2, 0.2),
        "groups": ("broad", "broad", "fine", "fine"),
        "pairs": [[0, 1], [2, 3]],
    }
    asked = changes.pop("asked", ASKED)
    return ExplainedRun(
        ExplainedNetwork(fresh(7), 0, "1", "0", ("1", "4"), fresh),
        ExplainedImages(**{**told, **changes}),
        asked,
    )  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def whole() -> ExplainedRun:
    return subject()


@pytest.fixture(scope="module")
def explanations(whole):
    return list(whole.explain())


def test_every_method_explains_the_same_pictures(explanations):
    assert [(one.method, one.layer, one.attributions.shape) for one in explanations] == [
        ("gradcam", "1", (8, 6, 6)),
        ("integrated_gradients", "input", (8, 12, 12)),
        ("saliency", "input", (8, 12, 12)),
    ]
    for one in explanations:
        np.testing.assert_array_equal(one.index, range(10, 18))
        np.testing.assert_array_equal(one.targets, np.arange(8) % 4)


def test_what_is_stored_says_where_it_was_read(explanations):
    arrays = {one.method: one.arrays() for one in explanations}
    assert {name: array.shape for name, array in arrays["gradcam"].items()} == {
        "attribution": (8, 6, 6),
        "index": (8,),
        "target": (8,),
        "layer": (),
        "fixed_attribution": (8, 12, 12),
        "fixed_layer": (),
        "untrained": (4, 12, 12),
    }
    assert (str(arrays["gradcam"]["layer"]), str(arrays["gradcam"]["fixed_layer"])) == (
        "1",
        "0",
    )
    assert set(arrays["saliency"]) == {"attribution", "index", "target", "layer", "untrained"}
    assert arrays["integrated_gradients"]["completeness_error"].shape == (8,)


def test_maps_of_an_untrained_network_are_other_maps(explanations):
    for one in explanations[1:]:
        untrained = one.extra_arrays["untrained"]
        assert not np.allclose(untrained, one.attributions[:4])


def test_localisation_has_one_whole_row_a_map_and_baselines_stand_last(whole, explanations):
    rows = whole.localisation_rows(explanations)
    assert [row["method"] for row in rows[::8]] == [
        "gradcam",
        "integrated_gradients",
        "saliency",
        "random",
        "edge",
        "centre",
    ]
    assert [row["index"] for row in rows[:8]] == list(range(10, 18))
    assert {(row["target"], row["layer"], row["grid"]) for row in rows[:8]} == {
        ("contrast", "1", 6)
    }
    assert {row["layer"] for row in rows[24:]} == {"picture"}
    assert [row["group"] for row in rows[:4]] == ["broad", "broad", "fine", "fine"]
    assert all(
        set(row) == set(LOCALISATION_COLUMNS) - {"completeness_error"} for row in rows[:8]
    )
    assert all(set(row) == set(LOCALISATION_COLUMNS) for row in rows[8:16])


def test_a_right_answer_is_one_inside_the_pair(whole, explanations):
    logits, labels = whole.targets.logits, whole.images.labels
    partner = np.array([1, 0, 3, 2])[labels]
    right = logits[np.arange(8), labels] > logits[np.arange(8), partner]
    assert [row["right"] for row in whole.localisation_rows(explanations)[:8]] == right.astype(
        int
    ).tolist()


def test_without_masks_and_groups_the_rows_say_only_what_was_explained():
    bare = subject(masks=None, groups=None, pairs=None)
    row = bare.localisation_rows(list(bare.explain()))[5]
    assert {name for name, value in row.items() if value is not None} == {
        "method",
        "target",
        "layer",
        "grid",
        "index",
        "label",
        "right",
    }
    assert bare.intervention_rows() == []


def test_faithfulness_has_a_row_an_order_bandwidth_and_picture(whole, explanations):
    rows = whole.faithfulness_rows(explanations)
    counts = {3: 5, 6: 5, 12: 4}  # Grad-CAM's map has 6 cells a side
    assert {width: sum(row["bandwidth"] == width for row in rows) for width in counts} == {
        width: 4 * n for width, n in counts.items()
    }
    assert all(tuple(row) == FAITHFULNESS_COLUMNS for row in rows)
    assert {row["method"] for row in rows} == {*ASKED.methods, "random", "centre"}
    assert faithfulness.FRACTIONS[0] == 0


def test_sanity_has_a_row_a_method_and_draw_and_the_edge_filter_ignores_the_weights(
    whole, explanations
):
    rows = whole.sanity_rows(explanations)
    assert all(tuple(row) == sanity.SANITY_COLUMNS for row in rows)
    assert sorted({(row["method"], row["n"]) for row in rows}) == [
        ("edge", 4),
        *((method, 4) for method in ASKED.methods),
    ]
    assert len(rows) == 5 * 4
    assert [row["correlation"] for row in rows if row["method"] == "edge"] == pytest.approx(
        [1.0] * 5
    )


def test_an_exchange_has_a_row_a_picture_that_has_an_object(whole):
    rows = whole.intervention_rows()
    assert all(tuple(row) == intervention.INTERVENTION_COLUMNS for row in rows)
    assert [
        (row["kind"], row["index"], row["label"], row["other_label"]) for row in rows[:2]
    ] == [
        ("exchange", 10, 0, 1),
        ("exchange", 11, 1, 0),
    ]
    assert len(rows) == 8


def test_a_reversed_sticker_is_asked_about_where_there_is_one():
    pictures = np.zeros((8, 12, 12, 3), np.uint8)
    rows = [
        row
        for row in subject(stickers=pictures).intervention_rows()
        if row["kind"] == "sticker"
    ]
    assert [(row["index"], row["other"]) for row in rows] == [
        (index, index) for index in range(10, 18)
    ]
    assert (
        len({row["after"] for row in rows if row["label"] < 2}) == 1
    )  # every picture is the same black one


def test_what_is_not_asked_for_is_not_done():
    quiet = ASKED.model_copy(
        update={
            "faithfulness": Faithfulness(images=0, bandwidths=(6,)),
            "sanity": Sanity(images=0, draws=5),
            "interventions": False,
        }
    )
    silent = subject(asked=quiet)
    explanations = list(silent.explain())
    assert (
        silent.faithfulness_rows(explanations),
        silent.sanity_rows(explanations),
        silent.intervention_rows(),
    ) == ([], [], [])
    assert all(one.extra_arrays["untrained"].shape[0] == 0 for one in explanations)


def test_a_run_without_a_network_has_every_method_and_no_picture():
    explanations = empty_explanations(ASKED)
    assert [one.method for one in explanations] == list(ASKED.methods)
    assert all(
        len(array) == 0
        for one in explanations
        for name, array in one.arrays().items()
        if name != "layer"
    )


def test_every_class_gives_equally_many_pictures_in_index_order():
    labels = np.random.default_rng(0).integers(8, size=2000)
    index = stratified_indices(labels, 96)
    assert np.bincount(labels[index]).tolist() == [12] * 8
    assert (np.diff(index) > 0).all()


def test_a_smaller_sample_is_contained_in_a_larger_one():
    labels = np.random.default_rng(0).integers(5, size=300)
    assert set(stratified_indices(labels, 33)) < set(stratified_indices(labels, 77))


def test_a_longer_split_explains_the_same_pictures():
    labels = np.arange(2000) % 8
    assert (
        stratified_indices(labels[:400], 96).tolist() == stratified_indices(labels, 96).tolist()
    )


def test_a_class_that_runs_out_leaves_its_turns_to_the_others():
    assert stratified_indices(np.array([0, 0, 0, 0, 1]), 4).tolist() == [0, 1, 2, 4]


def test_a_small_split_is_explained_whole():
    assert stratified_indices(np.array([1, 0, 1]), 96).tolist() == [0, 1, 2]
