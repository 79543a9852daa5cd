"""The tables and folds of the page in Chromium: sorting, search, filter, CSV, folds, copying."""

import base64
import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import pytest
from playwright.sync_api import Browser, Page, expect

from resomap.analysis.facts import read_facts
from resomap.analysis.tables import read_tables
from resomap.config.schema import Experiment
from resomap.report.browser.section import FILE_NAME
from resomap.report.catalogue import figure_names
from resomap.report.page import build_page
from resomap.system import files
from tests.browser import OpenPage, open_page, start_chromium
from tests.sweep_config import sweep_config
from tests.synthetic import Sweep, aggregate

SWEEP = Sweep(
    test=80,
    val=40,
    explained=0,
    variants=("eager", "compiled", "training_step"),
    modes=("raw", "bn"),
    statuses={("tiny_cnn", 24, 0): "diverged", ("tiny_cnn", 24, 1): "diverged"},
)
TABLE = "#candidate-table"
SHOWN = f"{TABLE} tbody tr:not([hidden])"


def write_blank_figures(folder: Path) -> Path:
    """Write figures without a drawing, which take no time to draw, embed and render."""
    for name in figure_names("reef", explain=False):
        svg = '<svg width="9pt" height="5pt" viewBox="0 0 9 5"></svg>'
        files.write_text(folder / f"{name}.svg", svg)
        files.write_text(folder / f"{name}.png", "")
        files.write_text(folder / f"{name}.csv", "n\n")
    files.write_json(folder / FILE_NAME, {"images": []})
    return folder


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    aggregate(folder, SWEEP)
    config = sweep_config(SWEEP)
    explainability = config.explainability.model_copy(update={"enabled": False})
    page = build_page(
        read_tables(folder / "tables"),
        read_facts(folder / "data"),
        write_blank_figures(folder / "figures"),
        experiment=Experiment(name="Reef"),
        config=replace(config, explainability=explainability),
        code="c0de",
    )
    file = folder / "index.html"
    file.write_text(page, encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with start_chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def opened(browser: Browser, path: Path) -> Iterator[OpenPage]:
    with open_page(browser, path) as opened:
        yield opened


@pytest.fixture
def page(opened: OpenPage) -> Iterator[Page]:
    """Yield the page as it was opened, and check that nothing was logged or requested."""
    opened.page.reload()
    yield opened.page
    assert opened.logged == []
    assert opened.foreign_requests == []


def column(page: Page, heading: str) -> list[str]:
    """Return the first line of every cell that is shown below a heading."""
    heads = page.locator(f"{TABLE} thead th").all_inner_texts()
    number = next(place for place, text in enumerate(heads) if text.startswith(heading))
    cells = page.locator(f"{SHOWN} td:nth-child({number + 1})").all_inner_texts()
    return [cell.splitlines()[0] if cell else "" for cell in cells]


def sort_by(page: Page, heading: str) -> str | None:
    head = page.locator(f"{TABLE} thead th", has_text=heading).first
    head.locator("button").click()
    return head.get_attribute("aria-sort")


def downloaded(page: Page) -> list[dict[str, str]]:
    """Return the rows of the CSV that the link of the table downloads."""
    with page.expect_download() as download:
        page.locator("#candidate-csv").click()
    assert download.value.suggested_filename == "candidates.csv"
    return list(csv.DictReader(Path(download.value.path()).read_text("utf-8").splitlines()))


def test_column_sorts_up_and_down_with_blanks_last(page: Page) -> None:
    assert sort_by(page, "test accuracy") == "ascending"
    *known, blank = column(page, "test accuracy")
    assert known == sorted(known)
    assert blank == ""
    assert sort_by(page, "test accuracy") == "descending"
    *known, blank = column(page, "test accuracy")
    assert known == sorted(known, reverse=True)
    assert blank == ""
    assert page.locator(f"{TABLE} [aria-sort]").count() == 1


def test_numbers_sort_by_value_and_names_as_text(page: Page) -> None:
    sort_by(page, "used at")
    sizes = [int(px) for px in column(page, "used at")]
    assert sizes == sorted(sizes)
    sort_by(page, "model")
    assert column(page, "model") == sorted(column(page, "model"))


def test_search_keeps_rows_with_every_word(page: Page) -> None:
    total = page.locator(SHOWN).count()
    page.locator("#candidate-search").fill("SIMPLE_cnn compiled")
    assert 0 < page.locator(SHOWN).count() < total
    assert set(column(page, "model")) == {"simple_cnn"}
    assert all("compiled" in way for way in column(page, "how"))
    count = page.locator("#candidate-count").inner_text()
    assert count == f"{page.locator(SHOWN).count()} of {total} rows"
    page.locator("#candidate-search").fill("no such model")
    assert page.locator(SHOWN).count() == 0


def test_filter_keeps_rows_of_one_verdict(page: Page) -> None:
    page.locator("#candidate-verdict").select_option("diverged")
    assert page.locator(SHOWN).count() == 1
    assert column(page, "verdict")[0].startswith("diverged")
    page.locator("#candidate-verdict").select_option("")
    assert page.locator(SHOWN).count() == page.locator(f"{TABLE} tbody tr").count()


def test_csv_has_the_shown_rows_in_their_order(page: Page, path: Path) -> None:
    page.locator("#candidate-search").fill("simple_cnn")
    sort_by(page, "test accuracy")
    rows = downloaded(page)
    assert [f"{float(row['accuracy']):.3f}" for row in rows] == column(page, "test accuracy")
    assert {row["model"] for row in rows} == {"simple_cnn"}
    table = (path.parent / "tables/candidates.csv").read_text(encoding="utf-8")
    assert list(rows[0]) == table.splitlines()[0].split(",")


def test_csv_without_scripts_has_every_row(browser: Browser, path: Path) -> None:
    with open_page(browser, path, java_script_enabled=False) as one:
        href = one.page.locator("#candidate-csv").get_attribute("href") or ""
        assert one.page.locator(".tools").first.is_hidden()
        assert one.page.locator(f"{TABLE} tbody tr").first.is_visible()
        content = base64.b64decode(unquote(href).partition(",")[2]).decode()
    table = (path.parent / "tables/candidates.csv").read_text(encoding="utf-8")
    assert len(list(csv.reader(io.StringIO(content)))) == len(table.splitlines())


def test_model_announces_its_cell(page: Page) -> None:
    page.evaluate("resomap.listen('cell', (cell) => { window.announced = cell; })")
    button = page.locator(f"{TABLE} button.cell-link").first
    button.focus()
    page.keyboard.press("Enter")
    announced = page.evaluate("window.announced")
    assert set(announced) == {"family", "model", "resolution"}
    assert announced["model"] == button.inner_text()
    assert isinstance(announced["resolution"], int)


ANSWER = """
(index) => {
    const row = document.querySelectorAll('#candidate-table tbody tr')[index];
    const names = ['family', 'model', 'resolution', 'eval_resolution', 'mode', 'variant'];
    const named = Object.fromEntries(JSON.parse(row.dataset.identity).map((v, i) => [names[i], v]));
    const other = document.querySelector('#candidate-table tbody tr');
    const first = Object.fromEntries(
        JSON.parse(other.dataset.identity).map((v, i) => [names[i], v || null]));
    resomap.announce('answer', {
        status: 'chosen', choice: {...named, variant: named.variant || null}, best: null,
        excluded: [{...first, reason: 'p90 latency 9 ms is above <b>2</b> ms'}],
        comparisons: [], unmeasured: [],
    });
}
"""


def test_other_answer_marks_the_choice_and_the_excluded(page: Page) -> None:
    first, second = (page.locator(f"{TABLE} tbody tr").nth(place) for place in (0, 1))
    assert "chosen" in (first.get_attribute("class") or "")
    page.evaluate(ANSWER, 1)
    expect(second).to_have_attribute("data-verdict", "chosen")
    expect(first).to_have_attribute("data-verdict", "excluded")
    # A reason may hold the name of a class: it is text, whatever stands in it.
    expect(first).to_contain_text("above <b>2</b> ms")
    assert "chosen" not in (first.get_attribute("class") or "")
    assert second.get_attribute("data-verdict") == "chosen"
    options = page.locator("#candidate-verdict option").all_text_contents()
    assert {"all", "chosen", "excluded"} <= set(options)


def test_findings_open_by_keyboard(page: Page) -> None:
    summary = page.locator("details.finding > summary").first
    reasons = page.locator("details.finding .reasons").first
    assert reasons.is_hidden()
    summary.focus()
    page.keyboard.press("Enter")
    assert reasons.is_visible()
    page.keyboard.press("Space")
    assert reasons.is_hidden()


def test_sort_buttons_work_by_keyboard(page: Page) -> None:
    head = page.locator(f"{TABLE} thead th").nth(1)
    head.locator("button").focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"


def test_class_is_found_by_its_name(page: Page) -> None:
    page.locator("#class-search").fill("ray")
    names = page.locator("#class-table tbody tr:visible td:first-child").all_inner_texts()
    assert sorted(names) == ["ray-bars", "ray-stripes"]
    assert page.locator("#class-count").inner_text() == "2 of 8 classes"


def test_method_is_copied_or_selected(page: Page) -> None:
    button = page.locator("button.copy").first
    button.click()
    output = page.locator(".copied output").first
    output.filter(has_text="op").wait_for()
    assert output.inner_text() in {"Copied", "Selected: copy it with Ctrl+C"}
