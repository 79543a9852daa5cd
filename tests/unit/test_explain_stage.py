import numpy as np
import pytest
import torch
from torch import nn

from resomap.explain.stage import LOCALISATION_COLUMNS, Pictures, explain_run, localisation_rows, unexplained
from resomap.sections import Explainability

torch.set_num_threads(1)
ASKED = Explainability(
    enabled=True,
    methods=("gradcam", "integrated_gradients", "saliency"),
    target="contrast",
    pictures=8,
    layer="auto",
    ig_steps=4,
)


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    blocks = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
    return nn.Sequential(blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4))


@pytest.fixture
def pictures() -> Pictures:
    draw = np.random.default_rng(0)
    return Pictures(
        images=draw.integers(256, size=(20, 12, 12, 3), dtype=np.uint8),
        labels=np.arange(20) % 4,
        masks=draw.integers(256, size=(20, 32, 32), dtype=np.uint8),
        mean=(0.5, 0.4, 0.3),
        std=(0.2, 0.2, 0.2),
        groups=("broad", "broad", "fine", "fine"),
        pairs=[[0, 1], [2, 3]],
    )


def test_every_method_explains_the_same_stratified_pictures(model, pictures):
    explanations = explain_run(model, pictures, ASKED, layer="0")
    assert [(one.method, one.layer, one.attributions.shape) for one in explanations] == [
        ("gradcam", "0", (8, 6, 6)),
        ("integrated_gradients", "input", (8, 12, 12)),
        ("saliency", "input", (8, 12, 12)),
    ]
    for one in explanations:
        np.testing.assert_array_equal(one.index, range(8))
        np.testing.assert_array_equal(one.targets, pictures.labels[:8])


def test_what_is_stored_says_where_it_was_read(model, pictures):
    arrays = explain_run(model, pictures, ASKED, layer="0")[0].arrays()
    assert {name: array.shape for name, array in arrays.items()} == {"attribution": (8, 6, 6), "index": (8,), "target": (8,), "layer": ()}
    assert str(arrays["layer"]) == "0"


def test_localisation_has_one_whole_row_a_picture(model, pictures):
    gradcam = explain_run(model, pictures, ASKED, layer="0")[0]
    rows = localisation_rows(gradcam, pictures)
    assert [row["index"] for row in rows] == list(range(8))
    assert all(tuple(row) == LOCALISATION_COLUMNS for row in rows)
    assert {(row["method"], row["target"], row["layer"], row["grid"]) for row in rows} == {("gradcam", "contrast", "0", 6)}
    assert [row["group"] for row in rows[:4]] == ["broad", "broad", "fine", "fine"]


def test_without_masks_and_groups_the_rows_say_only_what_was_explained(model, pictures):
    bare = Pictures(pictures.images, pictures.labels, None, pictures.mean, pictures.std, None, None)
    row = localisation_rows(explain_run(model, bare, ASKED, layer="0")[2], bare)[5]
    assert row == {"method": "saliency", "target": "contrast", "layer": "input", "grid": 12, "index": 5, "label": 1}


def test_a_run_without_a_network_has_every_method_and_no_picture(pictures):
    explanations = unexplained(ASKED)
    assert [one.method for one in explanations] == list(ASKED.methods)
    assert all(len(array) == 0 for one in explanations for name, array in one.arrays().items() if name != "layer")
    assert all(localisation_rows(one, pictures) == [] for one in explanations)
