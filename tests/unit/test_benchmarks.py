"""What the benchmarks compare with is a training that works, and what they run and write is what they say."""

import csv
import importlib
import inspect
import re
import sys
from argparse import Namespace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from benchmarks import photos
from benchmarks.alarm import alarm_rows, false_alarms
from benchmarks.ladder import run_ladder
from benchmarks.mapped import run_mapped
from benchmarks.maps import run_gradcam, run_methods
from benchmarks.pictures import draw_jpegs, prepare_and_resize, take
from benchmarks.preparing import REST, SHARES, run_listing, run_prepare, run_resize
from benchmarks.processes import job_module, measure, module
from benchmarks.stages import PARTS as STAGES
from benchmarks.stages import run_agreement, run_run
from benchmarks.startup import tiny_arguments
from benchmarks.tables import put_section, ratios, spread
from benchmarks.textbook import train
from benchmarks.turns import Way, rates_told, take_turns
from benchmarks.whole_jobs import reported
from resomap.data.store.store import open_store
from resomap.explain.attribution import METHODS


@pytest.fixture
def pictures(tmp_path):
    """Two classes that any network can tell apart: dark and bright."""
    generator = np.random.default_rng(0)
    for split, number, level in (
        (split, n, level)
        for split in ("train", "val", "test")
        for n in range(6)
        for level in (40, 180)
    ):
        path = tmp_path / "pictures" / split / f"of_{level}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(
            generator.integers(level, level + 40, (24, 24, 3), dtype=np.uint8)
        ).save(path)
    return tmp_path / "pictures"


