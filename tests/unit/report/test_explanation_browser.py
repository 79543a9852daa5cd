"""The data of the explanation browser: which images, how exact, how large."""

import base64
import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from resomap.analysis.tables import Tables, read_tables
from resomap.report.browser.build import build_browser, write_browser
from resomap.report.browser.runs import BrowsedRun, RunKey, read_runs
from resomap.report.browser.section import FILE_NAME, browser_section
from resomap.report.browser.selection import alarm_images, rank_images
from resomap.report.browser.sprites import (
    MAX_SIDE,
    OUTLINE_UNITS,
    encode_maps,
    quantise,
    reduce_to_tiles,
    trace_outline,
)
from resomap.workflow.checked_files import read_arrays
from tests.drawings import stored_images
from tests.synthetic import Sweep, aggregate

SWEEP = Sweep(
    models=("tiny_cnn",),
    resolutions=(16, 48),
    seeds=(0, 1),
    test=80,
    val=40,
    native=48,
    explained=24,
    failed_methods=("saliency",),
)
NO_ALARMS = pd.DataFrame(columns=["model", "resolution", "state", "images"])


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    aggregate(folder, SWEEP)
    return folder


@pytest.fixture(scope="module")
def tables(results: Path) -> Tables:
    return read_tables(results / "tables")


@pytest.fixture(scope="module")
def browser(results: Path, tables: Tables) -> dict[str, Any]:
    return build_browser(tables, stored_images(results), results / "runs")


def browsed(px: int, seed: int, wrong: str, off: str) -> BrowsedRun:
    """Return a run in which each image is wrong, or off the object, or neither (`x` or `.`)."""
    marked = [np.array([mark == "x" for mark in marks]) for marks in (wrong, off)]
    index = np.arange(len(wrong)) * 10
    key = RunKey("custom", "tiny_cnn", px, seed)
    return BrowsedRun(key, index, np.zeros((len(wrong), 2)), *marked, mass={}, share={})


def alarm(px: int, images: str, state: str = "fires") -> dict[str, Any]:
    return {"model": "tiny_cnn", "resolution": px, "state": state, "images": images}


def decode(sprite: str) -> np.ndarray:
    content = base64.b64decode(sprite.removeprefix("data:image/webp;base64,"))
    return np.asarray(Image.open(BytesIO(content)).convert("L"))


