import numpy as np
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor, nn

from resomap.explain.attribution import ExplainedTargets
from resomap.explain.faithfulness import cover, perturb, rank_cells
from resomap.explain.grids import blur_weights, overlap

few = settings(max_examples=25)
whole = st.integers(-3, 3).map(float)
fractions = st.floats(0, 1)


class Linear(nn.Module):
    """One logit, linear in the pixels, against 0."""

    def __init__(self, weights: np.ndarray) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.from_numpy(weights).float())

    def forward(self, images: Tensor) -> Tensor:
        logit = (images.mean(dim=1) * self.weights).sum(dim=(1, 2))
        return torch.stack([logit, torch.zeros_like(logit)], dim=1)


def areas(
    model: nn.Module, images: Tensor, maps: dict[str, np.ndarray], bandwidths: tuple[int, ...]
):
    classes = np.zeros(len(images), np.int64)
    told = ExplainedTargets(
        model(images).detach().numpy(), classes, classes - 1, torch.eye(2)[classes]
    )
    found = perturb(model, images, told, maps, bandwidths, batch_size=4)
    return {(each.method, each.bandwidth): (each.deletion, each.insertion) for each in found}


@given(st.integers(1, 7), st.integers(1, 20), fractions, st.randoms(use_true_random=False))
def test_what_is_blurred_is_exactly_the_fraction_of_the_area(
    bandwidth, more, fraction, shuffler
):
    ranks = list(range(bandwidth**2))
    shuffler.shuffle(ranks)
    covered = cover(np.array(ranks).reshape(1, bandwidth, bandwidth), fraction)
    pixels = overlap(bandwidth, bandwidth + more)
    np.testing.assert_allclose(covered.mean(), fraction, atol=1e-12)
    np.testing.assert_allclose((pixels @ covered @ pixels.T).mean(), fraction, atol=1e-12)
    assert ((covered > 0) & (covered < 1)).sum() <= 1


@given(st.integers(1, 7), fractions, fractions)
def test_a_larger_fraction_contains_a_smaller_one(bandwidth, one, other):
    ranks = np.arange(bandwidth**2).reshape(1, bandwidth, bandwidth)
    assert (cover(ranks, min(one, other)) <= cover(ranks, max(one, other))).all()


@given(arrays(np.float32, (2, 6, 6), elements=whole), st.integers(1, 6), st.integers(2, 4))
@example(np.full((2, 6, 6), 0.1, np.float32), 5, 2)
@example(np.tile(np.float32([[0.1, 0.7], [-0.7, -0.1]]), (2, 3, 3)), 4, 3)
def test_a_map_and_its_exact_finer_copy_have_one_order_at_every_common_bandwidth(
    maps, bandwidth, factor
):
    draws = np.random.default_rng(0).random((2, bandwidth**2))
    copy = maps.repeat(factor, axis=1).repeat(factor, axis=2)
    np.testing.assert_array_equal(
        rank_cells(copy, bandwidth, draws), rank_cells(maps, bandwidth, draws)
    )


@given(
    arrays(np.float32, (1, 5, 5), elements=whole),
    st.sampled_from([0.1, 3.0, 1e-6, 1e6]),
    st.integers(1, 5),
)
def test_the_scale_of_a_map_does_not_matter(maps, scale, bandwidth):
    draws = np.random.default_rng(0).random((1, bandwidth**2))
    np.testing.assert_array_equal(
        rank_cells(maps.astype(float) * scale, bandwidth, draws),
        rank_cells(maps, bandwidth, draws),
    )


@given(
    arrays(np.float32, (1, 4, 4), elements=st.integers(-(2**20), 2**20).map(float), unique=True)
)
def test_cells_are_taken_by_falling_signed_relevance(maps):
    ranks = rank_cells(maps, 4, np.zeros((1, 16)))
    assert maps.ravel()[ranks.ravel().argsort()].tolist() == sorted(
        maps.ravel().tolist(), reverse=True
    )


@few
@given(arrays(np.float32, (1, 6, 6), elements=whole), st.integers(0, 2**16))
def test_a_map_and_its_exact_finer_copy_score_the_same(maps, seed):
    generator = np.random.default_rng(seed)
    images = torch.from_numpy(generator.normal(size=(1, 3, 12, 12))).float()
    copy = maps.repeat(2, axis=1).repeat(2, axis=2)
    found = areas(
        Linear(generator.normal(size=(12, 12))),
        images,
        {"map": maps, "copy": copy},
        (2, 3, 4, 5, 6),
    )
    for bandwidth in (2, 3, 4, 5, 6):
        np.testing.assert_array_equal(found["copy", bandwidth], found["map", bandwidth])


@few
@given(st.integers(0, 2**16))
def test_of_a_linear_network_no_order_beats_what_each_pixel_loses_by_the_blur(seed):
    generator = np.random.default_rng(seed)
    pictures, weights = generator.normal(size=(2, 3, 8, 8)), generator.normal(size=(8, 8))
    loss = (pictures - blur_weights(8) @ pictures @ blur_weights(8).T).mean(axis=1) * weights
    maps = {
        "true": loss,
        "noisy": loss + generator.normal(size=loss.shape),
        "weights": np.broadcast_to(weights, loss.shape),
    }
    found = areas(Linear(weights), torch.from_numpy(pictures).float(), maps, (8,))
    deletion, insertion = found.pop(("true", 8))
    for other_deletion, other_insertion in found.values():
        assert (deletion <= other_deletion + 1e-6).all()
        assert (insertion >= other_insertion - 1e-6).all()


@few
@given(
    arrays(np.float32, (2, 6, 6), elements=st.floats(-1, 1, width=32)), st.integers(0, 2**16)
)
def test_areas_lie_between_0_and_1(maps, seed):
    generator = np.random.default_rng(seed)
    images = torch.from_numpy(generator.normal(size=(2, 3, 12, 12))).float()
    for found in areas(
        Linear(generator.normal(size=(12, 12))), images, {"map": maps}, (3, 6)
    ).values():
        assert 0 <= np.min(found) <= np.max(found) <= 1
