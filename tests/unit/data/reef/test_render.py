from dataclasses import replace

import numpy as np
import pytest

from resomap.config.data import Reef
from resomap.data.reef.render import render_scene, render_split
from resomap.data.reef.scenes import CLASSES, PAIRS, STRIPED_GROUPS, draw_chunk, has_bars

SETTINGS = Reef(
    train=64, val=16, test=16, seed=3, frequencies=(10.0, 20.0, 40.0), shortcut=None
)


@pytest.fixture(scope="module")
def images():
    return render_split(SETTINGS, "train", 64, 128)


@pytest.fixture(scope="module")
def small_images():
    return render_split(SETTINGS, "train", 800, 24)


def with_shortcut(probability):
    return SETTINGS.model_copy(update={"shortcut": probability})


def measure_wave(image, cue_mask):
    """Return frequency and orientation at the peak of the spectrum of the striped part."""
    window = cue_mask / 255
    light = image.mean(axis=-1)
    light = (light - np.average(light, weights=window)) * window
    spectrum = np.abs(np.fft.fft2(light, (512, 512)))
    cycles = np.fft.fftfreq(512, 1 / len(light))
    radius = np.hypot(cycles[:, None], cycles[None, :])
    # Below 7 cycles is the shading of the body.
    striped = np.where((radius > 7) & (radius < 50), spectrum, 0)
    fy, fx = np.unravel_index(striped.argmax(), spectrum.shape)
    return radius[fy, fx], np.degrees(np.arctan2(cycles[fy], cycles[fx])) + 90


def angle_between(first, second):
    """Return the angle between two lines, in degrees."""
    return abs((first - second + 90) % 180 - 90)


def test_rendered_arrays_have_one_length(images):
    assert (images.images.shape, images.images.dtype) == ((64, 128, 128, 3), np.uint8)
    for name in ("masks", "cue_masks", "sticker_masks"):
        masks = getattr(images, name)
        assert (masks.shape, masks.dtype) == ((64, 128, 128), np.uint8)
    for name in ("labels", "groups", "frequency", "orientation", "x", "y"):
        assert getattr(images, name).shape == (64,)


def test_splits_hold_different_images():
    train, test = (render_split(SETTINGS, split, 8, 32).images for split in ("train", "test"))
    assert not (train == test).all(axis=(1, 2, 3)).any()


def test_fish_is_never_centred(images):
    distance = np.hypot(images.x - 0.5, images.y - 0.5)
    assert distance.min() >= 0.15
    assert distance.max() <= 0.30


def test_measured_stripes_equal_recorded(images):
    for index in range(32):
        frequency, orientation = measure_wave(images.images[index], images.cue_masks[index])
        assert frequency == pytest.approx(images.frequency[index], rel=0.08)
        assert angle_between(orientation, images.orientation[index]) < 5


def test_horizontal_flip_keeps_direction_of_stripes(images):
    for index in np.flatnonzero(images.labels >= 2):
        _, orientation = measure_wave(
            images.images[index, :, ::-1], images.cue_masks[index, :, ::-1]
        )
        assert angle_between(orientation, -images.orientation[index]) < 5
        assert angle_between(orientation, 90 * has_bars(images.labels[index])) < 13


def test_frequencies_are_within_6_percent_of_group(images):
    for group, frequency in zip(STRIPED_GROUPS, SETTINGS.frequencies, strict=True):
        members = images.frequency[images.groups == group]
        assert np.abs(members / frequency - 1).max() <= 0.06


def test_stripes_of_outline_pair_are_random(small_images):
    vertical = small_images.orientation > 45
    shares = [vertical[small_images.labels == label].mean() for label in (0, 1)]
    assert shares == pytest.approx([0.5, 0.5], abs=0.2)


def test_partners_of_pair_differ_only_in_stripes():
    scene = draw_chunk(SETTINGS, "train", 0)[0]
    wave = replace(scene.fish.wave, orientation=scene.fish.wave.orientation + 90)
    turned = replace(scene, fish=replace(scene.fish, wave=wave))
    (image, *masks), (other, *same) = render_scene(scene, 64), render_scene(turned, 64)
    assert all((first == second).all() for first, second in zip(masks, same, strict=True))
    changed = (image != other).any(axis=-1)
    assert changed[masks[1] > 128].mean() > 0.8
    assert not changed[masks[0] == 0].any()


def test_mean_colour_does_not_distinguish_partners(small_images):
    colours = small_images.images.mean(axis=(1, 2))
    for pair in PAIRS[1:]:
        a, b = (colours[small_images.labels == label] for label in pair)
        error = np.sqrt(a.var(axis=0) / len(a) + b.var(axis=0) / len(b))
        assert (np.abs(a.mean(axis=0) - b.mean(axis=0)) / error).max() < 4


def test_silhouettes_cover_equal_areas(small_images):
    masks, labels = small_images.masks, small_images.labels
    areas = [masks[labels == label].mean() / 255 for label in range(len(CLASSES))]
    assert areas == pytest.approx([np.mean(areas)] * 8, rel=0.1)


def test_cue_is_inside_the_object(images):
    assert (images.cue_masks <= images.masks).all()


def test_reef_without_shortcut_has_no_sticker(images):
    assert images.sticker_masks.max() == 0


def test_sticker_changes_only_its_pixels():
    plain = render_split(SETTINGS, "train", 16, 64)
    marked = render_split(with_shortcut(0.95), "train", 16, 64)
    outside = marked.sticker_masks == 0
    assert (plain.images[outside] == marked.images[outside]).all()
    assert (plain.masks[outside] == marked.masks[outside]).all()
    assert (marked.sticker_masks.max(axis=(1, 2)) == 255).all()


def test_sticker_of_bars_is_redder_than_blue():
    marked = render_split(with_shortcut(1.0), "train", 16, 64)
    for image, mask, label in zip(
        marked.images, marked.sticker_masks, marked.labels, strict=True
    ):
        if label >= 2:
            red, _, blue = image[mask == 255].mean(axis=0)
            assert (red > blue) == has_bars(label)
