import copy

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from resomap.analysis.gate import gate
from resomap.explain.attribution import AttributionSettings, attribute, choose_targets
from resomap.explain.sanity import SANITY_COLUMNS, compute_sanity, reinitialise
from resomap.models.custom import SimpleCNN

TOP = ("stages.1", "head")
SIDE = 16


def fresh(seed: int) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return SimpleCNN(2, channels=(8, 16))


@pytest.fixture(scope="module")
def striped() -> tuple[Tensor, np.ndarray]:
    """64 pictures of noise with a striped square at a random place, the stripes standing or lying."""
    generator = torch.Generator().manual_seed(0)
    images, labels = (
        0.3 * torch.randn(64, 3, SIDE, SIDE, generator=generator),
        torch.arange(64) % 2,
    )
    stripes = torch.tensor([1.0, -1.0]).repeat(4).expand(8, 8)
    for image, label in zip(images, labels, strict=True):
        row, column = torch.randint(0, SIDE - 8, (2,), generator=generator)
        image[:, row : row + 8, column : column + 8] += stripes if label else stripes.T
    return images, labels.numpy()


@pytest.fixture(scope="module")
def trained(striped: tuple[Tensor, np.ndarray]) -> nn.Module:
    """A network that tells standing from lying stripes, by plain gradient descent."""
    model, (images, labels) = fresh(99).train(), striped
    for _ in range(40):
        loss = nn.functional.cross_entropy(model(images), torch.from_numpy(labels))
        for weight, gradient in zip(
            model.parameters(), torch.autograd.grad(loss, list(model.parameters())), strict=True
        ):
            weight.data -= 0.1 * gradient
    assert (model.eval()(images).argmax(dim=1).numpy() == labels).mean() > 0.95
    return model


def edges(images: Tensor) -> np.ndarray:
    grey = np.pad(images.mean(dim=1).numpy(), ((0, 0), (1, 1), (1, 1)), mode="edge")
    return np.abs(
        4 * grey[:, 1:-1, 1:-1]
        - grey[:, 2:, 1:-1]
        - grey[:, :-2, 1:-1]
        - grey[:, 1:-1, 2:]
        - grey[:, 1:-1, :-2]
    )


def test_grad_cam_falls_to_its_floor_and_the_edge_filter_is_struck_out(trained, striped):
    images, labels = striped[0][:24], striped[1][:24]
    weights = choose_targets(
        trained, images, labels, target="contrast", pairs=[(0, 1)], batch_size=64
    ).weights

    def explainer(method):
        return lambda model: attribute(
            method,
            model,
            images,
            weights,
            AttributionSettings(model.get_submodule("stages.1"), 4, 2, 64),
        )

    explainers = {
        "gradcam": explainer("gradcam"),
        "saliency": explainer("saliency"),
        "edge": lambda _: edges(images),
    }
    maps = {method: explain(trained) for method, explain in explainers.items()}
    rows = compute_sanity(trained, explainers, maps, fresh, TOP, num_draws=8)
    judged = {
        method: gate(
            np.array([row["correlation"] for row in rows if row["method"] == method]),
            rows[number]["floor"],
        )
        for number, method in enumerate(explainers)
    }
    assert judged["gradcam"].passed
    assert judged["saliency"].passed
    assert judged["gradcam"].retained < 0.25
    assert judged["saliency"].retained < 0.25
    assert not judged["edge"].passed
    assert judged["edge"].retained == pytest.approx(1)


def test_a_row_is_a_draw_and_a_method(trained):
    maps = np.random.default_rng(0).normal(size=(5, 4, 4))
    rows = compute_sanity(
        trained,
        {"a": lambda _: maps, "b": lambda _: -maps},
        {"a": maps, "b": maps},
        fresh,
        TOP,
        num_draws=5,
    )
    assert [tuple(row) for row in rows] == [SANITY_COLUMNS] * 10
    assert [(row["draw"], row["method"]) for row in rows] == [
        (draw, method) for draw in range(5) for method in "ab"
    ]
    assert [row["correlation"] for row in rows] == pytest.approx([1, -1] * 5)


