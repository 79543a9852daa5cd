from dataclasses import replace

import numpy as np
import pytest

from resomap.config import data
from resomap.data.reef import render, scenes

SETTINGS = data.Reef(
    train=64, val=16, test=16, seed=3, frequencies=(10.0, 20.0, 40.0), shortcut=None
)


@pytest.fixture(scope="module")
def pictures():
    return render.render_split(SETTINGS, "train", 64, 128)


@pytest.fixture(scope="module")
def many():
    return render.render_split(SETTINGS, "train", 800, 24)


def with_shortcut(probability):
    return SETTINGS.model_copy(update={"shortcut": probability})


def strongest_wave(picture, cue_mask):
    """Frequency and orientation at the peak of the spectrum of the striped part, away from its slow shading."""
    window = cue_mask / 255
    light = picture.mean(axis=-1)
    light = (light - np.average(light, weights=window)) * window
    spectrum = np.abs(np.fft.fft2(light, (512, 512)))
    cycles = np.fft.fftfreq(512, 1 / len(light))
    radius = np.hypot(cycles[:, None], cycles[None, :])
    fy, fx = np.unravel_index(
        np.where((radius > 7) & (radius < 50), spectrum, 0).argmax(), spectrum.shape
    )
    return radius[fy, fx], np.degrees(np.arctan2(cycles[fy], cycles[fx])) + 90


def apart(first, second):
    """Angle between two lines, in degrees."""
    return abs((first - second + 90) % 180 - 90)


def test_pictures_are_described_by_arrays_of_one_length(pictures):
    assert (pictures.images.shape, pictures.images.dtype) == ((64, 128, 128, 3), np.uint8)
    for masks in (pictures.masks, pictures.cue_masks, pictures.sticker_masks):
        assert (masks.shape, masks.dtype) == ((64, 128, 128), np.uint8)
    for fact in (
        pictures.labels,
        pictures.groups,
        pictures.frequency,
        pictures.orientation,
        pictures.x,
        pictures.y,
    ):
        assert fact.shape == (64,)


def test_every_chunk_shows_each_class_once_in_an_order_of_its_own(pictures):
    orders = pictures.labels.reshape(-1, 8)
    assert (np.sort(orders, axis=1) == np.arange(8)).all()
    assert len({tuple(order) for order in orders.tolist()}) == len(orders)


def test_a_pair_shares_its_group_and_nothing_else_does():
    groups = [{scenes.GROUPS[scenes.CLASSES[index]] for index in pair} for pair in scenes.PAIRS]
    assert groups == [{"outline"}, {"broad"}, {"medium"}, {"fine"}]


def test_splits_show_different_pictures():
    train, test = (
        render.render_split(SETTINGS, split, 8, 32).images for split in ("train", "test")
    )
    assert not (train == test).all(axis=(1, 2, 3)).any()


def test_no_fish_is_centred(pictures):
    distance = np.hypot(pictures.x - 0.5, pictures.y - 0.5)
    assert distance.min() >= 0.15
    assert distance.max() <= 0.30


def test_the_stripes_measured_in_the_picture_are_those_recorded(pictures):
    for index in range(32):
        frequency, orientation = strongest_wave(
            pictures.images[index], pictures.cue_masks[index]
        )
        assert frequency == pytest.approx(pictures.frequency[index], rel=0.08)
        assert apart(orientation, pictures.orientation[index]) < 5


def test_a_flip_from_left_to_right_keeps_bars_bars_and_stripes_stripes(pictures):
    for index in np.flatnonzero(pictures.labels >= 2):
        _, orientation = strongest_wave(
            pictures.images[index, :, ::-1], pictures.cue_masks[index, :, ::-1]
        )
        upright = 90 if scenes.CLASSES[pictures.labels[index]].endswith("bars") else 0
        assert apart(orientation, -pictures.orientation[index]) < 5
        assert apart(orientation, upright) < 13


def test_frequencies_are_the_groups_within_six_percent(pictures):
    for group, frequency in zip(scenes.STRIPED_GROUPS, SETTINGS.frequencies, strict=True):
        assert (
            np.abs(pictures.frequency[pictures.groups == group] / frequency - 1).max() <= 0.06
        )


