import copy

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from resomap.analysis.sanity_check import check_sanity
from resomap.explain.attribution import AttributionSettings, attribute, choose_targets
from resomap.explain.sanity import SANITY_COLUMNS, compute_sanity, reinitialise
from resomap.models.custom import SimpleCNN

TOP_MODULES = ("stages.1", "head")
SIDE = 16


def build(seed: int) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return SimpleCNN(2, channels=(8, 16))


@pytest.fixture(scope="module")
def striped() -> tuple[Tensor, np.ndarray]:
    """64 noise images with a striped square, the stripes vertical or horizontal."""
    generator = torch.Generator().manual_seed(0)
    images = 0.3 * torch.randn(64, 3, SIDE, SIDE, generator=generator)
    labels = torch.arange(64) % 2
    stripes = torch.tensor([1.0, -1.0]).repeat(4).expand(8, 8)
    for image, label in zip(images, labels, strict=True):
        row, column = torch.randint(0, SIDE - 8, (2,), generator=generator)
        image[:, row : row + 8, column : column + 8] += stripes if label else stripes.T
    return images, labels.numpy()


@pytest.fixture(scope="module")
def trained(striped: tuple[Tensor, np.ndarray]) -> nn.Module:
    """A network that separates the two directions, trained by plain gradient descent."""
    model, (images, labels) = build(99).train(), striped
    for _ in range(40):
        loss = nn.functional.cross_entropy(model(images), torch.from_numpy(labels))
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        for weight, gradient in zip(model.parameters(), gradients, strict=True):
            weight.data -= 0.1 * gradient
    assert (model.eval()(images).argmax(dim=1).numpy() == labels).mean() > 0.95
    return model


@pytest.fixture
def maps() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(6, 4, 4))


def laplacian(images: Tensor) -> np.ndarray:
    grey = np.pad(images.mean(dim=1).numpy(), ((0, 0), (1, 1), (1, 1)), mode="edge")
    inner = 4 * grey[:, 1:-1, 1:-1] - grey[:, 2:, 1:-1] - grey[:, :-2, 1:-1]
    return np.abs(inner - grey[:, 1:-1, 2:] - grey[:, 1:-1, :-2])


def test_edge_filter_fails_and_gradient_methods_pass(trained, striped):
    images, labels = striped[0][:24], striped[1][:24]
    targets = choose_targets(
        trained, images, labels, target="contrast", pairs=[(0, 1)], batch_size=64
    )

    def map_function(method: str):
        return lambda model: attribute(
            method,
            model,
            images,
            targets.weights,
            AttributionSettings(model.get_submodule("stages.1"), 4, 2, 64),
        )

    functions = {method: map_function(method) for method in ("gradcam", "saliency")}
    functions["edge"] = lambda _: laplacian(images)
    trained_maps = {method: compute(trained) for method, compute in functions.items()}
    rows = compute_sanity(trained, functions, trained_maps, build, TOP_MODULES, num_draws=8)
    for method in functions:
        of_method = [row for row in rows if row["method"] == method]
        correlations = np.array([row["correlation"] for row in of_method])
        result = check_sanity(correlations, of_method[0]["floor"])
        if method == "edge":
            assert result.retained == pytest.approx(1)
            assert not result.passed
        else:
            assert result.retained < 0.25
            assert result.passed


def sanity_row(
    model: nn.Module, trained_maps: np.ndarray, new_maps: np.ndarray
) -> dict[str, object]:
    """Return the row of one method and one draw whose maps become `new_maps`."""
    (row,) = compute_sanity(
        model, {"a": lambda _: new_maps}, {"a": trained_maps}, build, TOP_MODULES, num_draws=1
    )
    return row


def test_rows_are_one_per_draw_and_method(trained, maps):
    functions = {"a": lambda _: maps, "b": lambda _: -maps}
    rows = compute_sanity(
        trained, functions, dict.fromkeys("ab", maps), build, TOP_MODULES, num_draws=5
    )
    assert [tuple(row) for row in rows] == [SANITY_COLUMNS] * 10
    keys = [(draw, method) for draw in range(5) for method in "ab"]
    assert [(row["draw"], row["method"]) for row in rows] == keys
    assert [row["correlation"] for row in rows] == pytest.approx([1, -1] * 5)


def test_floor_is_correlation_with_three_other_images(trained, maps):
    maps = maps[:5]
    expected = []
    for image in range(5):
        for shift in (1, 2, 3):
            other = maps[(image - shift) % 5]
            expected.append(stats.spearmanr(maps[image].ravel(), other.ravel()).statistic)
    assert sanity_row(trained, maps, maps)["floor"] == pytest.approx(np.mean(expected))


def test_constant_maps_count_zero_or_are_excluded(trained, maps):
    maps[4:] = 1.5
    half_constant = np.where(np.arange(6)[:, None, None] < 2, 0, maps)
    row = sanity_row(trained, maps, half_constant)
    assert (row["n"], row["correlation"]) == (4, pytest.approx(0.5))


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_varied_maps_give_nan_floor(trained, maps, n):
    maps[n:] = 0
    row = sanity_row(trained, maps, maps)
    assert row["n"] == n
    assert np.isnan(row["floor"])
    assert not check_sanity(np.array([row["correlation"]] * 5), row["floor"]).passed


def test_reinitialise_changes_only_named_modules(trained):
    before, untrained = copy.deepcopy(trained.state_dict()), build(3)
    new = reinitialise(trained, untrained, TOP_MODULES).state_dict()
    assert all(torch.equal(value, before[name]) for name, value in trained.state_dict().items())
    for name, value in new.items():
        source = untrained.state_dict() if name.startswith(TOP_MODULES) else before
        assert torch.equal(value, source[name])
    for name in ("head.weight", "stages.1.2.running_mean"):
        assert not torch.equal(new[name], before[name])
