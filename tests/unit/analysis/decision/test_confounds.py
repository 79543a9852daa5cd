"""Confounds: each kind prevents a certificate until it is accepted by name."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from resomap.analysis.decision.candidates import Candidate, CellEvidence, WayToRun
from resomap.analysis.decision.candidates import list_candidates as list_all
from resomap.analysis.decision.choice import choose
from resomap.analysis.decision.confounds import find_confounds, run_facts
from resomap.analysis.decision.latencies import Latency
from resomap.config.load import build_config
from resomap.config.report import CONFOUNDS
from tests.unit.analysis.decision.test_choice import candidate, rules

CONFIG = build_config({})


def metrics(**changes: Any) -> dict[str, Any]:
    """Return metrics.json of a finished run; keys with a dot change its job."""
    job = {
        "training": CONFIG.training.model_dump(mode="json"),
        "data": CONFIG.data.model_dump(mode="json"),
        "code": "c0de",
        "data_code": "da7a",
    }
    record: dict[str, Any] = {
        "job": job,
        "environment": {
            "device": "cpu",
            "precision": "fp32",
            "processes": 1,
            "torch": "2.11.0",
            "torchvision": "0.26.0",
            "resomap": "0.1.0",
        },
        "learning_rate": 0.005,
        "micro_batch": None,
        "has_batch_norm": True,
        "optimizer_steps": 400,
        "images_seen": 12800,
        "start_sha256": [],
    }
    for name, value in changes.items():
        *sections, key = name.split("__")
        place = record
        for section in sections:
            place = place[section]
        place[key] = value
    return record


PLANTED: dict[str, dict[str, Any]] = {
    "batch_size": {"job__training__batch_size": 64, "micro_batch": 32},
    "batchnorm_batch": {"micro_batch": 8},
    "steps": {"optimizer_steps": 350},
    "images_seen": {"images_seen": 11200},
    "learning_rate": {"learning_rate": 0.0025},
    "schedule": {"job__training__schedule__warmup_epochs": 3.0},
    "recipe": {"job__training__label_smoothing": 0.2},
    "precision": {"environment__precision": "bf16"},
    "data": {"job__data__native_resolution": 64},
    "filter": {"job__data__filter": "nearest"},
    "crop": {"job__data__aspect": "center_crop"},
    "start": {"job__training__start": "pretrained"},
    "code": {"job__code": "beef"},
    "torch": {"environment__torch": "2.10.0"},
    "torchvision": {"environment__torchvision": "0.25.0"},
    "resomap": {"environment__resomap": "0.0.9"},
    "device": {"environment__device": "NVIDIA H100"},
}


def sweep(changes: Mapping[str, Any], seeds: tuple[int, ...] = (1,)) -> list[Candidate]:
    """Return three cells, of which 48 px is within the margin; runs of 24 px are changed."""
    cells = [candidate(24, 0.70, 1.0), candidate(48, 0.949, 2.0), candidate(96, 0.95, 8.0)]
    usual, changed = run_facts(metrics()), run_facts(metrics(**changes))
    facts = [dict.fromkeys((0, 1, 2), usual) for _ in cells]
    facts[0] |= dict.fromkeys(seeds, changed)
    return [replace(one, facts=known) for one, known in zip(cells, facts, strict=True)]


def test_sweep_of_equal_runs_has_no_confound() -> None:
    choice = choose(sweep({}), rules())
    assert (choice["status"], choice["confounds"]) == ("chosen", [])
    assert [one["confounds"] for one in choice["comparisons"]] == [[], []]


def test_every_confound_is_planted_here() -> None:
    assert {*PLANTED, "latency_device"} == set(CONFOUNDS)


@pytest.mark.parametrize("name", PLANTED)
def test_planted_confound_prevents_the_certificate(name: str) -> None:
    cells = sweep(PLANTED[name])
    choice = choose(cells, rules())
    assert (choice["status"], choice["certified"]) == ("undecided", None)
    assert [(one["name"], one["accepted"]) for one in choice["confounds"]] == [(name, False)]
    assert {one["resolution"]: one["confounds"] for one in choice["comparisons"]} == {
        24: [name],
        48: [],
    }
    # It is no statement about accuracy: what is shown to be worse stays so.
    assert {one["resolution"]: one["verdict"] for one in choice["comparisons"]} == {
        24: "worse",
        48: "open",
    }
    assert choice["needed"]["confounds"] == [name]
    assert choice["needed"]["more_seeds"] is None


@pytest.mark.parametrize("name", PLANTED)
def test_confound_accepted_by_name_is_certified(name: str) -> None:
    choice = choose(sweep(PLANTED[name]), rules(accept_confounds=(name,)))
    assert (choice["status"], choice["choice"]["resolution"]) == ("chosen", 48)
    assert [one["accepted"] for one in choice["confounds"]] == [True]
    others = tuple(other for other in CONFOUNDS if other != name)
    assert choose(sweep(PLANTED[name]), rules(accept_confounds=others))["certified"] is None


def test_record_names_the_unusual_runs() -> None:
    (record,) = choose(sweep(PLANTED["device"]), rules())["confounds"]
    usual, unusual = record["groups"]
    assert (usual["value"], len(usual["runs"])) == ("cpu", 8)
    run = {"family": "custom", "model": "net", "resolution": 24, "seed": 1}
    assert unusual == {"value": "NVIDIA H100", "runs": [run]}


def test_excluded_rival_confounds_nothing() -> None:
    choice = choose(sweep(PLANTED["device"]), rules(min_accuracy=0.9))
    assert (choice["status"], choice["confounds"]) == ("chosen", [])


def test_seed_trained_elsewhere_in_every_cell_favours_none() -> None:
    usual, other = run_facts(metrics()), run_facts(metrics(**PLANTED["device"]))
    of_cell = {0: usual, 1: other}
    assert find_confounds([of_cell, of_cell]).pairs == {}
    # A missing seed leaves the other device to one of the two.
    assert find_confounds([of_cell, {0: usual}]).between(0, 1) == ["device"]
    assert find_confounds([{0: usual}, {1: usual}]).pairs == {}
    assert find_confounds([of_cell, {}]).pairs == {}


def test_smaller_passes_matter_to_batchnorm_only() -> None:
    small = metrics(micro_batch=8)
    assert run_facts(small)["batchnorm_batch"] == 8
    assert run_facts(small | {"has_batch_norm": False})["batchnorm_batch"] == 32
    # Two processes of eight images join their statistics.
    joined = metrics(micro_batch=8, environment__processes=2)
    assert run_facts(joined)["batchnorm_batch"] == 16
    assert run_facts(metrics(micro_batch=64))["batchnorm_batch"] == 32
    # What the recipe asks for is the same for all.
    asked = metrics(micro_batch=8, job__training__micro_batch=8)
    plain = asked | {"has_batch_norm": False}
    assert run_facts(asked) == run_facts(plain)


def test_start_is_the_content_of_its_file() -> None:
    first, moved, other = (
        metrics(job__training__start=name, start_sha256=[digest])
        for name, digest in (
            ("a.safetensors", "1"),
            ("b.safetensors", "1"),
            ("a.safetensors", "2"),
        )
    )
    assert run_facts(first)["start"] == run_facts(moved)["start"] != run_facts(other)["start"]


def test_saving_more_is_no_confound() -> None:
    changed = metrics(job__training__save_top_k=3, job__training__save_optimizer=True)
    assert run_facts(changed) == run_facts(metrics())


def test_costs_of_other_devices_are_not_compared() -> None:
    cells = sweep({})
    val = {one.cell: one.val for one in cells}
    test = {one.cell: one.test for one in cells}
    known = {one.cell: CellEvidence(facts=one.facts) for one in cells}
    for device, expected in (("cpu", "chosen"), ("NVIDIA H100", "undecided")):
        ways = {
            one.cell: [WayToRun(None, Latency(one.cost, one.cost, True), {}, "cpu")]
            for one in cells[1:]
        }
        cost = Latency(1.0, 1.0, True)
        ways[cells[0].cell] = [WayToRun(None, cost, {}, device)]
        choice = choose(list_all(val, test, ways, known), rules())
        assert choice["status"] == expected
    (record,) = choice["confounds"]
    assert record["name"] == "latency_device"
    assert [len(group["runs"]) for group in record["groups"]] == [2, 1]


def test_facts_of_many_cells_are_compared_in_little_time() -> None:
    facts = [{seed: run_facts(metrics()) for seed in range(5)} for _ in range(200)]
    facts[7][3] = run_facts(metrics(**PLANTED["torch"]))
    found = find_confounds(facts)
    assert list(found.pairs) == ["torch"]
    assert np.flatnonzero(found.pairs["torch"][0]).tolist() == [7]
