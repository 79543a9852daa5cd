import numpy as np
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor, nn

from resomap.explain.attribution import ExplainedTargets
from resomap.explain.faithfulness import cover, perturb, rank_cells
from resomap.explain.grids import blur_weights, overlap

FEW = settings(max_examples=25)
levels = st.integers(-3, 3).map(float)
fractions = st.floats(0, 1)
seeds = st.integers(0, 2**16)


class LinearNetwork(nn.Module):
    """A network with one logit that is linear in the pixels, and a second one of 0."""

    def __init__(self, weights: np.ndarray) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.from_numpy(weights).float())

    def forward(self, images: Tensor) -> Tensor:
        logit = (images.mean(dim=1) * self.weights).sum(dim=(1, 2))
        return torch.stack([logit, torch.zeros_like(logit)], dim=1)


def areas(
    weights: np.ndarray,
    images: np.ndarray,
    maps: dict[str, np.ndarray],
    bandwidths: tuple[int, ...],
) -> dict[tuple[str, int], tuple[np.ndarray, np.ndarray]]:
    """Return deletion and insertion areas by method and bandwidth for a linear network."""
    model, inputs = LinearNetwork(weights), torch.from_numpy(images).float()
    classes = np.zeros(len(images), np.int64)
    logits = model(inputs).detach().numpy()
    targets = ExplainedTargets(logits, classes, classes - 1, torch.eye(2)[classes])
    results = perturb(model, inputs, targets, maps, bandwidths, batch_size=4)
    return {(each.method, each.bandwidth): (each.deletion, each.insertion) for each in results}


@given(st.integers(1, 7), st.integers(1, 20), fractions, st.randoms(use_true_random=False))
def test_covered_area_equals_fraction(bandwidth, more, fraction, shuffler):
    ranks = list(range(bandwidth**2))
    shuffler.shuffle(ranks)
    covered = cover(np.array(ranks).reshape(1, bandwidth, bandwidth), fraction)
    pixels = overlap(bandwidth, bandwidth + more)
    np.testing.assert_allclose(covered.mean(), fraction, atol=1e-12)
    np.testing.assert_allclose((pixels @ covered @ pixels.T).mean(), fraction, atol=1e-12)
    assert ((covered > 0) & (covered < 1)).sum() <= 1


@given(st.integers(1, 7), fractions, fractions)
def test_larger_fraction_contains_smaller_one(bandwidth, first, second):
    ranks = np.arange(bandwidth**2).reshape(1, bandwidth, bandwidth)
    small, large = sorted((first, second))
    assert (cover(ranks, small) <= cover(ranks, large)).all()


@given(arrays(np.float32, (2, 6, 6), elements=levels), st.integers(1, 6), st.integers(2, 4))
@example(np.full((2, 6, 6), 0.1, np.float32), 5, 2)
@example(np.tile(np.float32([[0.1, 0.7], [-0.7, -0.1]]), (2, 3, 3)), 4, 3)
def test_finer_copy_has_same_order(maps, bandwidth, factor):
    tie_breakers = np.random.default_rng(0).random((2, bandwidth**2))
    copy = maps.repeat(factor, axis=1).repeat(factor, axis=2)
    expected = rank_cells(maps, bandwidth, tie_breakers)
    np.testing.assert_array_equal(rank_cells(copy, bandwidth, tie_breakers), expected)


@given(
    arrays(np.float32, (1, 5, 5), elements=levels),
    st.sampled_from([0.1, 3.0, 1e-6, 1e6]),
    st.integers(1, 5),
)
def test_order_ignores_scale_of_map(maps, scale, bandwidth):
    tie_breakers = np.random.default_rng(0).random((1, bandwidth**2))
    scaled = rank_cells(maps.astype(float) * scale, bandwidth, tie_breakers)
    np.testing.assert_array_equal(scaled, rank_cells(maps, bandwidth, tie_breakers))


integers = st.integers(-(2**20), 2**20).map(float)


@given(arrays(np.float32, (1, 4, 4), elements=integers, unique=True))
def test_ranks_follow_falling_signed_relevance(maps):
    ranks = rank_cells(maps, 4, np.zeros((1, 16)))
    ordered = maps.ravel()[ranks.ravel().argsort()]
    assert ordered.tolist() == sorted(maps.ravel().tolist(), reverse=True)


@FEW
@given(arrays(np.float32, (1, 6, 6), elements=levels), seeds)
def test_finer_copy_has_same_areas(maps, seed):
    rng, bandwidths = np.random.default_rng(seed), (2, 3, 4, 5, 6)
    images, weights = rng.normal(size=(1, 3, 12, 12)), rng.normal(size=(12, 12))
    copy = maps.repeat(2, axis=1).repeat(2, axis=2)
    results = areas(weights, images, {"map": maps, "copy": copy}, bandwidths)
    for bandwidth in bandwidths:
        np.testing.assert_array_equal(results["copy", bandwidth], results["map", bandwidth])


@FEW
@given(seeds)
def test_loss_by_blur_is_best_order_of_linear_network(seed):
    rng = np.random.default_rng(seed)
    images, weights = rng.normal(size=(2, 3, 8, 8)), rng.normal(size=(8, 8))
    blurred = blur_weights(8) @ images @ blur_weights(8).T
    loss = (images - blurred).mean(axis=1) * weights
    maps = {
        "true": loss,
        "noisy": loss + rng.normal(size=loss.shape),
        "weights": np.broadcast_to(weights, loss.shape),
    }
    results = areas(weights, images, maps, (8,))
    deletion, insertion = results.pop(("true", 8))
    for other_deletion, other_insertion in results.values():
        assert (deletion <= other_deletion + 1e-6).all()
        assert (insertion >= other_insertion - 1e-6).all()


@FEW
@given(arrays(np.float32, (2, 6, 6), elements=st.floats(-1, 1, width=32)), seeds)
def test_areas_are_between_zero_and_one(maps, seed):
    rng = np.random.default_rng(seed)
    images, weights = rng.normal(size=(2, 3, 12, 12)), rng.normal(size=(12, 12))
    for values in areas(weights, images, {"map": maps}, (3, 6)).values():
        assert 0 <= np.min(values) <= np.max(values) <= 1