def test_the_stripes_of_the_outline_pair_say_nothing(many):
    stand = many.orientation > 45
    shares = [stand[many.labels == label].mean() for label in (0, 1)]
    assert shares == pytest.approx([0.5, 0.5], abs=0.2)


def test_partners_of_a_pair_differ_in_their_stripes_alone():
    scene = scenes.draw_chunk(SETTINGS, "train", 0)[0]
    turned = replace(
        scene,
        fish=replace(
            scene.fish,
            wave=replace(scene.fish.wave, orientation=scene.fish.wave.orientation + 90),
        ),
    )
    (image, *masks), (other, *same) = (
        render.render_scene(scene, 64),
        render.render_scene(turned, 64),
    )
    assert all((first == second).all() for first, second in zip(masks, same, strict=True))
    changed = (image != other).any(axis=-1)
    assert changed[masks[1] > 128].mean() > 0.8
    assert not changed[masks[0] == 0].any()


def test_the_label_touches_no_draw_but_silhouette_and_stripes():
    bars, stripes = (
        scenes.draw_scene(SETTINGS, np.random.default_rng(5), label) for label in (4, 5)
    )
    assert apart(bars.fish.wave.orientation, stripes.fish.wave.orientation) == 90
    same = replace(
        stripes.fish, wave=replace(stripes.fish.wave, orientation=bars.fish.wave.orientation)
    )
    assert (bars.fish, bars.discs, bars.water) == (same, stripes.discs, stripes.water)


def test_mean_colour_does_not_tell_partners_apart(many):
    colours = many.images.mean(axis=(1, 2))
    for first, second in scenes.PAIRS[1:]:
        a, b = colours[many.labels == first], colours[many.labels == second]
        error = np.sqrt(a.var(axis=0) / len(a) + b.var(axis=0) / len(b))
        assert (np.abs(a.mean(axis=0) - b.mean(axis=0)) / error).max() < 4


def test_every_silhouette_covers_the_same_area(many):
    areas = [many.masks[many.labels == label].mean() / 255 for label in range(8)]
    assert areas == pytest.approx([np.mean(areas)] * 8, rel=0.1)


def test_the_cue_lies_inside_the_object(pictures):
    assert (pictures.cue_masks <= pictures.masks).all()


def test_no_shortcut_shows_no_sticker(pictures):
    assert pictures.sticker_masks.max() == 0


@pytest.mark.parametrize("probability", [0.0, 0.9, 1.0])
def test_a_sticker_agrees_with_the_stripes_as_often_as_asked(probability):
    drawn = [
        scene
        for chunk in range(50)
        for scene in scenes.draw_chunk(with_shortcut(probability), "train", chunk)
    ]
    agrees = [
        scene.sticker.shows_bars == scenes.has_bars(scene.label)
        for scene in drawn
        if scene.label >= 2
    ]
    assert np.mean(agrees) == pytest.approx(probability, abs=0.06)


def test_a_sticker_says_nothing_of_the_outline_pair():
    drawn = [
        scene
        for chunk in range(100)
        for scene in scenes.draw_chunk(with_shortcut(1.0), "train", chunk)
    ]
    for label in (0, 1):
        assert np.mean(
            [scene.sticker.shows_bars for scene in drawn if scene.label == label]
        ) == pytest.approx(0.5, abs=0.2)


def test_a_sticker_changes_nothing_outside_itself():
    plain, marked = (
        render.render_split(SETTINGS, "train", 16, 64),
        render.render_split(with_shortcut(0.95), "train", 16, 64),
    )
    outside = marked.sticker_masks == 0
    assert (plain.images[outside] == marked.images[outside]).all()
    assert (plain.masks[outside] == marked.masks[outside]).all()
    assert (marked.sticker_masks.max(axis=(1, 2)) == 255).all()


def test_the_two_stickers_have_two_colours():
    marked = render.render_split(with_shortcut(1.0), "train", 16, 64)
    inside = marked.sticker_masks == 255
    red = np.array(
        [image[mask][:, 0].mean() for image, mask in zip(marked.images, inside, strict=True)]
    )
    blue = np.array(
        [image[mask][:, 2].mean() for image, mask in zip(marked.images, inside, strict=True)]
    )
    bars = np.array([scenes.has_bars(label) for label in marked.labels])
    told = marked.labels >= 2
    assert ((red > blue) == bars)[told].all()
