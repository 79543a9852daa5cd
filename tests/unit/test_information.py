import numpy as np
import pytest

from resomap.data.store.spectrum import (
    MAX_PER_CLASS,
    contact_sheet,
    cumulative_spectra,
    sample_per_class,
)
from resomap.system.files import write_array


def grating(cycles: float, side: int = 64, standing: bool = True) -> np.ndarray:
    wave = 127.5 + 100 * np.sin(2 * np.pi * cycles * (np.arange(side) + 0.5) / side)
    image = (
        np.broadcast_to(wave, (side, side))
        if standing
        else np.broadcast_to(wave[:, None], (side, side))
    )
    return np.repeat(np.rint(image).astype(np.uint8)[..., None], 3, axis=2)


def shares(folder, images, labels, classes):
    write_array(folder / "native.npy", np.stack(images))
    labels = np.array(labels)
    return cumulative_spectra(
        folder / "native.npy",
        np.arange(len(images)),
        labels,
        np.bincount(labels, minlength=classes),
    )


@pytest.mark.parametrize("standing", [True, False])
@pytest.mark.parametrize("cycles", [4, 10, 25])
def test_the_energy_of_stripes_lies_at_their_frequency(tmp_path, cycles, standing):
    (overall, own) = shares(tmp_path, [grating(cycles, standing=standing)], [0], 1)
    assert (overall == own).all()
    assert own[cycles - 2] < 0.01
    assert own[cycles + 1] > 0.99
    assert own[-1] == 1


def test_white_noise_has_as_much_energy_as_its_square_of_frequencies(tmp_path):
    noise = (
        np.random.default_rng(0).integers(0, 256, (40, 64, 64, 1), np.uint8).repeat(3, axis=3)
    )
    own = shares(tmp_path, list(noise), [0] * 40, 1)[1]
    for cycles in (8, 16, 24):
        assert own[cycles] == pytest.approx(((2 * cycles + 1) / 64) ** 2, rel=0.05)


def test_a_brighter_or_fainter_picture_says_the_same(tmp_path):
    fine = grating(20).astype(np.float64)
    faint = np.rint((fine - 127.5) * 0.5 + 200).clip(0, 255).astype(np.uint8)
    first, second = (
        shares(tmp_path, [image.astype(np.uint8)], [0], 1)[1] for image in (fine, faint)
    )
    assert abs(first - second).max() < 0.01


def test_classes_are_told_apart_and_weigh_by_their_numbers_in_the_whole(tmp_path):
    table = shares(tmp_path, [grating(4), grating(25), grating(25)], [0, 1, 1], 2)
    assert table.shape == (3, 33)
    assert table[1, 10] > 0.99
    assert table[2, 10] < 0.01
    assert table[0, 10] == pytest.approx((table[1, 10] + 2 * table[2, 10]) / 3)


def test_a_class_without_contrast_is_blank_and_does_not_count(tmp_path):
    flat = np.full((64, 64, 3), 90, np.uint8)
    table = shares(tmp_path, [grating(4), flat], [0, 1], 2)
    assert np.isnan(table[2]).all()
    assert (table[0] == table[1]).all()


def test_pictures_without_any_contrast_are_all_blank(tmp_path):
    assert np.isnan(shares(tmp_path, [np.full((64, 64, 3), 90, np.uint8)], [0], 1)).all()


def test_a_sample_takes_some_of_each_class_and_all_of_small_ones():
    labels = np.repeat([0, 1, 2], [1000, 3, 0])
    chosen = sample_per_class(labels, 3)
    assert np.bincount(labels[chosen], minlength=3).tolist() == [MAX_PER_CLASS, 3, 0]
    assert (chosen[[0, MAX_PER_CLASS - 1]] == [0, 999]).all()
    assert len(sample_per_class(np.repeat(np.arange(1000), 50), 1000)) == 4000


def test_a_contact_sheet_shows_up_to_ten_of_each_of_the_first_24_classes(tmp_path):
    labels = np.arange(30).repeat(12)
    write_array(
        tmp_path / "native.npy",
        np.full((len(labels), 16, 16, 3), labels[:, None, None, None], np.uint8),
    )
    sheet = contact_sheet(tmp_path / "native.npy", np.arange(len(labels)), labels)
    assert sheet["images"].shape == (240, 96, 96, 3)
    assert (sheet["label"] == np.arange(24).repeat(10)).all()
    assert (sheet["images"] == sheet["label"][:, None, None, None]).all()
