"""The rule of `resomap choose` in the page: the same answers for any limits."""

import json
import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page
from scipy import stats
from typer.testing import CliRunner

from resomap.analysis.accuracies import Accuracies, compute_accuracies
from resomap.analysis.decision import inputs
from resomap.analysis.decision.answer_tables import AnswerTables, answer_tables
from resomap.analysis.decision.candidates import Candidate
from resomap.analysis.decision.choice import choose
from resomap.analysis.decision.inputs import Progress, SweepInputs, read_inputs
from resomap.cli import app
from resomap.report.scripts import RULE, SHARED, embed_data, read_scripts
from resomap.system.files import read_json
from resomap.workflow import lifecycle
from tests.browser import open_page, start_chromium
from tests.planted_candidates import CLASSES, PlantedSweep
from tests.recorded_sweeps import RecordedDirectory, small_sweep
from tests.synthetic import report_rules, write_tables_of

Limits = dict[str, Any]
# What the page leaves out of the record: it has the advice of the sweep at its own limits alone.
NOT_IN_PAGE = {
    "device",
    "error_share",
    "rounds",
    "unmeasured",
    "neighbours",
    "control",
    "headline",
    "reasons",
}
ONLY_IN_PAGE = {"command", "provisional_advice"}
RULES = {
    "max_failed_seeds": 1,
    "accept_confounds": ["steps"],
    "min_recall": [{"name": "class3", "recall": 0.4}],
}


@dataclass(frozen=True)
class AnsweredSweep:
    """A sweep with the block of its page, and the directory whose configuration has its rules."""

    directory: Path
    found: SweepInputs
    answer: AnswerTables


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with start_chromium() as started:
        yield started


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> AnsweredSweep:
    """Return a sweep of files, whose tables and inputs are read on ways of their own."""
    sweep = small_sweep(
        models=("tiny_cnn", "simple_cnn"),
        resolutions=(24, 48, 96),
        variants=("eager", "compiled", "training_step"),
    )
    recorded = RecordedDirectory(tmp_path_factory.mktemp("recorded"), sweep)
    directory = recorded.write()
    results = directory / "results"
    write_tables_of(results, sweep, read_json(results / "data" / "manifest.json"))
    config = lifecycle.read_run_config(directory)
    found = read_inputs(results, config, config.report)
    return AnsweredSweep(directory, found, read_json(results / "tables" / "answer.json"))


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> AnsweredSweep:
    """Return a sweep with alarms, confounds, lost seeds, disturbed latencies and energies."""
    # Of its files only the configuration is read.
    smallest = small_sweep(resolutions=(24,), seeds=(0,), val=8, test=8)
    grid = RecordedDirectory(tmp_path_factory.mktemp("planted"), smallest, {"report": RULES})
    rules = lifecycle.read_run_config(grid.write()).report
    candidates = PlantedSweep().draw()
    accuracies = accuracies_of(candidates, rules.confidence)
    record = choose(candidates, rules, CLASSES, accuracies)
    answer = answer_tables(candidates, rules, CLASSES, accuracies, record)
    found = SweepInputs(candidates, accuracies, CLASSES, Progress(18, 18, 0), [])
    return AnsweredSweep(grid.path, found, json.loads(json.dumps(answer, allow_nan=False)))


def accuracies_of(candidates: Sequence[Candidate], confidence: float) -> Accuracies:
    """Return the accuracies of the cells of candidates."""
    val = {one.cell: one.val for one in candidates}
    return compute_accuracies(val, {one.cell: one.test for one in candidates}, confidence)


