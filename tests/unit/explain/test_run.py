import numpy as np
import pytest
import torch
from torch import nn

from resomap.config.schema import Explainability, Faithfulness, Sanity
from resomap.explain.intervention import INTERVENTION_COLUMNS
from resomap.explain.run import (
    FAITHFULNESS_COLUMNS,
    LOCALISATION_COLUMNS,
    ExplainedImages,
    ExplainedNetwork,
    ExplainedRun,
    Explanation,
    empty_explanations,
    stratified_indices,
)
from resomap.explain.sanity import SANITY_COLUMNS

torch.set_num_threads(1)
CONFIG = Explainability(
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


def build(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    first = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU())
    second = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU())
    return nn.Sequential(first, second, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4))


def make_run(config: Explainability = CONFIG, **changes: object) -> ExplainedRun:
    """Return an untrained network with 8 random images of 12 px."""
    rng = np.random.default_rng(0)
    images = {
        "index": np.arange(10, 18),
        "pixels": rng.integers(256, size=(8, 12, 12, 3), dtype=np.uint8),
        "labels": np.arange(8) % 4,
        "masks": rng.integers(256, size=(8, 32, 32), dtype=np.uint8),
        "stickers": None,
        "mean": (0.5, 0.4, 0.3),
        "std": (0.2, 0.2, 0.2),
        "groups": ("broad", "broad", "fine", "fine"),
        "pairs": [[0, 1], [2, 3]],
    }
    network = ExplainedNetwork(build(7), 0, "1", "0", ("1", "4"), build)
    return ExplainedRun(network, ExplainedImages(**{**images, **changes}), config)


@pytest.fixture(scope="module")
def run() -> ExplainedRun:
    return make_run()


@pytest.fixture(scope="module")
def explanations(run) -> list[Explanation]:
    return list(run.explain())


def test_every_method_explains_the_same_images(explanations):
    assert [(each.method, each.layer, each.attributions.shape) for each in explanations] == [
        ("gradcam", "1", (8, 6, 6)),
        ("integrated_gradients", "input", (8, 12, 12)),
        ("saliency", "input", (8, 12, 12)),
    ]
    for each in explanations:
        np.testing.assert_array_equal(each.index, range(10, 18))
        np.testing.assert_array_equal(each.targets, np.arange(8) % 4)


def test_stored_arrays_name_the_layers(explanations):
    arrays = {each.method: each.arrays() for each in explanations}
    assert {name: array.shape for name, array in arrays["gradcam"].items()} == {
        "attribution": (8, 6, 6),
        "index": (8,),
        "target": (8,),
        "layer": (),
        "fixed_attribution": (8, 12, 12),
        "fixed_layer": (),
        "untrained": (4, 12, 12),
    }
    assert arrays["gradcam"]["layer"] == "1"
    assert arrays["gradcam"]["fixed_layer"] == "0"
    assert set(arrays["saliency"]) == {"attribution", "index", "target", "layer", "untrained"}
    assert arrays["integrated_gradients"]["completeness_error"].shape == (8,)


def test_untrained_maps_differ(explanations):
    for each in explanations[1:]:
        assert not np.allclose(each.extra_arrays["untrained"], each.attributions[:4])


def test_localisation_rows_end_with_baselines(run, explanations):
    rows = run.localisation_rows(explanations)
    methods = [*CONFIG.methods, "random", "edge", "centre"]
    assert [row["method"] for row in rows[::8]] == methods
    assert [row["index"] for row in rows[:8]] == list(range(10, 18))
    keys = {(row["target"], row["layer"], row["grid"]) for row in rows[:8]}
    assert keys == {("contrast", "1", 6)}
    assert {row["layer"] for row in rows[24:]} == {"picture"}
    assert [row["group"] for row in rows[:4]] == ["broad", "broad", "fine", "fine"]
    for row in rows[:8]:
        assert set(row) == set(LOCALISATION_COLUMNS) - {"completeness_error"}
    assert all(set(row) == set(LOCALISATION_COLUMNS) for row in rows[8:16])


def test_localisation_compares_logits_inside_pair(run, explanations):
    logits, labels = run.targets.logits, run.images.labels
    partner = np.array([1, 0, 3, 2])[labels]
    right = logits[np.arange(8), labels] > logits[np.arange(8), partner]
    rows = run.localisation_rows(explanations)[:8]
    assert [row["right"] for row in rows] == right.astype(int).tolist()


