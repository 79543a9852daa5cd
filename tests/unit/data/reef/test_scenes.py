from dataclasses import replace

import numpy as np
import pytest

from resomap.config.data import Reef
from resomap.data.reef.scenes import (
    CLASSES,
    GROUPS,
    PAIRS,
    draw_chunk,
    draw_scene,
    draw_split_labels,
    has_bars,
)

SETTINGS = Reef(
    train=64, val=16, test=16, seed=3, frequencies=(10.0, 20.0, 40.0), shortcut=None
)


def draw_scenes(chunks: int, shortcut: float | None = None):
    settings = SETTINGS.model_copy(update={"shortcut": shortcut})
    return [scene for chunk in range(chunks) for scene in draw_chunk(settings, "train", chunk)]


def test_chunk_holds_each_class_once_shuffled():
    orders = [[scene.label for scene in draw_chunk(SETTINGS, "train", n)] for n in range(8)]
    assert all(sorted(order) == list(range(8)) for order in orders)
    assert len({tuple(order) for order in orders}) == 8


def test_labels_are_drawn_without_scenes():
    assert draw_split_labels(SETTINGS, "train", 19) == [
        scene.label for scene in draw_scenes(3)[:19]
    ]


def test_pairs_share_their_groups():
    groups = [{GROUPS[CLASSES[index]] for index in pair} for pair in PAIRS]
    assert groups == [{"outline"}, {"broad"}, {"medium"}, {"fine"}]


def test_label_changes_only_silhouette_and_stripes():
    bars, stripes = (draw_scene(SETTINGS, np.random.default_rng(5), n) for n in (4, 5))
    wave = bars.fish.wave
    assert abs(wave.orientation - stripes.fish.wave.orientation) == 90
    same_fish = replace(
        stripes.fish, wave=replace(stripes.fish.wave, orientation=wave.orientation)
    )
    assert (bars.fish, bars.discs, bars.water) == (same_fish, stripes.discs, stripes.water)


@pytest.mark.parametrize("probability", [0.0, 0.9, 1.0])
def test_sticker_agrees_with_stripes_at_shortcut_probability(probability):
    agrees = [
        scene.sticker.shows_bars == has_bars(scene.label)
        for scene in draw_scenes(50, probability)
        if scene.label >= 2
    ]
    assert np.mean(agrees) == pytest.approx(probability, abs=0.06)


@pytest.mark.parametrize("label", [0, 1])
def test_sticker_is_random_for_outline_pair(label):
    bars = [scene.sticker.shows_bars for scene in draw_scenes(100, 1.0) if scene.label == label]
    assert np.mean(bars) == pytest.approx(0.5, abs=0.2)
