import numpy as np
import pytest

from resomap.config import data
from resomap.data.reef import render, scenes
from resomap.data.reef.counterfactual import render_reversed_stickers
from resomap.data.store.prepare import prepare_store
from resomap.data.store.resize import resize_store
from resomap.data.store.store import open_store
from tests.recipes import reef_data

SETTINGS = data.Reef(
    train=8, val=8, test=40, seed=3, frequencies=(4.0, 6.0, 10.0), shortcut=0.6
)
NATIVE = 64
DATA = reef_data(SETTINGS, NATIVE, "lanczos")
INDEX = np.delete(np.arange(40), [1, 6, 17, 24, 35])


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    prepare_store(DATA, folder)
    for resolution in (24, NATIVE):
        resize_store(folder / "manifest.json", resolution, "lanczos")
    return open_store(folder / "manifest.json")


@pytest.fixture(scope="module")
def drawn():
    return render.render_split(SETTINGS, "test", SETTINGS.test, NATIVE)


def agreed(labels: np.ndarray) -> np.ndarray:
    """Which of the first test pictures' stickers say what the label says."""
    drawn = [
        scene for chunk in range(5) for scene in scenes.draw_chunk(SETTINGS, "test", chunk)
    ]
    return np.array(
        [
            scene.sticker.shows_bars == scenes.has_bars(label)
            for scene, label in zip(drawn, labels, strict=True)
        ]
    )


@pytest.mark.parametrize("resolution", [24, NATIVE])
def test_outside_the_sticker_a_picture_is_the_stores(store, drawn, resolution):
    images = render_reversed_stickers(SETTINGS, INDEX, NATIVE, resolution, "lanczos")
    stored = store.images("test", resolution)[INDEX]
    assert (images.shape, images.dtype) == (stored.shape, np.uint8)
    reach = 4  # lanczos reads three pixels of the resized picture
    for image, original, sticker in zip(
        images, stored, drawn.sticker_masks[INDEX], strict=True
    ):
        rows, columns = (
            np.flatnonzero(sticker.any(axis=axis)) * resolution // NATIVE for axis in (1, 0)
        )
        outside = np.ones((resolution, resolution), bool)
        outside[
            max(0, rows[0] - reach) : rows[-1] + reach + 1,
            max(0, columns[0] - reach) : columns[-1] + reach + 1,
        ] = False
        assert outside.mean() > 0.5
        assert (image[outside] == original[outside]).all()


def test_exactly_the_stickers_that_agreed_are_turned(store, drawn):
    changed = (
        render_reversed_stickers(SETTINGS, INDEX, NATIVE, NATIVE, "lanczos")
        != store.images("test", NATIVE)[INDEX]
    ).any(axis=(1, 2, 3))
    striped = drawn.groups[INDEX] != "outline"
    agrees = agreed(drawn.labels)[INDEX]
    assert 0 < agrees[striped].mean() < 1
    assert (changed[striped] == agrees[striped]).all()
    assert changed[~striped].all(), (
        "without stripes a sticker says the opposite of what it said"
    )


def test_of_striped_fish_it_is_the_reef_whose_shortcut_never_agrees(drawn):
    opposite = render.render_split(
        SETTINGS.model_copy(update={"shortcut": 0.0}), "test", SETTINGS.test, NATIVE
    ).images
    striped = INDEX[drawn.groups[INDEX] != "outline"]
    assert (
        render_reversed_stickers(SETTINGS, striped, NATIVE, NATIVE, "lanczos")
        == opposite[striped]
    ).all()
