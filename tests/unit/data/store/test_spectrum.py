import numpy as np
import pytest

from resomap.data.store.spectrum import (
    MAX_PER_CLASS,
    contact_sheet,
    cumulative_spectra,
    sample_per_class,
)
from resomap.system.files import write_array

FLAT = np.full((64, 64, 3), 90, np.uint8)


def grating(cycles: float, vertical: bool = True) -> np.ndarray:
    wave = 127.5 + 100 * np.sin(2 * np.pi * cycles * (np.arange(64) + 0.5) / 64)
    image = np.broadcast_to(wave if vertical else wave[:, None], (64, 64))
    return np.repeat(np.rint(image).astype(np.uint8)[..., None], 3, axis=2)


@pytest.fixture
def spectra(tmp_path):
    """Compute the spectra of images with labels."""

    def compute(images, labels, num_classes=1):
        native = tmp_path / "native.npy"
        write_array(native, np.stack(images))
        counts = np.bincount(labels, minlength=num_classes)
        return cumulative_spectra(native, np.arange(len(images)), np.array(labels), counts)

    return compute


@pytest.mark.parametrize("vertical", [True, False])
@pytest.mark.parametrize("cycles", [4, 10, 25])
def test_energy_of_stripes_is_at_their_frequency(spectra, cycles, vertical):
    overall, share = spectra([grating(cycles, vertical)], [0])
    assert (overall == share).all()
    assert share[cycles - 2] < 0.01
    assert share[cycles + 1] > 0.99
    assert share[-1] == 1


def test_energy_of_white_noise_grows_with_square_of_frequency(spectra):
    noise = np.random.default_rng(0).integers(0, 256, (40, 64, 64, 1), np.uint8)
    share = spectra(list(noise.repeat(3, axis=3)), [0] * 40)[1]
    for cycles in (8, 16, 24):
        assert share[cycles] == pytest.approx(((2 * cycles + 1) / 64) ** 2, rel=0.05)


def test_brightness_and_contrast_keep_the_spectrum(spectra):
    fine = grating(20)
    faint = np.rint((fine - 127.5) * 0.5 + 200).clip(0, 255).astype(np.uint8)
    assert abs(spectra([fine], [0])[1] - spectra([faint], [0])[1]).max() < 0.01


def test_overall_spectrum_weights_classes_by_their_counts(spectra):
    table = spectra([grating(4), grating(25), grating(25)], [0, 1, 1], 2)
    assert table.shape == (3, 33)
    assert table[1, 10] > 0.99
    assert table[2, 10] < 0.01
    assert table[0, 10] == pytest.approx((table[1, 10] + 2 * table[2, 10]) / 3)


def test_class_without_contrast_is_nan_and_not_counted(spectra):
    table = spectra([grating(4), FLAT], [0, 1], 2)
    assert np.isnan(table[2]).all()
    assert (table[0] == table[1]).all()
    assert np.isnan(spectra([FLAT], [0])).all()


def test_sample_takes_part_of_large_and_all_of_small_classes():
    labels = np.repeat([0, 1, 2], [1000, 3, 0])
    sampled = sample_per_class(labels, 3)
    assert np.bincount(labels[sampled], minlength=3).tolist() == [MAX_PER_CLASS, 3, 0]
    assert (sampled[[0, MAX_PER_CLASS - 1]] == [0, 999]).all()
    assert len(sample_per_class(np.repeat(np.arange(1000), 50), 1000)) == 4000


def test_contact_sheet_shows_ten_of_each_of_24_classes(tmp_path):
    labels = np.arange(30).repeat(12)
    images = np.full((len(labels), 16, 16, 3), labels[:, None, None, None], np.uint8)
    write_array(tmp_path / "native.npy", images)
    sheet = contact_sheet(tmp_path / "native.npy", np.arange(len(labels)), labels)
    assert sheet["images"].shape == (240, 96, 96, 3)
    assert (sheet["label"] == np.arange(24).repeat(10)).all()
    assert (sheet["images"] == sheet["label"][:, None, None, None]).all()
