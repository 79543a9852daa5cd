"""The charts in Chromium: drawn under the policy of the page, read by pointer and keyboard."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import OpenPage, open_page, start_chromium
from tests.synthetic import Sweep
from tests.unit.report.test_page import build

CHARTED = (
    "accuracy_by_resolution",
    "train_test_matrix",
    "accuracy_by_cost",
    "cost_by_resolution",
    "agreement",
)
# A name that would be markup, a template or an expression where it were not text.
HOSTILE = "<img src=x onerror=alert(1)>${alert(1)}"
SWEEP = Sweep(
    models=("tiny_cnn", "simple_cnn"),
    resolutions=(24, 48),
    test=80,
    val=40,
    native=48,
    explained=4,
    modes=("raw", "bn"),
    without_norm=("tiny_cnn",),
)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    path = folder / "index.html"
    path.write_text(build(folder, SWEEP), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with start_chromium() as browser:
        yield browser


@pytest.fixture
def opened(browser: Browser, path: Path) -> Iterator[OpenPage]:
    with open_page(browser, path) as opened:
        yield opened
        assert opened.logged == []
        assert opened.foreign_requests == []


def show(page: Page, name: str) -> Any:
    """Scroll to a chart and return its drawing."""
    page.locator(f"#{name}").scroll_into_view_if_needed()
    plot = page.locator(f"#{name} .plot")
    # Charts are drawn when they come into view, which takes seconds on a busy machine.
    expect(plot.locator("svg")).to_be_visible(timeout=60_000)
    return plot


def hear_cells(page: Page) -> None:
    page.evaluate("window.heard = []; resomap.listen('cell', (cell) => heard.push(cell))")


def block(path: Path) -> dict[str, Any]:
    """Return the charts of the page, as it embeds them."""
    text = re.search(r'id="data-charts">(.*?)</script>', path.read_text(encoding="utf-8"))
    assert text is not None
    charts: dict[str, Any] = json.loads(text[1])
    return charts


def answer(path: Path, model: str, resolution: int, **changes: Any) -> dict[str, Any]:
    """Return an answer of the page that chooses a cell."""
    rows = block(path)["accuracy_by_cost"]["rows"]
    row = next(one for one in rows if (one["model"], one["resolution"]) == (model, resolution))
    choice = {name: row[name] for name in ("family", "model", "resolution", "latency_ms_p50")}
    choice |= {"eval_resolution": resolution, "mode": "raw", "variant": None, "n_seeds": 2}
    choice["test_accuracy"] = {
        "mean": row["accuracy"],
        "low": row["accuracy_low"],
        "high": row["accuracy_high"],
    }
    return {"choice": choice | changes, "status": "chosen", "excluded": []}


def test_every_chart_is_drawn_in_place_of_its_figure(opened: OpenPage) -> None:
    for name in CHARTED:
        plot = show(opened.page, name)
        assert plot.bounding_box()["width"] > 300
        assert plot.get_attribute("role") == "img"
        assert opened.page.locator(f"#{name} > .claim").text_content() in plot.get_attribute(
            "aria-label"
        )
        expect(opened.page.locator(f"#{name} > svg")).to_be_hidden()


def test_charts_below_the_window_wait_for_the_reader(opened: OpenPage) -> None:
    assert opened.page.locator("#agreement .chart").count() == 1
    assert opened.page.locator("#agreement .plot svg").count() == 0


def test_pointer_shows_number_with_interval_and_click_opens_cell(
    opened: OpenPage, path: Path
) -> None:
    plot, page = show(opened.page, "accuracy_by_cost"), opened.page
    hear_cells(page)
    mark = plot.locator(".points_marks path, .points path").first
    mark.hover()
    row = block(path)["accuracy_by_cost"]["rows"][0]
    tip = page.locator(".chart-tip")
    expect(tip).to_contain_text(
        f"{row['accuracy']:.3f} ({row['accuracy_low']:.3f}\N{EN DASH}{row['accuracy_high']:.3f})"
    )
    expect(tip).to_contain_text(f"{row['n_test']}")
    mark.click()
    cell = {name: row[name] for name in ("family", "model", "resolution")}
    assert page.evaluate("heard") == [cell]
    page.mouse.move(0, 0)
    expect(tip).to_be_hidden()


def test_arrow_keys_read_marks_and_enter_opens_cell(opened: OpenPage, path: Path) -> None:
    plot, page = show(opened.page, "train_test_matrix"), opened.page
    hear_cells(page)
    plot.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    chart = block(path)["train_test_matrix"]
    model, mode = (selector["initial"] for selector in chart["selectors"])
    rows = [one for one in chart["rows"] if (one["model"], one["mode"]) == (model, mode)]
    expect(page.locator(".chart-tip")).to_contain_text(f"{rows[1]['accuracy']:.3f}")
    page.keyboard.press("Enter")
    heard = page.evaluate("heard")
    assert heard == [
        {"family": "custom", "model": model, "resolution": rows[1]["train_resolution"]}
    ]
    page.keyboard.press("Escape")
    expect(page.locator(".chart-tip")).to_be_hidden()


def test_selectors_offer_only_what_the_model_has(opened: OpenPage) -> None:
    show(opened.page, "train_test_matrix")
    model, mode = opened.page.locator("#train_test_matrix select").all()
    model.select_option("simple_cnn")
    assert mode.locator("option").all_inner_texts() == ["as trained", "BatchNorm recalibrated"]
    model.select_option("tiny_cnn")
    assert mode.locator("option").all_inner_texts() == ["as trained"]


def test_answer_moves_the_ring_and_crosses_out_what_it_excludes(
    opened: OpenPage, path: Path
) -> None:
    plot, page = show(opened.page, "accuracy_by_cost"), opened.page
    ring = plot.locator("g.ring_marks path")
    expect(ring).to_have_count(1)
    before = ring.bounding_box()
    claim = page.locator("#accuracy_by_cost > .claim")
    title = claim.text_content()
    record = answer(path, "tiny_cnn", 24)
    excluded = {**record["choice"], "model": "simple_cnn", "reason": "too slow"}
    record["excluded"] = [excluded]
    page.evaluate("(record) => resomap.announce('answer', record)", record)
    expect(claim).not_to_have_text(title)
    expect(plot.locator("g.crosses_marks path")).to_have_count(1)
    # Drawn after the next paint; the policy of the page refuses a condition in JavaScript.
    for _ in range(100):
        if ring.bounding_box()["x"] < before["x"]:
            break
        page.wait_for_timeout(50)
    assert ring.bounding_box()["x"] < before["x"]
    page.evaluate("(record) => resomap.announce('answer', record)", record | {"choice": None})
    expect(ring).to_have_count(0)


def test_choice_that_is_no_cell_has_a_mark_of_its_own(opened: OpenPage, path: Path) -> None:
    plot, page = show(opened.page, "accuracy_by_cost"), opened.page
    count = plot.locator("g.points_marks path").count()
    record = answer(path, "tiny_cnn", 24, variant="onnxruntime", latency_ms_p50=0.2)
    page.evaluate("(record) => resomap.announce('answer', record)", record)
    expect(plot.locator("g.points_marks path")).to_have_count(count + 1)
    expect(plot.locator("g.ring_marks path")).to_have_count(1)


def test_table_behind_a_chart_opens_by_keyboard(opened: OpenPage, path: Path) -> None:
    page = opened.page
    fold = page.locator("#agreement details.numbers")
    assert fold.locator("table").count() == 0
    fold.locator("summary").focus()
    page.keyboard.press("Enter")
    chart = block(path)["agreement"]
    expect(fold.locator("caption")).to_have_text(chart["title"])
    expect(fold.locator("tbody tr")).to_have_count(len(chart["rows"]))
    row = chart["rows"][0]
    expect(fold.locator("tbody tr").first).to_contain_text(f"{row['normalised']:.2f}")


def test_figure_without_csv_link_offers_the_rows_as_csv(browser: Browser, path: Path) -> None:
    text = re.sub(r' <a class="data" download="agreement.csv".*?</a>', "", path.read_text())
    large = path.with_name("large.html")
    # A name that a spreadsheet would compute.
    large.write_text(text.replace('"simple_cnn"', '"=1+1"'), encoding="utf-8")
    with open_page(browser, large) as opened:
        fold = opened.page.locator("#agreement details.numbers")
        fold.locator("summary").click()
        with opened.page.expect_download() as download:
            fold.locator("a.data").click()
        frame = pd.read_csv(download.value.path())
        rows = block(path)["agreement"]["rows"]
        assert frame["normalised"].tolist() == [row["normalised"] for row in rows]
        names = {"tiny_cnn": "tiny_cnn", "simple_cnn": "'=1+1"}
        assert frame["model"].tolist() == [names[row["model"]] for row in rows]
        assert opened.logged == []


def test_legend_singles_out_a_model(opened: OpenPage) -> None:
    plot = show(opened.page, "accuracy_by_resolution")
    button = opened.page.locator("#accuracy_by_resolution .legend button").first
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    expect(plot.locator("g.points_marks path[opacity='0.12']")).to_have_count(2)
    button.click()
    expect(plot.locator("g.points_marks path[opacity='0.12']")).to_have_count(0)


@pytest.mark.parametrize("width", [360, 1280])
def test_trade_off_fits_its_place_on_the_first_screen(
    browser: Browser, path: Path, width: int
) -> None:
    with open_page(browser, path, viewport={"width": width, "height": 800}) as opened:
        plot = show(opened.page, "accuracy_by_cost")
        place = opened.page.locator("#trade-off").bounding_box()
        assert plot.locator("svg").bounding_box()["width"] <= place["width"] <= width
        assert place["height"] < 640
        assert opened.logged == []


def test_names_of_models_are_shown_and_not_run(browser: Browser, path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    escaped = HOSTILE.replace("<", "\\u003c")
    start = text.index('id="data-charts"')
    end = text.index("</script>", start)
    charts = text[start:end].replace("tiny_cnn", escaped)
    hostile = path.with_name("hostile.html")
    hostile.write_text(text[:start] + charts + text[end:], encoding="utf-8")
    with open_page(browser, hostile) as opened:
        for name in CHARTED:
            show(opened.page, name)
        legend = opened.page.locator("#accuracy_by_cost .legend")
        expect(legend).to_contain_text(HOSTILE)
        assert opened.page.locator("img[src=x]").count() == 0
        assert opened.logged == []


def test_page_without_scripts_shows_the_drawings(browser: Browser, path: Path) -> None:
    with open_page(browser, path, java_script_enabled=False) as opened:
        for name in CHARTED:
            expect(opened.page.locator(f"#{name} > svg")).to_be_visible()
            assert opened.page.locator(f"#{name} .chart").count() == 0


def test_print_shows_the_drawings(opened: OpenPage) -> None:
    page = opened.page
    show(page, "accuracy_by_cost")
    page.emulate_media(media="print")
    for name in CHARTED:
        expect(page.locator(f"#{name} > svg")).to_be_visible()
        expect(page.locator(f"#{name} .chart")).to_be_hidden()


def test_colours_follow_the_scheme_without_redrawing(opened: OpenPage) -> None:
    plot = show(opened.page, "accuracy_by_cost")
    label = plot.locator("g.role-axis-label text").first
    colour = "(text) => getComputedStyle(text).fill"
    opened.page.emulate_media(color_scheme="light")
    light = label.evaluate(colour)
    opened.page.emulate_media(color_scheme="dark")
    assert label.evaluate(colour) != light
