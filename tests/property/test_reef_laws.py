import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from resomap.config import data
from resomap.data.reef import clutter, render
from resomap.data.reef.shapes import SILHOUETTES

few = settings(max_examples=15, deadline=None)
seeds = st.integers(0, 2**31)
splits = st.sampled_from(["train", "val", "test"])


def settings_of(seed):
    return data.Reef(
        train=8, val=8, test=8, seed=seed, frequencies=(10.0, 20.0, 40.0), shortcut=None
    )


def same(first, second):
    return all((getattr(first, name) == getattr(second, name)).all() for name in vars(first))


@few
@given(seeds, splits)
def test_the_same_seed_draws_the_same_pictures(seed, split):
    assert same(
        render.render_split(settings_of(seed), split, 8, 16),
        render.render_split(settings_of(seed), split, 8, 16),
    )


@few
@given(seeds, splits, st.integers(1, 20), st.integers(1, 12))
def test_a_longer_split_starts_with_the_shorter_one(seed, split, count, more):
    short, long = (
        render.render_split(settings_of(seed), split, n, 16) for n in (count, count + more)
    )
    assert same(
        short, render.ReefImages(**{name: array[:count] for name, array in vars(long).items()})
    )


@few
@given(seeds, splits)
def test_chunks_join_to_the_rendered_split(seed, split):
    parts = list(render.render_chunks(settings_of(seed), split, 20, 16))
    assert [len(part.labels) for part in parts] == [8, 8, 4]
    assert (
        np.concatenate([part.images for part in parts])
        == render.render_split(settings_of(seed), split, 20, 16).images
    ).all()


@few
@given(seeds, st.integers(8, 150))
def test_any_canvas_will_do(seed, canvas):
    pictures = render.render_split(settings_of(seed), "val", 3, canvas)
    assert pictures.images.shape == (3, canvas, canvas, 3)
    assert pictures.masks.max() > 0


@settings(max_examples=6, deadline=None)
@given(seeds, st.sampled_from([48, 64, 128]))
def test_a_scene_is_the_same_on_a_canvas_of_twice_the_side(seed, canvas):
    small, large = (
        render.render_split(settings_of(seed), "val", 4, side) for side in (canvas, 2 * canvas)
    )
    for name, tolerance in {"images": 3.0, "masks": 2.5, "cue_masks": 6.0}.items():
        fine = getattr(large, name).astype(float)
        reduced = (
            fine.reshape(4, canvas, 2, canvas, 2, -1)
            .mean(axis=(2, 4))
            .reshape(getattr(small, name).shape)
        )
        assert np.sqrt(np.mean((reduced - getattr(small, name)) ** 2)) < tolerance
    assert (small.frequency == large.frequency).all()


@few
@given(st.sampled_from(sorted(SILHOUETTES)), st.integers(60, 200))
def test_silhouettes_have_the_area_of_a_unit_disc(name, side):
    axis = (np.arange(side) + 0.5) * (5 / side) - 2.5
    distance = SILHOUETTES[name].distance(axis[None, :], axis[:, None])
    area = np.clip(0.5 - distance * side / 5, 0, 1).mean() * 25
    assert math.isclose(area, math.pi, rel_tol=0.03)


@given(st.sampled_from(sorted(SILHOUETTES)), st.floats(0, 2 * math.pi))
def test_nothing_of_a_silhouette_lies_beyond_its_reach(name, angle):
    silhouette = SILHOUETTES[name]
    # Its reach is counted on points, which miss up to 1.2 % of a pointed tail; windows on a canvas are wider by a shadow, many times that.
    beyond = 1.02 * silhouette.reach * np.array([math.cos(angle), math.sin(angle)])
    assert silhouette.distance(beyond[:1], beyond[1:]) > 0


@few
@given(seeds, st.integers(1, 30), st.integers(8, 130))
def test_doubling_a_spline_grid_is_exact(seed, cells, canvas):
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