def test_the_textbook_trains_keeps_its_best_and_scores_it(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    words = (
        "--model tiny_cnn --size 16 --epochs 4 --batch-size 4 --workers 0 --test-sizes 16 24"
    )
    train.main([str(pictures), "--out", str(tmp_path / "out"), *words.split()])
    with (tmp_path / "out" / "history.csv").open(newline="") as stream:
        losses = [float(row["val_loss"]) for row in csv.DictReader(stream)]
    with (tmp_path / "out" / "test.csv").open(newline="") as stream:
        scores = {row["size"]: float(row["test_accuracy"]) for row in csv.DictReader(stream)}
    assert len(losses) == 4
    assert min(losses) < losses[0]
    assert scores["16"] > 0.5
    assert (tmp_path / "out" / "best.pt").exists()


def test_the_textbooks_learning_rate_is_that_of_our_schedule(config):
    from resomap.training.optimizers import build_optimizer
    from resomap.training.schedules import build_schedule

    steps, epochs = 5, 3
    args = train.get_args(
        [
            "data",
            "--out",
            "out",
            "--epochs",
            str(epochs),
            "--lr",
            str(config.training.optimizer.learning_rate),
        ]
    )
    theirs, their_schedule = train.get_optimizer(args, torch.nn.Linear(2, 2), steps)
    ours = build_optimizer(config.training.optimizer, torch.nn.Linear(2, 2))
    our_schedule = build_schedule(
        config.training.schedule, ours, steps, epochs, config.training.monitor
    )
    for _ in range(steps * epochs):
        assert theirs.param_groups[0]["lr"] == pytest.approx(ours.param_groups[0]["lr"])
        for optimizer, schedule in ((theirs, their_schedule), (ours, our_schedule)):
            optimizer.step()
            schedule.step()


def test_every_entry_point_is_given_what_it_asks_for(tmp_path):
    for kind, arguments in tiny_arguments(tmp_path, ["gradcam"], "{}"):
        wanted = inspect.signature(importlib.import_module(job_module(kind)).main).parameters
        assert set(wanted) == {"job", *arguments}, (
            f"{job_module(kind)} asks for other files than benchmarks/startup.py gives"
        )


def test_a_part_that_is_run_again_replaces_its_own_section(tmp_path):
    page = tmp_path / "training.md"
    put_section(page, "One (cpu)", "first")
    put_section(page, "Two (cpu)", "second\n\n| a |\n| --- |\n")
    put_section(page, "One (cpu)", "third")
    assert page.read_text().split("\n## ")[1:] == [
        "One (cpu)\n\nthird\n",
        "Two (cpu)\n\nsecond\n\n| a |\n| --- |\n",
    ]


def test_a_spread_names_its_ends_and_ratios_pair_rounds():
    assert spread([3.0, 1.0, 2.0]) == "2.00 (1.00-3.00)"
    assert ratios([1.0, 4.0], [2.0, 2.0]) == [0.5, 2.0]


def test_the_cost_of_a_process_holds_that_of_its_children():
    program = (
        "import subprocess, sys; subprocess.run([sys.executable, '-c', 'sum(range(10**7))'])"
    )
    cost = measure([sys.executable, "-c", program], [sys.executable, "-c", "print('told')"])
    assert cost.output == "told\n"
    assert cost.cpu > 0.05


def test_the_store_of_a_benchmark_is_the_real_one_of_the_same_files(config, tmp_path):
    draw_jpegs(config.data, tmp_path / "many", 32)
    take(tmp_path / "many", tmp_path / "few", 16)
    made = prepare_and_resize(tmp_path / "few", tmp_path / "store", config.data, 24)
    store = open_store(made.manifest)
    assert (made.train, store.counts) == (16, {"train": 16, "val": 3, "test": 8})
    assert store.images("train", 24).shape == (16, 24, 24, 3)
    assert made.wall > 0 < made.cpu


@pytest.fixture
def few(monkeypatch):
    """The options of a trial with pictures out of a small field of noise."""
    monkeypatch.setattr(photos, "FIELD", 640)
    return Namespace(rounds=1, cores=1, pictures=40)


DECODER = (
    "ignore:The image decoding and encoding capabilities of TorchVision:DeprecationWarning"
)
PARTS = {
    run_prepare: ("prepare, 1 process", "Pillow", "torchvision", *SHARES, REST),
    run_resize: ("128 px, resize, 1 process", "64 px, Pillow"),
    run_listing: ("list_images", "listing_digest"),
    run_mapped: ("in memory", "map, cold", "rows, warm", "rows, 8 readers"),
    run_ladder: (
        "array, 512 to 64 px, resize",
        "array, 512 to 384 px, torch",
        "JPEG, 512 px, torchvision",
    ),
}


@pytest.mark.filterwarnings(DECODER)
@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_a_part_of_the_data_path_has_a_row_for_each_of_its_ways(part, few, tmp_path):
    rows = re.findall(r"^\| (.+?) \| ([\d.,]+)", part(few, tmp_path), re.MULTILINE)
    assert set(PARTS[part]) <= {name for name, _ in rows}


@pytest.mark.filterwarnings(DECODER)
def test_the_profile_of_a_preparation_finds_what_it_names(few, tmp_path):
    shares = dict(
        re.findall(
            r"^\| (.+?) \| [\d.]+ \| (\d+)% \| [\d.]+ \| \d+% \|$",
            run_prepare(few, tmp_path),
            re.MULTILINE,
        )
    )
    assert sum(map(int, shares.values())) == pytest.approx(100, abs=len(shares))
    assert (
        min(
            int(shares[name])
            for name in ("JPEG decoding", "resize", "spectra and contact sheet")
        )
        > 0
    )
    assert int(shares[REST]) < 60


def test_photos_differ_and_are_laid_out_in_all_splits(few, tmp_path):
    drawn = photos.draw_photos(tmp_path / "drawn", 5, 50, 40)
    assert len({path.read_bytes() for path in drawn}) == 5
    folder = photos.lay_out(drawn, tmp_path / "folder", 40)
    assert [
        len(list((folder / split).glob("class0?/*.jpg"))) for split in ("train", "val", "test")
    ] == [32, 4, 4]


def test_ways_take_turns_and_what_goes_before_is_not_measured():
    order = []
    slow = Way("slow", 10, lambda: order.append("slow"), lambda: order.append("before"))
    fast = Way("fast", 10, lambda: order.append("fast"))
    take_turns([slow, fast], 2)
    assert order == ["before", "slow", "fast"] * 2
    assert [row[0] for row in rates_told([slow, fast], fast)] == ["slow", "fast"]
    assert len(slow.rates) == len(fast.per_cpu) == 2


def test_a_peak_is_told_of_the_program_and_of_its_largest_child(tmp_path, monkeypatch):
    holding = "import time; held = bytearray({mib} * 2**20); time.sleep({seconds})"
    child = holding.format(mib=100, seconds=1)
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}]); {holding.format(mib=40, seconds=0)}"
    (tmp_path / "held_program.py").write_text(program)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    told = reported(measure(module("benchmarks.peak_memory", "held_program")))
    assert 40 < told["own"] < 100 < told["largest"] < 200


