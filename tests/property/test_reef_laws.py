import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from resomap.config.data import Reef
from resomap.data.reef import clutter
from resomap.data.reef.render import ReefImages, render_chunks, render_split
from resomap.data.reef.shapes import SILHOUETTES

few = settings(max_examples=15, deadline=None)
seeds = st.integers(0, 2**31)
splits = st.sampled_from(["train", "val", "test"])
silhouettes = st.sampled_from(sorted(SILHOUETTES))


def reef(seed: int) -> Reef:
    frequencies = (10.0, 20.0, 40.0)
    return Reef(train=8, val=8, test=8, seed=seed, frequencies=frequencies, shortcut=None)


def assert_equal_images(first: ReefImages, second: ReefImages) -> None:
    for name, values in vars(first).items():
        assert (values == getattr(second, name)).all(), name


@few
@given(seeds, splits)
def test_same_seed_renders_same_images(seed, split):
    first, second = (render_split(reef(seed), split, 8, 16) for _ in range(2))
    assert_equal_images(first, second)


@few
@given(seeds, splits, st.integers(1, 20), st.integers(1, 12))
def test_longer_split_starts_with_the_shorter(seed, split, count, more):
    short, long = (render_split(reef(seed), split, n, 16) for n in (count, count + more))
    beginning = {name: values[:count] for name, values in vars(long).items()}
    assert_equal_images(short, ReefImages(**beginning))


@few
@given(seeds, splits)
def test_chunks_join_to_rendered_split(seed, split):
    chunks = list(render_chunks(reef(seed), split, 20, 16))
    assert [len(chunk.labels) for chunk in chunks] == [8, 8, 4]
    joined = np.concatenate([chunk.images for chunk in chunks])
    assert (joined == render_split(reef(seed), split, 20, 16).images).all()


@few
@given(seeds, st.integers(8, 150))
def test_any_canvas_is_rendered(seed, canvas):
    rendered = render_split(reef(seed), "val", 3, canvas)
    assert rendered.images.shape == (3, canvas, canvas, 3)
    assert rendered.masks.max() > 0


@settings(max_examples=6, deadline=None)
@given(seeds, st.sampled_from([48, 64, 128]))
def test_canvas_of_twice_the_side_shows_same_scene(seed, canvas):
    small, large = (render_split(reef(seed), "val", 4, side) for side in (canvas, 2 * canvas))
    for name, tolerance in {"images": 3.0, "masks": 2.5, "cue_masks": 6.0}.items():
        coarse, fine = getattr(small, name), getattr(large, name).astype(float)
        reduced = fine.reshape(4, canvas, 2, canvas, 2, -1).mean(axis=(2, 4))
        assert np.sqrt(np.mean((reduced.reshape(coarse.shape) - coarse) ** 2)) < tolerance
    assert (small.frequency == large.frequency).all()


@few
@given(silhouettes, st.integers(60, 200))
def test_silhouettes_have_area_of_unit_disc(name, side):
    axis = (np.arange(side) + 0.5) * (5 / side) - 2.5
    distance = SILHOUETTES[name].distance(axis[None, :], axis[:, None])
    area = np.clip(0.5 - distance * side / 5, 0, 1).mean() * 25
    assert math.isclose(area, math.pi, rel_tol=0.03)


@given(silhouettes, st.floats(0, 2 * math.pi))
def test_silhouette_ends_within_its_reach(name, angle):
    silhouette = SILHOUETTES[name]
    # The reach is counted on points, which miss up to 1.2 % of a pointed tail. The window of a
    # fish is wider by its shadow, many times that.
    beyond = 1.02 * silhouette.reach * np.array([math.cos(angle), math.sin(angle)])
    assert silhouette.distance(beyond[:1], beyond[1:]) > 0


@few
@given(seeds, st.integers(1, 30), st.integers(8, 130))
def test_doubled_spline_grid_is_same_surface(seed, cells, canvas):
    points = clutter.draw_points(np.random.default_rng(seed), 2, cells)
    doubled = clutter.double(clutter.double(points))
    np.testing.assert_allclose(
        clutter.evaluate(doubled, canvas), clutter.evaluate(points, canvas), atol=1e-5
    )


@few
@given(st.integers(1, 130), st.integers(1, 300))
def test_spline_weights_sum_to_one(cells, canvas):
    first, basis = clutter.spline_basis(cells, canvas)
    np.testing.assert_allclose(basis.sum(axis=0), 1, atol=1e-6)
    assert first.min() >= 0
    assert first.max() + 3 < cells + 3
