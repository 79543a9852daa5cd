import numpy as np
import pytest

from resomap.config.data import Reef
from resomap.data.reef.counterfactual import render_reversed_stickers
from resomap.data.reef.render import render_split
from resomap.data.reef.scenes import draw_chunk, has_bars
from resomap.data.store.prepare import prepare_store
from resomap.data.store.resize import resize_store
from resomap.data.store.store import open_store
from tests.recipes import reef_data

SETTINGS = Reef(train=8, val=8, test=40, seed=3, frequencies=(4.0, 6.0, 10.0), shortcut=0.6)
NATIVE = 64
INDEX = np.delete(np.arange(40), [1, 6, 17, 24, 35])
LANCZOS_REACH = 4  # pixels of the resized image


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    prepare_store(reef_data(SETTINGS, NATIVE, "lanczos"), folder)
    for resolution in (24, NATIVE):
        resize_store(folder / "manifest.json", resolution, "lanczos")
    return open_store(folder / "manifest.json")


@pytest.fixture(scope="module")
def rendered():
    return render_split(SETTINGS, "test", SETTINGS.test, NATIVE)


def sticker_agrees() -> np.ndarray:
    """Return whether the sticker of each test image agrees with its label."""
    scenes = [scene for chunk in range(5) for scene in draw_chunk(SETTINGS, "test", chunk)]
    return np.array([scene.sticker.shows_bars == has_bars(scene.label) for scene in scenes])


@pytest.mark.parametrize("resolution", [24, NATIVE])
def test_pixels_outside_sticker_equal_the_store(store, rendered, resolution):
    images = render_reversed_stickers(SETTINGS, INDEX, NATIVE, resolution, "lanczos")
    stored = store.images("test", resolution)[INDEX]
    assert (images.shape, images.dtype) == (stored.shape, np.uint8)
    for image, original, sticker in zip(
        images, stored, rendered.sticker_masks[INDEX], strict=True
    ):
        slices = []
        for axis in (1, 0):
            covered = np.flatnonzero(sticker.any(axis=axis)) * resolution // NATIVE
            first = max(0, covered[0] - LANCZOS_REACH)
            slices.append(slice(first, covered[-1] + LANCZOS_REACH + 1))
        outside = np.ones((resolution, resolution), bool)
        outside[tuple(slices)] = False
        assert outside.mean() > 0.5
        assert (image[outside] == original[outside]).all()


def test_only_agreeing_stickers_are_reversed(store, rendered):
    images = render_reversed_stickers(SETTINGS, INDEX, NATIVE, NATIVE, "lanczos")
    changed = (images != store.images("test", NATIVE)[INDEX]).any(axis=(1, 2, 3))
    striped = rendered.groups[INDEX] != "outline"
    agrees = sticker_agrees()[INDEX]
    assert 0 < agrees[striped].mean() < 1
    assert (changed[striped] == agrees[striped]).all()
    # Without informative stripes every sticker is swapped.
    assert changed[~striped].all()


def test_reversed_stickers_equal_reef_without_agreement(rendered):
    never_agrees = SETTINGS.model_copy(update={"shortcut": 0.0})
    opposite = render_split(never_agrees, "test", SETTINGS.test, NATIVE).images
    striped = INDEX[rendered.groups[INDEX] != "outline"]
    images = render_reversed_stickers(SETTINGS, striped, NATIVE, NATIVE, "lanczos")
    assert (images == opposite[striped]).all()
