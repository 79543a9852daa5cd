from pathlib import Path

import pytest

from resomap.report.facts import Facts, read_facts
from resomap.report.page import findings
from resomap.report.tables import Tables, read_tables
from resomap.system import files
from tests.synthetic import Sweep
from tests.unit.test_tables import aggregate


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    aggregate(folder, Sweep(test=400, val=400, explained=0))
    return folder


@pytest.fixture(scope="module")
def facts(folder: Path) -> Facts:
    return read_facts(folder / "data")


@pytest.fixture(scope="module")
def tables(folder: Path) -> Tables:
    assert files.read_json(folder / "tables/choice.json")["rules"]["margin"] == 0.02
    return read_tables(folder / "tables")


def test_the_headline_of_a_staircase(tables: Tables) -> None:
    assert tables.choice["headline"] == (
        "Choose simple_cnn at 96 px (accuracy 0.994, 95 % interval 0.980–1.000, 5.61 ms a picture): "
        "the most accurate cell; every cheaper one is shown to be worse by more than 2 points."
    )


def test_the_reasons_of_a_staircase(tables: Tables) -> None:
    assert tables.choice["reasons"] == [
        "Best on validation: simple_cnn at 96 px, accuracy 0.984, 95 % interval 0.966–0.993. "
        "Cells were selected on validation pictures; accuracies above are of test pictures.",
        "A typical comparison in this sweep finds differences from 5.1 points on, four times in five.",
        "Cheaper than the best, and shown to be worse by more than 2 points: tiny_cnn at 96 px (−6.2 points, interval −9.4 to −3.1); "
        "simple_cnn at 48 px (−12.1 points, interval −16.3 to −7.9); tiny_cnn at 48 px (−15.1 points, interval −19.3 to −10.8); "
        "simple_cnn at 24 px (−25.2 points, interval −30.4 to −19.8); 1 more.",
        "Runner-up: tiny_cnn at 96 px (accuracy 0.939, 95 % interval 0.911–0.959, 2.55 ms a picture).",
        "No budget was set (report.max_latency_ms, report.min_accuracy).",
    ]


def test_what_a_staircase_shows(tables: Tables, facts: Facts) -> None:
    told = findings(tables, facts, 0.95)
    assert told["Sampling"] == [
        "For simple_cnn the fine stripes (40 cycles across the picture, Nyquist limit 80 px) are a coin toss up to 48 px: "
        "0.510 (95 % interval 0.413–0.606); read from 96 px: 1.000 (0.963–1.000).",
        "For simple_cnn the medium stripes (20 cycles across the picture, Nyquist limit 40 px) are a coin toss up to 24 px: "
        "0.530 (95 % interval 0.433–0.625); read from 48 px: 0.995 (0.954–1.000).",
        "For simple_cnn the broad stripes (10 cycles across the picture, Nyquist limit 20 px) are read from 24 px: "
        "1.000 (95 % interval 0.963–1.000).",
        "Sampling theory alone predicts 0.75, 0.88, 1.00 at 24, 48, 96 px; simple_cnn reaches 0.74, 0.87, 0.99.",
    ]
    assert told["Other sizes"] == [
        "No network is shown to gain at a size it was not trained at: simple_cnn trained at 24 px scores 0.744 (0.699–0.784) there "
        "and 0.670 (0.622–0.714) at 48 px, the most favourable of 12 pairs."
    ]
    assert told["Pictures"] == [
        "24 px keep 74 % of the pictures' detail (spectral energy), 48 px 86 %; least in class ray-stripes (57 % at 24 px)."
    ]
    assert told["Cost"] == [
        "tiny_cnn takes 0.441 ms a picture at 24 px (p90 0.507 ms) and 2.55 ms a picture at 96 px (p90 2.93 ms): "
        "5.8 times the latency for 16 times the pixels. Latency grows as the pixels to the power 0.63 (95 % interval 0.63–0.64), "
        "to within 14 % at every size; peak memory at batch 32 to the power 0.83 (from step to step 0.74–0.92).",
        "simple_cnn takes 0.969 ms a picture at 24 px (p90 1.11 ms) and 5.61 ms a picture at 96 px (p90 6.45 ms): "
        "5.8 times the latency for 16 times the pixels. Latency grows as the pixels to the power 0.63 (0.63–0.64), "
        "to within 14 % at every size; peak memory at batch 32 to the power 0.70 (from step to step 0.56–0.83).",
        "From file to answer, the network takes longest in 4 of 6 cells: 31 % to 85 % of the time.",
    ]
    assert "Alarm" not in told


def test_what_the_evidence_of_a_staircase_shows(tmp_path: Path) -> None:
    aggregate(tmp_path, Sweep(models=("simple_cnn",), test=80, val=80, struck=("saliency",)))
    told = findings(read_tables(tmp_path / "tables"), read_facts(tmp_path / "data"), 0.95)
    assert told["Evidence"] == [
        "simple_cnn's maps at 24 and 96 px are less alike than two seeds', more than two pictures', by every method (0 is another picture's map, "
        "1 another seed's): Grad-CAM 0.45 (95 % interval 0.39–0.51; raw 0.28 between floor 0.05 and ceiling 0.55); Grad-CAM, one block 0.45 "
        "(95 % interval 0.39–0.51; raw 0.28 between floor 0.05 and ceiling 0.55); Integrated Gradients 0.45 (95 % interval 0.39–0.51; raw 0.28 "
        "between floor 0.05 and ceiling 0.55).",
        "Raw agreement of maps that have learnt nothing: random 0.05, edge filter 0.45, centre 0.55, an untrained network (Grad-CAM) 0.10.",
        "Share of simple_cnn's positive relevance on the object, of the best that its grid allows, 24 to 96 px: Grad-CAM 0.39 to 0.58, "
        "Integrated Gradients 0.41 to 0.60, edge filter 0.14 to 0.14, centre 0.14 to 0.14, random 0.14 to 0.14; the object covers 0.13.",
        "Relevance on medium minus relevance on fine objects, mean over methods: −0.03 at 24 px, +0.39 at 48 px, +0.00 at 96 px; of an edge "
        "filter, which knows no network, +0.00 at 24 px, +0.00 at 48 px, +0.00 at 96 px; at 48 px the evidence follows the stripes that survive.",
        "Insertion minus deletion of simple_cnn beyond a random order's, areas being restored or blurred in a map's order (4 cells a side, 24 to "
        "96 px): Grad-CAM +0.20 to +0.20, Integrated Gradients +0.15 to +0.14, centre +0.08 to +0.08.",
        "With everything but the object exchanged, 19 % (95 % interval 0–43 %, n = 16) at 24 px and 0 % (0–19 %, n = 16) at 96 px of simple_cnn's "
        "answers follow the change; of coin tosses half do.",
    ]