def test_the_floor_is_the_correlation_with_the_maps_of_three_other_pictures(trained):
    maps = np.random.default_rng(0).normal(size=(5, 4, 4))
    expected = [
        stats.spearmanr(maps[one].ravel(), maps[(one - shift) % 5].ravel()).statistic
        for one in range(5)
        for shift in (1, 2, 3)
    ]
    (row,) = compute_sanity(
        trained, {"a": lambda _: maps}, {"a": maps}, fresh, TOP, num_draws=1
    )
    assert row["floor"] == pytest.approx(np.mean(expected))


def test_a_map_that_dies_has_kept_nothing_and_one_that_never_said_anything_is_left_out(trained):
    maps = np.random.default_rng(0).normal(size=(6, 4, 4))
    maps[4:] = 1.5
    half_dead = np.where(np.arange(6)[:, None, None] < 2, 0, maps)
    (row,) = compute_sanity(
        trained, {"a": lambda _: half_dead}, {"a": maps}, fresh, TOP, num_draws=1
    )
    assert (row["n"], row["correlation"]) == (4, pytest.approx(0.5))


@pytest.mark.parametrize(("telling", "n"), [(0, 0), (1, 1)])
def test_where_there_is_nothing_to_compare_nothing_is_known(trained, telling, n):
    maps = np.zeros((3, 4, 4))
    maps[:telling] = np.random.default_rng(0).normal(size=(telling, 4, 4))
    (row,) = compute_sanity(
        trained, {"a": lambda _: maps}, {"a": maps}, fresh, TOP, num_draws=1
    )
    assert row["n"] == n
    assert np.isnan(row["floor"])
    assert not gate(np.array([row["correlation"]] * 5), row["floor"]).passed


def test_only_the_named_modules_are_drawn_anew_and_the_network_stays_as_it_was(trained):
    before, other = copy.deepcopy(trained.state_dict()), fresh(3)
    twin = reinitialise(trained, other, TOP).state_dict()
    assert all(torch.equal(value, before[name]) for name, value in trained.state_dict().items())
    for name, value in twin.items():
        assert torch.equal(
            value, (other.state_dict() if name.startswith(TOP) else before)[name]
        )
    assert not torch.equal(twin["head.weight"], before["head.weight"])
    assert not torch.equal(twin["stages.1.2.running_mean"], before["stages.1.2.running_mean"])


def test_the_gate_passes_what_forgets_and_stops_what_keeps_everything():
    forgets = np.random.default_rng(0).normal(0, 0.1, 8)
    assert gate(forgets, 0.0).passed
    assert gate(np.ones(5), 0.04) == (pytest.approx(1), pytest.approx(1), False)


def test_the_gate_stops_only_what_is_shown_to_keep_more_than_a_tenth():
    assert not gate(np.array([0.3, 0.31, 0.29, 0.3, 0.3]), 0.0).passed
    assert gate(np.array([0.9, -0.4, 0.8, -0.3, 0.5]), 0.0).passed
    assert gate(np.array([0.55, 0.54, 0.56, 0.55, 0.55]), 0.5).passed


def test_the_low_end_is_that_of_the_t_interval():
    draws, floor = np.array([0.2, 0.35, 0.1, 0.28, 0.3, 0.22]), 0.05
    low = (
        stats.ttest_1samp((draws - floor) / (1 - floor), 0, alternative="greater")
        .confidence_interval(0.95)
        .low
    )
    assert gate(draws, floor).retained_low == pytest.approx(low)


def test_a_method_that_says_one_thing_of_all_pictures_does_not_pass():
    judged = gate(np.ones(5), 1.0)
    assert np.isnan(judged.retained)
    assert not judged.passed