def straddling_limits(answer: AnswerTables, count: int) -> list[Limits]:
    """Return latencies just below, at and above the bounds of candidates, and other limits."""
    limits: list[Limits] = [{}, {"attitude": "frugal"}, {"max_latency_ms": 1e-6}]
    bounds = sorted({one["latency_ms_p90"][1] for one in answer["candidates"]})
    for bound in bounds[:: max(len(bounds) * 3 // count, 1)]:
        for latency in (math.nextafter(bound, 0), bound, math.nextafter(bound, 9e9)):
            attitude = ("certified", "frugal")[len(limits) % 2]
            limits.append({"max_latency_ms": latency, "attitude": attitude})
    for name in ("accuracy", "balanced_accuracy"):
        lowest = sorted({one[name][1] for one in answer["networks"]})
        for low in lowest[1::2]:
            limits += [{f"min_{name}": low}, {f"min_{name}": math.nextafter(low, 1)}]
    for column in ("peak_memory_mib", "model_size_mib", "macs", "energy_j_per_image"):
        known = sorted({one[column][1] for one in answer["candidates"] if one[column]})
        if known:
            limits += [{f"max_{column}": known[place]} for place in (0, len(known) // 2)]
    return limits + _filters(answer)


def _filters(answer: AnswerTables) -> list[Limits]:
    """Return limits that select candidates by name, alone and with a budget."""
    models = sorted({one["model"] for one in answer["networks"]})
    variants = sorted({one["selected_by"] for one in answer["candidates"]})
    slow = max(one["latency_ms_p50"] for one in answer["candidates"])
    return [
        *({"models": [model]} for model in models),
        *({"variants": [variant]} for variant in variants),
        {"models": models, "variants": variants, "modes": ["raw"]},
        {"models": models[:1], "max_latency_ms": slow / 2, "attitude": "frugal"},
        {"modes": ["raw"], "min_accuracy": 0.5, "max_latency_ms": slow / 3},
        {"alarms": "forbidden"},
        {"min_localisation": 0.3, "attitude": "frugal"},
        {"max_failed_seeds": 0},
        {"max_failed_seeds": 2, "max_latency_ms": None},
    ]


def write_page(folder: Path, answer: AnswerTables) -> Path:
    """Write a page that has the scripts of the rule and the block alone."""
    block = f'<script type="application/json" id="data-answer">{embed_data(answer)}</script>'
    scripts_of_rule = read_scripts((*SHARED, *RULE))
    scripts = "".join(f"<script>{text}</script>" for text in scripts_of_rule)
    path = folder / "page.html"
    path.write_text(f"<!doctype html><meta charset=utf-8>{block}{scripts}", encoding="utf-8")
    return path


def command_record(command: str, directory: Path) -> dict[str, Any]:
    """Return the record that a command of the page prints."""
    words = shlex.split(command)
    assert words[:2] == ["resomap", "choose"]
    result = CliRunner().invoke(app, ["choose", str(directory), *words[2:], "--json"])
    assert result.exit_code in (0, 3, 4), result.output
    record: dict[str, Any] = json.loads(result.output)
    return record


def differences(expected: Any, found: Any, path: str = "") -> Iterator[str]:
    """Yield where two records differ; numbers may by 1e-9."""
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        for key in {*expected} | {*found}:
            yield from differences(expected.get(key), found.get(key), f"{path}.{key}")
    elif isinstance(expected, list) and isinstance(found, list):
        if len(expected) != len(found):
            yield f"{path}: {len(expected)} and {len(found)} items"
        for number, pair in enumerate(zip(expected, found, strict=False)):
            yield from differences(*pair, f"{path}[{number}]")
    elif isinstance(expected, float) and isinstance(found, int | float):
        if not math.isclose(expected, found, rel_tol=1e-9, abs_tol=1e-9):
            yield f"{path}: {expected!r} and {found!r}"
    elif expected != found:
        yield f"{path}: {expected!r} and {found!r}"


def comparable(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a record that the page and the command share."""
    kept = {
        key: value for key, value in record.items() if key not in NOT_IN_PAGE | ONLY_IN_PAGE
    }
    # The page names the facts that differ, without their values.
    names = ("name", "accepted")
    kept["confounds"] = [{name: one[name] for name in names} for one in record["confounds"]]
    return kept


def compare(
    page: Page, sweep: AnsweredSweep, every: Sequence[Limits], monkeypatch: pytest.MonkeyPatch
) -> set[tuple[str, str]]:
    """Compare the page with its commands for every limits; returns the distinct answers."""
    config = lifecycle.read_run_config(sweep.directory)
    # Read once: both take longer than everything else of an answer.
    monkeypatch.setattr(inputs, "read_inputs", lambda *_: sweep.found)
    monkeypatch.setattr(lifecycle, "read_run_config", lambda _: config)
    answers = set()
    for limits, found in zip(
        every, page.evaluate("all => all.map(resomap.choose)", every), strict=True
    ):
        expected = command_record(found["command"], sweep.directory)
        kept, of_page = comparable(expected), comparable(found)
        if found["provisional_advice"]:
            for advice in ("more_seeds", "more_images"):
                assert found["needed"][advice] is None
                kept["needed"][advice] = None
        assert list(differences(kept, of_page)) == [], limits
        answers.add((expected["status"], str(expected["choice"])))
    return answers


@pytest.mark.parametrize(("name", "count"), [("recorded", 18), ("planted", 24)])
def test_page_and_command_agree_where_limits_straddle_bounds(
    name: str,
    count: int,
    browser: Browser,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sweep = request.getfixturevalue(name)
    limits = straddling_limits(sweep.answer, count)
    with open_page(browser, write_page(tmp_path, sweep.answer)) as opened:
        answers = compare(opened.page, sweep, limits, monkeypatch)
        assert opened.logged == []
    assert len(limits) >= 50
    assert len(answers) >= 8


@pytest.mark.parametrize(
    ("shape", "status"),
    [
        ({"seeds": (0,)}, "chosen"),
        ({"seeds": (0, 1), "models": 1, "sizes": (16, 64)}, "chosen"),
        ({"test": 1, "skill": 3.0}, "nothing learned"),
        ({"skill": -3.0}, "nothing learned"),
        ({"models": 0}, "none"),
        ({"models": 3, "rng": 5, "val": 2000, "test": 4000}, "chosen"),
    ],
    ids=["one seed", "few cells", "one test image", "nothing learned", "empty", "larger"],
)
def test_page_and_rule_agree_for_sweep(
    shape: dict[str, Any], status: str, browser: Browser, tmp_path: Path
) -> None:
    candidates = PlantedSweep(**shape).draw()
    rules = report_rules(max_failed_seeds=1, accept_confounds=("device",))
    accuracies = accuracies_of(candidates, rules.confidence)
    record = choose(candidates, rules, CLASSES, accuracies)
    answer = answer_tables(candidates, rules, CLASSES, accuracies, record)
    with open_page(browser, write_page(tmp_path, answer)) as opened:
        found = opened.page.evaluate("() => resomap.choose()")
    assert (
        list(differences(comparable(json.loads(json.dumps(record))), comparable(found))) == []
    )
    assert record["status"] == status


def test_t_quantiles_of_page_are_those_of_scipy(browser: Browser, tmp_path: Path) -> None:
    errors = [0.4, 0.2, 0.05, 0.025, 0.01, 1e-3, 2e-4, 1e-5]
    df = [*np.geomspace(1, 1e9, 80).tolist(), 1.5, 2.0, 4.0, 16.0, 64.0]
    with open_page(browser, write_page(tmp_path, {})) as opened:
        quantiles, tails = opened.page.evaluate(
            """([errors, dfs]) => {
                const { tQuantiles, tTail } = resomap.distributions;
                const table = errors.map((error) => dfs.map(tQuantiles(error)));
                return [table, table.map((row) => row.map((t, i) => tTail(t, dfs[i])))];
            }""",
            [errors, df],
        )
    expected = stats.t.isf(np.array(errors)[:, None], df)
    assert quantiles == pytest.approx(expected, rel=1e-11)
    assert tails == pytest.approx(np.repeat(np.array(errors)[:, None], len(df), 1), rel=1e-10)


def test_limit_of_unknown_name_is_refused(
    planted: AnsweredSweep, browser: Browser, tmp_path: Path
) -> None:
    with open_page(browser, write_page(tmp_path, planted.answer)) as opened:
        message = opened.page.evaluate(
            "() => { try { resomap.choose({ max_latency: 3 }) } catch (error) { return error.message } }"
        )
    assert message == "max_latency is no key of limits"