def test_a_row_of_the_gpu_sheet_holds_throughput_against_what_the_card_allows():
    from benchmarks.gpu_sheet import rows

    blank = dict.fromkeys(
        (
            "latency_ms_p50_cold",
            "peak_memory_mib",
            "peak_reserved_mib",
            "energy_j_per_image",
            "why_invalid",
        )
    )
    cell = {
        "variant": "eager",
        "precision": "bf16",
        "resolution": 64,
        "status": "ok",
        "flops": 2e9,
        "latency_ms_p50": 1.0,
        **blank,
    }
    cells = [
        {**cell, "batch_size": size, "inference_images_per_second": rate}
        for size, rate in ((1, 1e3), (64, 2e5), (128, 1e5))
    ]
    (bound_by_arithmetic,) = rows("resnet18", cells, output_bytes=4, flops=1e15, bandwidth=1e12)
    assert bound_by_arithmetic[2:6] == ("eager-bf16", 64, "200,000", "0.40")
    (bound_by_memory,) = rows(
        "resnet18", cells, output_bytes=4_000_000, flops=1e15, bandwidth=1e12
    )
    assert bound_by_memory[5] == "0.80"  # 2 x 2 MB a picture: 250,000 a second
    assert list(rows("resnet18", [{**cells[0], "status": "unsupported"}], 4, 1e15, 1e12)) == []


@pytest.fixture
def few_maps():
    """The options of a trial of explaining."""
    return Namespace(rounds=1, pictures=16, models=["tiny_cnn"], resolutions=[24])


def table(text):
    """The cells of the Markdown table in `text`, a dictionary a row."""
    head, _, *rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in text.splitlines()
        if line.startswith("|")
    ]
    return [dict(zip(head, row, strict=True)) for row in rows]


def test_grad_cam_is_that_of_both_libraries(few_maps, tmp_path):
    ours, *theirs = table(run_gradcam(few_maps, tmp_path))
    assert ours["way"] == "resomap"
    assert [(row["way"], row["batch"]) for row in theirs] == [
        ("captum", "16"),
        ("pytorch_grad_cam", "16"),
        ("pytorch_grad_cam", "1"),
    ]
    assert all(float(row["difference"].split(", ")[0]) < 1e-5 for row in theirs)
    assert float(theirs[0]["in float64"]) < 1e-6


def test_every_method_has_its_cost(few_maps, tmp_path):
    rows = table(run_methods(few_maps, tmp_path))
    assert [row["method"] for row in rows] == list(METHODS)
    assert all(float(row["tiny_cnn, 24 px"]) > 0 for row in rows)


def test_the_parts_of_a_run_add_up(few_maps, tmp_path):
    (row,) = table(run_run(few_maps, tmp_path))
    assert all(float(row[part]) > 0 for part in STAGES)
    assert sum(float(row[part]) for part in (*STAGES, "rest")) == pytest.approx(
        float(row["all"]), abs=0.05
    )


def test_maps_of_one_signal_and_independent_noise_agree_as_well_as_two_seeds(
    few_maps, tmp_path
):
    few_maps.resolutions = [24, 48]
    for row in table(run_agreement(few_maps, tmp_path)):
        assert float(row["normalised agreement found"].split()[0]) == pytest.approx(1, abs=0.2)


def test_alarms_are_counted_by_resolution_and_group():
    rows = [
        ("medium", 0.9, 0.1, True, "fires", "agrees"),
        ("medium", 0.8, 0.5, True, "silent", None),
        ("fine", 0.5, None, False, "unknown", None),
    ]
    alarms = pd.DataFrame(
        rows, columns=["group", "accuracy", "share", "holds", "state", "judged"]
    ).assign(resolution=24)
    medium, fine = alarm_rows(alarms)
    assert medium == (
        24,
        "medium",
        2,
        "0.85 (0.80-0.90)",
        "0.30 (0.10-0.50)",
        2,
        1,
        1,
        0,
        "1 of 1",
    )
    assert fine == (24, "fine", 1, "0.50", "", 0, 0, 0, 1, "0 of 0")
    assert false_alarms(alarms) == "1 of 2 (50.0%, at most 97.5%)"
