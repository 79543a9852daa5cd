"""The first screen in Chromium: it fits, it follows the limits, and it writes Python's words."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from resomap.analysis.tables import read_tables
from resomap.report.text.candidate import accuracy_interval, describe_difference
from resomap.report.text.format import escape_unseen
from resomap.report.text.page.first_screen import first_screen
from resomap.system.files import write_text
from resomap.text import format_milliseconds, format_number, format_points
from tests.browser import open_page, start_chromium
from tests.choice_records import records_by_rule, records_by_status, records_of_few
from tests.drawings import draw_sweep
from tests.pages import page_of
from tests.synthetic import Sweep

SWEEP = Sweep(
    resolutions=(24, 48, 96),
    test=400,
    val=400,
    explained=0,
    variants=("eager", "compiled", "training_step"),
    energy=True,
)
PARTS = ("answer-sentence", "answer-certainty", "trade-off", "controls")
BOTTOMS = """
(names) => names.map(name => document.getElementById(name).getBoundingClientRect().bottom)
"""
FIXED_TIES = [0.8125, 0.0625, 0.00390625, 2.5, 0.1875, 0.5, 0.9995, 0.0005, 1e-9, 123.4375]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("screen")
    figures = draw_sweep(folder, SWEEP)
    write_text(folder / "page.html", page_of(folder, figures, SWEEP))
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with start_chromium() as started:
        yield started


@pytest.fixture
def page(browser: Browser, folder: Path) -> Iterator[Page]:
    with open_page(browser, folder / "page.html") as opened:
        yield opened.page
        assert opened.logged == []
        assert opened.foreign_requests == []


def answer_of(page: Page) -> str:
    return str(page.inner_text("#answer-sentence"))


def smallest_latency(folder: Path) -> float:
    """Return a limit that some candidates keep, and the choice of the sweep does not."""
    answer = read_tables(folder / "tables").answer
    bounds = sorted(one["latency_ms_p90"][1] for one in answer["candidates"])
    return round(bounds[len(bounds) // 2], 2)


def test_first_screen_needs_no_scrolling(page: Page) -> None:
    assert max(page.evaluate(BOTTOMS, PARTS)) <= 800
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280


def test_narrow_screen_is_one_column_without_overflow(browser: Browser, folder: Path) -> None:
    size = {"width": 360, "height": 780}
    with open_page(browser, folder / "page.html", viewport=size) as opened:
        assert opened.page.evaluate("document.documentElement.scrollWidth") <= 360
        bottoms = opened.page.evaluate(BOTTOMS, PARTS)
        assert bottoms == sorted(bottoms)


def test_answer_stands_without_scripts_and_controls_do_not(
    browser: Browser, folder: Path
) -> None:
    expected = first_screen(read_tables(folder / "tables").choice)["answer"]
    with open_page(browser, folder / "page.html", java_script_enabled=False) as opened:
        assert opened.page.inner_text("h1").replace("\N{NO-BREAK SPACE}", " ") == expected
        assert opened.page.locator("#trade-off svg").is_visible()
        assert not opened.page.locator("#controls").is_visible()


@pytest.mark.parametrize(
    "records",
    [records_by_status, records_by_rule, records_of_few],
    ids=lambda one: one.__name__,
)
def test_page_writes_the_words_of_python(page: Page, records: Any) -> None:
    for name, record in records().items():
        plain = json.loads(json.dumps(record))
        written = page.evaluate("record => resomap.firstScreen(record)", plain)
        assert written == first_screen(plain), name


def test_page_writes_numbers_as_python(page: Page) -> None:
    values = (
        FIXED_TIES + [one * 7.3 for one in FIXED_TIES] + [0.0, -0.0001, -0.034, 99.96, 1204.5]
    )
    intervals = [{"mean": one, "low": one - 0.01, "high": one + 0.01} for one in values]
    formats = {
        "points": map(format_points, values),
        "milliseconds": map(format_milliseconds, map(abs, values)),
        "difference": map(describe_difference, intervals),
        "accuracy": (accuracy_interval(one, 0.95) for one in intervals),
        "number": (format_number(one, 3) for one in values),
    }
    arguments = {
        "points": [[one] for one in values],
        "milliseconds": [[abs(one)] for one in values],
        "difference": [[one] for one in intervals],
        "accuracy": [[one, 0.95] for one in intervals],
        "number": [[one, 3] for one in values],
    }
    call = "([name, lists]) => lists.map(list => resomap.format[name](...list))"
    for name, expected in formats.items():
        assert page.evaluate(call, [name, arguments[name]]) == list(expected), name


def test_page_escapes_unseen_characters_as_python(page: Page) -> None:
    text = " ".join(map(chr, [*range(0x300), *range(0x600, 0x620), *range(0x2000, 0x2070)]))
    assert page.evaluate("text => resomap.format.escapeUnseen(text)", text) == escape_unseen(
        text
    )


def test_limit_changes_answer_reasons_and_command(page: Page, folder: Path) -> None:
    before, limit = answer_of(page), smallest_latency(folder)
    page.evaluate("resomap.listen('answer', record => { window.announced = record; })")
    page.fill("#limit-max_latency_ms", str(limit))
    assert answer_of(page) != before
    assert f"is above {limit:g} ms" in page.inner_text("#answer-reasons")
    assert f"resomap choose --max-latency-ms {limit:g}" in page.inner_text("#answer-command")
    assert page.evaluate("window.announced.rules.max_latency_ms") == limit
    written = page.evaluate("resomap.firstScreen(window.announced).answer")
    assert answer_of(page).replace("\N{NO-BREAK SPACE}", " ") == written


def test_slider_and_number_show_the_same_limit(page: Page) -> None:
    slide, number = page.locator("#slide-max_latency_ms"), page.locator("#limit-max_latency_ms")
    assert slide.get_attribute("aria-valuetext") == "no limit"
    slide.focus()
    for _ in range(40):
        page.keyboard.press("ArrowLeft")
    assert float(number.input_value()) > 0
    assert slide.get_attribute("aria-valuetext") == f"{number.input_value()} ms"
    assert page.evaluate("document.activeElement.matches(':focus-visible')")
    page.keyboard.press("End")
    assert number.input_value() == ""


def test_reset_restores_the_answer_of_the_sweep(page: Page, folder: Path) -> None:
    before, reset = page.inner_text("#answer"), page.locator("#reset")
    assert reset.is_disabled()
    page.fill("#limit-max_latency_ms", str(smallest_latency(folder)))
    page.fill("#limit-min_accuracy", "50")
    page.select_option("#attitude", "frugal")
    assert page.inner_text("#answer") != before
    reset.click()
    assert page.inner_text("#answer") == before
    assert page.input_value("#limit-max_latency_ms") == ""
    assert page.input_value("#attitude") == "certified"
    assert reset.is_disabled()


def test_impossible_limit_is_refused_or_gives_no_recommendation(page: Page) -> None:
    before, number = answer_of(page), page.locator("#limit-max_latency_ms")
    number.fill("-1")
    assert number.get_attribute("aria-invalid") == "true"
    assert answer_of(page) == before
    number.fill("0.000001")
    assert answer_of(page).startswith("No recommendation")


def test_filter_works_by_keyboard(page: Page) -> None:
    box = page.locator(".filter[data-key=models]")
    before = answer_of(page)
    box.locator("summary").focus()
    page.keyboard.press("Enter")
    chosen = next(name for name in SWEEP.models if name in before)
    box.get_by_label(chosen).focus()
    page.keyboard.press("Space")
    assert box.locator(".state").inner_text() == "1 of 2"
    assert chosen not in answer_of(page)
    page.keyboard.press("Escape")
    assert not box.locator("fieldset").is_visible()
    assert box.locator("summary").evaluate("one => one === document.activeElement")
    box.locator("summary").click()
    box.get_by_role("button").click()
    assert answer_of(page) == before


def test_command_is_copied_or_selected(page: Page, folder: Path) -> None:
    page.fill("#limit-max_latency_ms", str(smallest_latency(folder)))
    # A page opened from a file may have no clipboard.
    page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    page.locator("#answer-command button").click()
    page.wait_for_function("getSelection().toString().startsWith('resomap choose')")
    assert page.inner_text("#answer-command button").startswith("Copied")
    page.evaluate("document.execCommand = () => false")
    page.locator("#answer-command button").click()
    page.wait_for_function(
        "document.querySelector('#answer-command button').innerText.startsWith('Selected')"
    )