def test_without_masks_measures_are_missing():
    run = make_run(masks=None, groups=None, pairs=None)
    row = run.localisation_rows(list(run.explain()))[5]
    present = {name for name, value in row.items() if value is not None}
    assert present == {"method", "target", "layer", "grid", "index", "label", "right"}
    assert run.intervention_rows() == []


def test_faithfulness_rows_cover_orders_and_bandwidths(run, explanations):
    rows = run.faithfulness_rows(explanations)
    counts = {width: sum(row["bandwidth"] == width for row in rows) for width in (3, 6, 12)}
    # Five orders of four images; the maps of Grad-CAM have only 6 cells a side.
    assert counts == {3: 20, 6: 20, 12: 16}
    assert all(tuple(row) == FAITHFULNESS_COLUMNS for row in rows)
    assert {row["method"] for row in rows} == {*CONFIG.methods, "random", "centre"}


def test_sanity_rows_include_edge_baseline(run, explanations):
    rows = run.sanity_rows(explanations)
    assert all(tuple(row) == SANITY_COLUMNS for row in rows)
    assert len(rows) == 5 * 4
    methods = {"edge", *CONFIG.methods}
    assert {(row["method"], row["n"]) for row in rows} == {(method, 4) for method in methods}
    edge = [row["correlation"] for row in rows if row["method"] == "edge"]
    assert edge == pytest.approx([1.0] * 5)


def test_exchange_has_one_row_per_image(run):
    rows = run.intervention_rows()
    assert all(tuple(row) == INTERVENTION_COLUMNS for row in rows)
    keys = [(row["kind"], row["index"], row["label"], row["other_label"]) for row in rows]
    assert keys[:2] == [("exchange", 10, 0, 1), ("exchange", 11, 1, 0)]
    assert len(rows) == 8


def test_reversed_stickers_are_predicted():
    black = np.zeros((8, 12, 12, 3), np.uint8)
    rows = make_run(stickers=black).intervention_rows()
    rows = [row for row in rows if row["kind"] == "sticker"]
    assert [row["index"] for row in rows] == list(range(10, 18))
    assert [row["other"] for row in rows] == list(range(10, 18))
    # All images are equal, so all predictions inside a pair are.
    assert len({row["after"] for row in rows if row["label"] < 2}) == 1


def test_disabled_parts_are_skipped():
    changes = {
        "faithfulness": Faithfulness(images=0, bandwidths=(6,)),
        "sanity": Sanity(images=0, draws=5),
        "interventions": False,
    }
    run = make_run(CONFIG.model_copy(update=changes))
    explanations = list(run.explain())
    assert run.faithfulness_rows(explanations) == []
    assert run.sanity_rows(explanations) == []
    assert run.intervention_rows() == []
    assert all(len(each.extra_arrays["untrained"]) == 0 for each in explanations)


def test_empty_explanations_name_every_method():
    explanations = empty_explanations(CONFIG)
    assert [each.method for each in explanations] == list(CONFIG.methods)
    for each in explanations:
        arrays = each.arrays()
        del arrays["layer"]
        assert all(len(array) == 0 for array in arrays.values())


# Stratified sample


def test_sample_is_balanced_and_ascending():
    labels = np.random.default_rng(0).integers(8, size=2000)
    index = stratified_indices(labels, 96)
    assert np.bincount(labels[index]).tolist() == [12] * 8
    assert (np.diff(index) > 0).all()


def test_small_sample_is_subset_of_large_one():
    labels = np.random.default_rng(0).integers(5, size=300)
    assert set(stratified_indices(labels, 33)) < set(stratified_indices(labels, 77))


def test_longer_split_keeps_sample():
    labels = np.arange(2000) % 8
    short, long = (stratified_indices(each, 96) for each in (labels[:400], labels))
    assert short.tolist() == long.tolist()


@pytest.mark.parametrize(
    ("labels", "count", "expected"),
    [
        pytest.param([0, 0, 0, 0, 1], 4, [0, 1, 2, 4], id="exhausted_class"),
        pytest.param([1, 0, 1], 96, [0, 1, 2], id="small_split"),
    ],
)
def test_sample_of_few_images(labels, count, expected):
    assert stratified_indices(np.array(labels), count).tolist() == expected
