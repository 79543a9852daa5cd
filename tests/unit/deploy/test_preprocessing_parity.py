import numpy as np
import pytest
from PIL import Image

from resomap.deploy.alternatives import (
    DECODERS,
    NORMALISATIONS,
    RESIZE_METHODS,
    decode_jpegs,
    encode_jpegs,
    missing_libraries,
    normalise_by,
    resize_methods,
    shift_images,
)
from resomap.deploy.preprocessing import describe_preprocessing
from resomap.deploy.preprocessing_parity import (
    CHUNK,
    REFERENCE,
    Reference,
    apply_alternative,
    exceeding,
    list_alternatives,
    measure_preprocessing,
    name_preprocessing,
)

NATIVE, CLASSES, TRIALS = 64, 4, 20
STATISTICS = {"mean": (0.41, 0.37, 0.52), "std": (0.21, 0.24, 0.19)}
SIDES = (16, 24, 33, 48)


def describe(side=24, **changes):
    values = {"native_resolution": NATIVE, "resolution": side, "aspect": "squash"}
    return describe_preprocessing(**{**values, "filter": "bilinear", **STATISTICS, **changes})


def scenes(seed, count=6, native=NATIVE):
    """Return smooth colours with fine stripes on them, as photographs have coarse and fine parts."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 200, (count, 8, 8, 3), np.uint8)
    images = [np.asarray(Image.fromarray(each).resize((native, native))) for each in coarse]
    phase = generator.uniform(0, 6, (count, 1, 1, 1)) + np.arange(native)[None, None, :, None]
    stripes = 27 * (1 + np.sin(phase * generator.uniform(1.2, 2.8, (count, 1, 1, 3))))
    return (np.stack(images) + stripes).astype(np.uint8)


def linear_network(seed, side):
    generator = np.random.default_rng(seed)
    weights = generator.normal(size=(3 * side * side, CLASSES)).astype(np.float32)
    return lambda batch: batch.reshape(len(batch), -1) @ weights


def usable(alternative):
    return not missing_libraries(alternative.needs)


def test_self_comparison_flips_exactly_nothing():
    images, described = scenes(0, 130), describe()
    networks = [linear_network(seed, 24) for seed in (0, 1)]
    labels = np.arange(130) % CLASSES
    results = measure_preprocessing(images, labels, described, networks, 0.95)
    own = results[0]
    assert (own.name, own.kind, own.flips, own.max_logit_difference) == (
        *(REFERENCE, "reference"),
        *(0, 0),
    )
    assert own.lost.mean == 0
    assert own.lost.low < 0 < own.lost.high
    assert (own.seeds, own.images) == (2, 130)
    assert CHUNK < 130 < 3 * CHUNK
    assert len({each.name for each in results}) == len(results) == 30


def test_flips_and_lost_points_are_those_counted_by_hand():
    images, described = scenes(1, 100), describe(16)
    network = linear_network(3, 16)
    labels = network(described.normalise(described.resize(images))).argmax(axis=1)
    labels[:10] = (labels[:10] + 1) % CLASSES
    results = measure_preprocessing(images, labels, described, [network], 0.9)
    for result in results:
        if result.name != "BGR for RGB":
            continue
        swapped = described.normalise(described.resize(images)[..., ::-1])
        answers = network(swapped).argmax(axis=1)
        expected = network(described.normalise(described.resize(images))).argmax(axis=1)
        assert result.flips == (answers != expected).mean() > 0.2
        assert result.lost.mean == pytest.approx(0.9 - (answers == labels).mean())
        assert result.lost.low < result.lost.mean < result.lost.high
        row = result.as_row()
        assert (row["lost"], row["resolution"], row["images"]) == (result.lost.mean, 16, 100)
        break
    else:
        pytest.fail("BGR was not compared")


def test_answers_that_are_no_numbers_count_as_changed():
    images = np.zeros((4, 8, 8, 3), np.uint8)
    results = measure_preprocessing(
        images,
        np.zeros(4, int),
        describe(),
        [lambda batch: np.full((len(batch), 3), np.nan, np.float32)],
        0.9,
    )
    assert {each.flips for each in results if each.skipped is None} == {1.0}


def test_alternative_whose_library_is_missing_is_listed_with_the_reason(monkeypatch):
    monkeypatch.setattr(
        "resomap.deploy.preprocessing_parity.missing_libraries",
        lambda needs: [name for name in needs if name == "cv2"],
    )
    alternatives = [each for each in list_alternatives(describe()) if "onnx" not in each.needs]
    monkeypatch.setattr(
        "resomap.deploy.preprocessing_parity.list_alternatives", lambda _: alternatives
    )
    results = measure_preprocessing(
        scenes(2), np.zeros(6, int), describe(), [linear_network(0, 24)], 0.95
    )
    skipped = {each.name for each in results if each.skipped == "cv2 not installed"}
    assert skipped == {each.name for each in alternatives if "OpenCV" in each.name}
    assert all(each.lost is not None for each in results if not each.skipped)


def test_threshold_holds_for_what_means_the_same_or_is_named():
    images, labels = scenes(3, 80), np.zeros(80, int)
    results = measure_preprocessing(images, labels, describe(), [linear_network(0, 24)], 0.95)
    assert {each.kind for each in exceeding(results, -1.0)} == {
        *("reference", "same filter", "decoder"),
    }
    assert [each.name for each in exceeding(results, 0.2, ["BGR for RGB"])] == ["BGR for RGB"]
    assert exceeding(results, 1.0, ["BGR for RGB"]) == []


def test_decoders_of_jpeg_files_agree_within_two_levels():
    images = scenes(4)
    encoded = encode_jpegs(images)
    first = decode_jpegs(encoded, "JPEG by Pillow").astype(int)
    assert np.abs(first - images).mean() < 16
    for name, (_, needs) in DECODERS.items():
        if not missing_libraries(needs):
            assert np.abs(decode_jpegs(encoded, name) - first).max() <= 2, name


@pytest.mark.parametrize("side", [16, 24, 48])
def test_every_resize_of_a_flat_image_keeps_its_colour(side):
    flat = np.full((2, NATIVE, NATIVE, 3), (10, 120, 250), np.uint8)
    for name, method in resize_methods("bicubic").items():
        if not missing_libraries(method.needs):
            resized = method.apply(flat, side)
            assert resized.shape == (2, side, side, 3), name
            np.testing.assert_allclose(resized, flat[:, :side, :side], atol=0.01, err_msg=name)


def test_shift_by_a_whole_pixel_moves_the_columns():
    images = scenes(5)
    shifted = shift_images(images, NATIVE, "bilinear", 1)
    assert np.array_equal(shifted[:, :-1, :-1], images[:, 1:, 1:])


def test_no_antialias_is_no_fault_where_images_are_enlarged():
    kinds = {each.name: each.kind for each in list_alternatives(describe(96))}
    assert kinds["torch bilinear"] == "same filter"
    kinds = {each.name: each.kind for each in list_alternatives(describe(24))}
    assert kinds["torch bilinear"] == "no antialias"
    assert "normalisation ImageNet" in kinds
    own = dict(zip(("mean", "std"), NORMALISATIONS["ImageNet"], strict=True))
    names = [each.name for each in list_alternatives(describe(**own))]
    assert "normalisation ImageNet" not in names


def plant(fault, seed):
    """Return what `name_preprocessing` finds in input with a fault, at another size each time."""
    side, filter = SIDES[seed % 4], ("bilinear", "bicubic", "lanczos", "box")[seed // 4 % 4]
    described = describe(side, filter=filter)
    images = scenes([seed, 7])
    return name_preprocessing(fault(images, described), Reference(images, described))


def reference_input(images, described):
    return described.normalise(described.resize(images))


@pytest.mark.parametrize("seed", range(TRIALS))
def test_training_path_is_named_as_itself(seed):
    found = plant(reference_input, seed)
    assert (found.kinds, found.distance, found.matches) == ((), 0.0, True)


@pytest.mark.parametrize("seed", range(TRIALS))
def test_missing_normalisation_is_named(seed):
    found = plant(lambda images, own: own.resize(images).transpose(0, 3, 1, 2) * 1.0, seed)
    assert (found.kinds, found.normalisation) == (("normalisation",), "none (0 to 255)")
    assert found.known
    assert not found.matches


@pytest.mark.parametrize("seed", range(TRIALS))
def test_bgr_for_rgb_is_named(seed):
    found = plant(lambda images, own: own.normalise(own.resize(images)[..., ::-1]), seed)
    assert (found.kinds, found.colours, found.matches) == (("colour order",), "BGR", False)


@pytest.mark.parametrize("seed", range(TRIALS))
def test_half_pixel_shift_is_named(seed):
    pixels = 0.5 if seed % 2 else None

    def shift(images, own):
        offset = pixels or NATIVE / own.resolution / 2
        return own.normalise(shift_images(images, own.resolution, own.filter, offset))

    found = plant(shift, seed)
    assert found.kinds == ("half-pixel shift",)
    assert not found.matches


@pytest.mark.parametrize("seed", range(TRIALS))
def test_missing_antialias_is_named(seed):
    # By a formula of its own: bilinear between the four nearest pixels.
    def sample(images, own):
        centres = (np.arange(own.resolution) + 0.5) * NATIVE / own.resolution - 0.5
        low = np.floor(centres).astype(int).clip(0, NATIVE - 2)
        part = (centres - low)[:, None]
        rows = images[:, low] * (1 - part[:, None]) + images[:, low + 1] * part[:, None]
        pixels = rows[:, :, low] * (1 - part) + rows[:, :, low + 1] * part
        return normalise_by(pixels, own.mean, own.std)

    found = plant(sample, seed)
    assert found.kinds == ("no antialias",)
    assert "torch bilinear" in (found.resize, *found.also)
    assert not found.matches


@pytest.mark.parametrize("seed", range(TRIALS))
def test_several_faults_at_once_are_all_named(seed):
    def careless(images, own):
        area = RESIZE_METHODS["OpenCV linear"].apply(images, own.resolution)
        return normalise_by(area[..., ::-1], *NORMALISATIONS["0 to 1"])

    found = plant(careless, seed)
    assert found.kinds == ("no antialias", "colour order", "normalisation")
    assert (found.colours, found.normalisation) == ("BGR", "0 to 1")
    assert "OpenCV linear" in (found.resize, *found.also)


def test_unknown_preprocessing_is_called_unknown():
    images, described = scenes(9), describe()
    rotated = reference_input(images, described)[:, :, ::-1]
    found = name_preprocessing(rotated, Reference(images, described))
    assert not found.known
    assert found.distance > 0.2
    assert str(found).startswith("unknown")
    with pytest.raises(ValueError, match="shape"):
        name_preprocessing(rotated[..., :5], Reference(images, described))


def test_alternative_starts_from_a_jpeg_where_it_is_about_decoding():
    images, described = scenes(10), describe()
    alternatives = {each.name: each for each in list_alternatives(described)}
    compressed = apply_alternative(alternatives["JPEG by Pillow"], images, described)
    assert 0 < np.abs(compressed - reference_input(images, described)).mean() < 0.3
    assert alternatives["JPEG by Pillow"].baseline == REFERENCE
    assert alternatives["JPEG by OpenCV"].baseline == "JPEG by Pillow"