def unpack(cell: dict[str, Any], grey_step: int) -> dict[str, np.ndarray]:
    """Return the levels (maps, side, side) of every method, as the script of the page does."""
    sheet, top, found = decode(cell["sprite"]) / grey_step, 0, {}
    for method in cell["methods"]:
        side, count = method["side"], len(method["scale"])
        columns = cell["width"] // side
        tiles = []
        for number in range(count):
            y, x = top + number // columns * side, number % columns * side
            tiles.append(sheet[y : y + side, x : x + side])
        top += -(-count // columns) * side
        found[method["method"]] = np.stack(tiles)
    return found


def test_images_of_alarms_come_first_and_lists_take_turns() -> None:
    runs = [browsed(16, 0, ".xx...", "...x.."), browsed(48, 0, ".x....", "......")]
    alarms = pd.DataFrame([alarm(16, "50 40"), alarm(48, "0"), alarm(16, "10", "silent")])
    ranked = rank_images(runs, alarms)
    # Alarms in turn: 5, 0, 4. Then most often wrong: 1; flipped: 2; for the wrong reason: 3.
    assert ranked.order.tolist() == [5, 0, 4, 1, 2, 3]
    assert ranked.reasons == {
        "alarm": {0, 4, 5},
        "wrong": {1, 2},
        "flipped": {2},
        "wrong_reason": {3},
    }


def test_every_image_is_ranked_once() -> None:
    ranked = rank_images([browsed(16, 0, "x" * 30, "." * 30)], NO_ALARMS)
    assert sorted(ranked.order.tolist()) == list(range(30))


def test_alarm_images_skip_unexplained_ones() -> None:
    found = alarm_images(
        pd.DataFrame([alarm(16, "30 10"), alarm(16, "20")]), np.array([10, 20])
    )
    assert found == {("tiny_cnn", 16): [1, 0]}


def test_wrong_and_off_object_agree_with_files(results: Path, tables: Tables) -> None:
    labels = stored_images(results).labels
    for run in read_runs(tables, labels, results / "runs"):
        folder = results / "runs/custom/tiny_cnn" / f"r{run.key.resolution}"
        arrays = read_arrays(folder / f"seed{run.key.seed}" / "predictions.npz")
        predicted = arrays[f"logits_r{run.key.resolution}"].argmax(axis=1)
        assert (run.wrong == (predicted != labels)[run.index]).all()
        # Saliency fails the sanity check, and is no evidence.
        mean = (run.share["gradcam"] + run.share["integrated_gradients"]) / 2
        assert (run.off_object == ~run.wrong & (mean < 0.15)).all()


def test_maps_in_sprite_equal_stored_maps_to_half_a_step(
    results: Path, browser: dict[str, Any]
) -> None:
    shown = [image["index"] for image in browser["images"]]
    for cell in browser["cells"]:
        levels = unpack(cell, browser["grey_step"])
        for method in cell["methods"]:
            scale = np.reshape(method["scale"], (-1, 1, 1))
            stored = []
            for seed in cell["seeds"]:
                run = results / f"runs/custom/tiny_cnn/r{cell['resolution']}/seed{seed}"
                arrays = read_arrays(run / "explanations" / f"{method['method']}.npz")
                stored.append(reduce_to_tiles(arrays["attribution"][shown]))
            expected = np.clip(np.concatenate(stored) / scale, -1, 1) * browser["levels"]
            difference = levels[method["method"]] - browser["levels"] - expected
            assert np.abs(difference).max() <= 0.5 + 1e-6


def test_map_of_zeros_is_level_of_zero() -> None:
    levels, scales = quantise(np.zeros((2, 3, 3)))
    assert (levels == 7).all()
    assert scales.tolist() == [1, 1]


def test_maps_larger_than_tiles_are_averaged_with_their_mean() -> None:
    maps = np.random.default_rng(0).normal(size=(2, 50, 50))
    reduced = reduce_to_tiles(maps)
    assert reduced.shape == (2, MAX_SIDE, MAX_SIDE)
    assert reduced.mean(axis=(1, 2)) == pytest.approx(maps.mean(axis=(1, 2)))


def test_sheet_of_many_maps_stays_within_webp() -> None:
    levels = [np.full((2000, MAX_SIDE, MAX_SIDE), 7, np.uint8), np.zeros((3, 5, 5), np.uint8)]
    sprite, width = encode_maps(levels)
    assert max(decode(sprite).shape) < 16383
    assert decode(sprite).shape[1] == width


def test_outline_surrounds_mask_also_at_the_edge() -> None:
    mask = np.zeros((96, 96), np.uint8)
    mask[:48, 24:72] = 255
    (line,) = trace_outline(mask)
    x, y = np.reshape(line, (-1, 2)).T / OUTLINE_UNITS
    assert [x.min(), x.max(), y.min(), y.max()] == pytest.approx([0.25, 0.75, 0, 0.5], abs=0.02)
    assert trace_outline(None) == trace_outline(np.zeros((8, 8), np.uint8)) == []


def test_file_keeps_to_bytes_with_the_first_of_the_ranked_images(
    results: Path, tables: Tables, browser: dict[str, Any]
) -> None:
    whole = len(json.dumps(browser, separators=(",", ":")))
    ranked = [image["index"] for image in browser["images"]]
    assert len(ranked) == browser["total"] == 24
    counts = []
    for budget in (whole, 3 * whole // 4, whole // 2, 500):
        values = build_browser(tables, stored_images(results), results / "runs", budget)
        shown = [image["index"] for image in values["images"]]
        assert shown == ranked[: len(shown)]
        assert len(json.dumps(values, separators=(",", ":"))) <= max(budget, 500)
        counts.append(len(shown))
    assert counts[0] >= 23
    assert counts[0] > counts[1] > counts[2] > counts[3] == 0
    # The budget is used: half of the bytes hold about half of the images.
    assert counts[2] >= 8


def test_file_is_the_same_each_time(results: Path, tables: Tables, tmp_path: Path) -> None:
    for name in ("first", "second"):
        write_browser(tables, stored_images(results), results / "runs", tmp_path / name)
    first, second = ((tmp_path / name / FILE_NAME).read_bytes() for name in ("first", "second"))
    assert first == second


def test_section_says_how_many_images_are_shown(
    results: Path, tables: Tables, tmp_path: Path
) -> None:
    values = build_browser(tables, stored_images(results), results / "runs", 60_000)
    (tmp_path / FILE_NAME).write_text(json.dumps(values))
    section = browser_section(tmp_path)
    assert section.shown is not None
    count = len(values["images"])
    assert 0 < count < 24
    assert section.shown["images"].startswith(f"{count} of 24 explained images are here")
    assert {"explanation-maps-0", "explanation-maps-1"} < set(section.blocks)
    assert "sprite" not in section.blocks["explanations"]["cells"][0]


def test_sweep_without_explanations_has_no_section(tmp_path: Path) -> None:
    sweep = Sweep(
        models=("tiny_cnn",), resolutions=(16,), seeds=(0,), test=16, val=8, explained=0
    )
    aggregate(tmp_path, sweep)
    tables = read_tables(tmp_path / "tables")
    write_browser(tables, stored_images(tmp_path), tmp_path / "runs", tmp_path / "figures")
    assert browser_section(tmp_path / "figures").shown is None
