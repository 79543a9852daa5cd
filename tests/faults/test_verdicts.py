"""The campaign itself: its verdicts tell faults from survival, and it can be resumed."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.faults import configs, images
from tests.faults.campaign import FAMILIES, main, run_family
from tests.faults.damage import DELETE, KINDS, named_in
from tests.faults.kills import is_interrupt, tracebacks
from tests.faults.page import NOTES, write_page
from tests.faults.sweep import Ended, Sweep
from tests.faults.trials import Family, Trial, TrialLog, trial_rng

CRASH = "Traceback (most recent call last):\n  ...\nKeyError: 'a'\n"
SURVIVED = Trial("kills", "SIGKILL to Snakemake", 0, 1, "survived", "resumes")


@pytest.mark.parametrize(
    ("dry", "checked", "verdict"),
    [
        (Ended(0, ""), Ended(0, ""), "survived"),
        (Ended(1, "ConfigError"), Ended(1, "error: mine.yaml: a: wrong"), "survived"),
        (Ended(1, CRASH), Ended(1, "error: mine.yaml: a: wrong"), "traceback"),
        (Ended(1, ""), Ended(1, CRASH), "traceback"),
        (Ended(1, "ConfigError"), Ended(0, ""), "lost"),
        (Ended(-14, ""), Ended(1, "error: mine.yaml: a: wrong"), "lost"),
        (Ended(1, ""), Ended(1, "error: mine.yaml: a\n" * 30), "lost"),
        (Ended(1, ""), Ended(1, "error: something is wrong"), "lost"),
    ],
)
def test_configuration_is_judged_by_both_commands(dry, checked, verdict):
    assert configs.judge(Sweep(Path()), dry, checked)[0] == verdict


@pytest.mark.parametrize(("code", "verdict"), [(0, "silent"), (1, "survived")])
def test_configuration_that_only_check_refuses_is_silent(monkeypatch, code, verdict):
    # Unless its networks are refused, which Snakemake builds when it starts.
    monkeypatch.setattr(configs, "run_forked", lambda *_: Ended(code, ""))
    refused = Ended(1, "error: config/data.yaml: data.path: there is no folder")
    assert configs.judge(Sweep(Path()), Ended(0, ""), refused)[0] == verdict


def test_message_must_name_the_damaged_file_or_its_receipt():
    name = Path("results/runs/custom/tiny_cnn/r24/seed0/metrics.json")
    assert named_in(f"error: {name} is damaged: delete it and run again", name)
    assert named_in("error: results/receipts/train/custom/tiny_cnn/r24/seed0.json: no", name)
    receipt = Path("results/receipts/train/custom/tiny_cnn/r24/seed0.json")
    assert named_in(f"error: {name} is damaged: delete it and run again", receipt)
    assert not named_in(f"error: {name}".replace("r24", "r16"), receipt)
    assert not named_in(f"reading {name}", name)
    assert not named_in("error: results/data/manifest.json is damaged", name)
    assert DELETE.findall(f"error: {name} is damaged: delete it") == [str(name)]


def test_stored_png_with_other_pixels_is_silent(monkeypatch):
    rng_number = next(n for n in range(99) if images.mutate(n, 0)[1] == ".png")
    fault, ending, original, _ = images.mutate(rng_number, 0)
    path = Path(images.file_name(rng_number, ending))
    other = images.encode_png(np.zeros((8, 8, 3), np.uint8))
    monkeypatch.setattr(images, "mutate", lambda *_: (fault, ending, original, other))
    assert images.judge(rng_number, 0, {path.name}, {}).verdict == "silent"
    assert images.judge(rng_number, 0, set(), {path.name: "cut"}).verdict == "survived"
    assert images.judge(rng_number, 0, set(), {}).verdict == "lost"


def test_mutated_images_are_stored_or_named(tmp_path):
    trials = list(images.run_images(7, list(range(60)), tmp_path))
    assert [trial.number for trial in trials] == list(range(60))
    assert {trial.verdict for trial in trials} == {"survived"}
    stored = sum(trial.detail.endswith(": stored") for trial in trials)
    assert 5 < stored < 55


def test_trial_draws_the_same_whatever_ran_before():
    assert trial_rng("kills", 1, 5).random() == trial_rng("kills", 1, 5).random()
    assert trial_rng("kills", 1, 5).random() != trial_rng("kills", 2, 5).random()
    assert configs.KINDS["bytes changed"](trial_rng("a", 0, 0)) == configs.KINDS[
        "bytes changed"
    ](trial_rng("a", 0, 0))


def test_stopped_campaign_tries_only_what_is_missing(tmp_path):
    tried = []

    def run(seed, numbers, folder):
        tried.append(numbers)
        for number in numbers:
            yield Trial("kills", "kill", number, seed, "survived", "resumes")

    family = Family("kills", "Kills", 5, run)
    assert len(run_family(family, 1, 2, tmp_path)) == 2
    log = tmp_path / "trials/kills.jsonl"
    log.write_text(log.read_text() + '{"family": "ki')  # killed while it wrote
    assert [trial.number for trial in TrialLog(log).read()] == [0, 1]
    assert len(run_family(family, 1, None, tmp_path)) == 5
    assert len(run_family(family, 2, 1, tmp_path)) == 1
    assert tried == [[0, 1], [2, 3, 4], [0]]


def test_page_counts_what_was_tried(tmp_path):
    faults = [
        Trial("kills", "SIGKILL to Snakemake", 1, 1, "lost", "a | b"),
        Trial("damage", "empty: weights", 0, 2, "silent", "scores"),
        Trial("damage", "empty: metrics", 5, 2, "survived", "named"),
    ]
    write_page(tmp_path / "page.md", FAMILIES, [SURVIVED, *faults])
    page = (tmp_path / "page.md").read_text()
    assert "4 faults" in page
    assert "| SIGKILL to Snakemake | 2 | 1 | 1 | 0 | 0 |" in page
    assert "| empty | 2 | 1 | 0 | 1 | 0 |" in page
    assert "2 of 200 trials were run" in page


def test_campaign_fails_where_a_trial_was_not_survived(tmp_path, monkeypatch):
    def run(seed, numbers, folder):
        verdicts = {0: "survived", 1: "silent"}
        for number in numbers:
            yield Trial("images", "cut", number, seed, verdicts[number], "seen")

    monkeypatch.setitem(FAMILIES, "images", Family("images", "Images", 2, run))
    options = ["images", "--work", str(tmp_path), "--page", str(tmp_path / "page.md")]
    assert main([*options, "--limit", "1"]) == 0
    assert main(options) == 1
    assert json.loads((tmp_path / "trials/images.jsonl").read_text().splitlines()[1])["seen"]


def test_every_family_has_a_note():
    assert set(NOTES) == set(FAMILIES)


def test_every_declared_kind_of_file_is_damaged():
    names = [kind.name for kind in KINDS]
    assert len(names) == len(set(names))
    assert {"weights", "metrics", "native", "staged_best.safetensors", "train_receipt"} < set(
        names
    )


def test_only_tracebacks_of_interrupts_are_left_out():
    text = """
Traceback (most recent call last):
  File "a.py", line 1, in <module>
KeyboardInterrupt

Traceback (most recent call last):
  File "b.py", line 1, in <module>
    x = 1
ValueError: no
error: b
"""
    assert tracebacks(text) == ["KeyboardInterrupt", "ValueError: no"]
    assert [is_interrupt(end) for end in tracebacks(text)] == [True, False]
