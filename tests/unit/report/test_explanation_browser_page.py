"""The explanation browser and the card of a cell in Chromium: keys, filters, names of users."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from playwright.sync_api import Browser, Page

from resomap.analysis.tables import read_tables
from resomap.report.browser.build import write_browser
from resomap.report.browser.section import FILE_NAME
from resomap.report.catalogue import figure_names
from resomap.system import files
from tests.browser import OpenPage, open_page, start_chromium
from tests.drawings import stored_images
from tests.pages import page_of
from tests.synthetic import CLASSES, Sweep, aggregate

SWEEP = Sweep(
    models=("tiny_cnn", "simple_cnn"),
    resolutions=(16, 24, 48),
    seeds=(0, 1),
    test=80,
    val=40,
    native=48,
    explained=24,
    failed_methods=("saliency",),
    statuses={("simple_cnn", 48, 1): "diverged"},
)
MARKUP = "<img src=x onerror=\"document.title='run'\"> & 'quotes'"
RIGHT_TO_LEFT = "\u202edesrever \u05d0\u05d1\u05d2"
FILE = "a/</script><script>document.title='run'</script>.jpg"
NAMES = {CLASSES[0]: MARKUP, CLASSES[1]: RIGHT_TO_LEFT}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a sweep with an alarm at 24 px, whose classes and files have hostile names."""
    folder = tmp_path_factory.mktemp("results")
    aggregate(folder, SWEEP)
    _write_plain_figures(folder / "figures")
    _rename(folder)
    alarms = pd.read_csv(folder / "tables/alarms.csv").astype(
        {"state": object, "images": object}
    )
    rows = (alarms["resolution"] == 24) & (alarms["model"] == "tiny_cnn")
    fires = rows & (alarms["group"] == "broad")
    alarms.loc[fires, ["state", "images"]] = ["fires", "10 2 0"]
    alarms.to_csv(folder / "tables/alarms.csv", index=False)
    tables = read_tables(folder / "tables")
    write_browser(tables, stored_images(folder), folder / "runs", folder / "figures")
    page = page_of(folder, folder / "figures", SWEEP)
    files.write_text(folder / "index.html", page)
    return folder


def _write_plain_figures(folder: Path) -> None:
    """Write a square for every figure, since drawing them takes longer than all these tests."""
    for name in figure_names("reef", explain=True):
        square = (
            '<svg width="9" height="9" viewBox="0 0 9 9"><rect width="9" height="9"/></svg>'
        )
        for kind in ("svg", "png", "csv"):
            files.write_text(folder / f"{name}.{kind}", square)


def _rename(folder: Path) -> None:
    """Give two classes and one file names that a page could mistake for markup."""
    path = folder / "data/manifest.json"
    manifest = files.read_json(path)
    manifest["classes"] = [NAMES.get(name, name) for name in manifest["classes"]]
    manifest["groups"] = {NAMES.get(k, k): group for k, group in manifest["groups"].items()}
    files.write_json(path, manifest)
    for name, column in (("data/pictures", "source"), ("tables/classes", "class")):
        table = pd.read_csv(folder / f"{name}.csv")
        table[column] = table[column].replace({**NAMES, "test/0.jpg": FILE})
        table.to_csv(folder / f"{name}.csv", index=False)


@pytest.fixture(scope="module")
def values(results: Path) -> dict[str, Any]:
    return json.loads((results / "figures" / FILE_NAME).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with start_chromium() as browser:
        yield browser


@pytest.fixture
def opened(chromium: Browser, results: Path) -> Iterator[OpenPage]:
    """Open the page with the browser in view; a test that logs or requests anything fails."""
    with open_page(chromium, results / "index.html") as opened:
        opened.page.locator("#explanation-browser").scroll_into_view_if_needed()
        wait_until_drawn(opened.page)
        yield opened
        assert opened.logged == []
        assert opened.foreign_requests == []
        assert opened.page.title() != "run"


def wait_until_drawn(page: Page) -> dict[str, Any]:
    """Return the state that is drawn, once it is that of the controls."""
    page.wait_for_function(
        """() => {
            const root = document.querySelector('.browser'), drawn = root.dataset.drawn;
            const of = name => root.querySelector(`[data-choice=${name}]`).value;
            const filter = root.querySelector('[name=explanations-filter]:checked').value;
            const current = root.querySelector('.gallery [aria-current=true]');
            if (!drawn || !current) return false;
            const state = JSON.parse(drawn);
            return state.model === of('model') && String(state.resolution) === of('resolution')
                && String(state.seed) === of('seed') && state.filter === filter
                && String(state.place) === current.dataset.place
                && root.querySelector('.methods [aria-pressed=true]').dataset.method === state.method;
        }"""
    )
    return json.loads(page.locator(".browser").get_attribute("data-drawn") or "")


def press(page: Page, key: str) -> dict[str, Any]:
    page.keyboard.press(key)
    return wait_until_drawn(page)


def places_of(page: Page) -> list[int]:
    buttons = page.locator(".gallery button").all()
    return [int(button.get_attribute("data-place") or "") for button in buttons]


def pixels_of(page: Page, selector: str) -> str:
    return page.locator(selector).evaluate("canvas => canvas.toDataURL()")


def cell_of(values: dict[str, Any], model: str, px: int) -> dict[str, Any]:
    cells = values["cells"]
    return next(cell for cell in cells if (cell["model"], cell["resolution"]) == (model, px))


def test_browser_opens_at_the_alarm_with_its_images_first(
    opened: OpenPage, values: dict[str, Any]
) -> None:
    state = wait_until_drawn(opened.page)
    assert (state["model"], state["resolution"], state["method"]) == ("tiny_cnn", 24, "gradcam")
    shown = [values["images"][place]["index"] for place in places_of(opened.page)]
    assert shown[:3] == [10, 2, 0]
    assert sorted(shown) == list(range(24))
    assert opened.page.locator(".gallery .mark.alarm").count() == 3


def test_keys_change_image_resolution_and_method(opened: OpenPage) -> None:
    page, first = opened.page, wait_until_drawn(opened.page)
    places = places_of(page)
    page.locator(".pictures").focus()
    assert press(page, "ArrowRight")["place"] == places[1]
    assert press(page, "ArrowLeft")["place"] == places[0] == press(page, "ArrowLeft")["place"]
    before = pixels_of(page, ".map canvas")
    assert press(page, "ArrowUp")["resolution"] == 48 == press(page, "ArrowUp")["resolution"]
    assert pixels_of(page, ".map canvas") != before
    assert press(page, "ArrowDown")["resolution"] == 24
    assert pixels_of(page, ".map canvas") == before
    assert press(page, "]")["method"] == "integrated_gradients"
    assert press(page, "3")["method"] == "saliency"
    assert page.locator(".failed-note").is_visible()
    assert press(page, "[")["method"] == "integrated_gradients"
    assert press(page, "1") == first
    assert "no. 10" in page.locator(".live").inner_text()


def test_keys_do_nothing_outside_the_browser(opened: OpenPage) -> None:
    page, first = opened.page, wait_until_drawn(opened.page)
    page.evaluate("document.activeElement.blur()")
    for key in ("ArrowRight", "3", "]"):
        page.keyboard.press(key)
    page.locator("[data-choice=opacity]").focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_function(
        "() => JSON.parse(document.querySelector('.browser').dataset.drawn).opacity === .84"
    )
    assert wait_until_drawn(page) == first | {"opacity": 0.84}


@pytest.mark.parametrize("px", [24, 48])
@pytest.mark.parametrize("seed", [0, 1])
def test_filters_keep_what_they_say(
    opened: OpenPage, values: dict[str, Any], px: int, seed: int
) -> None:
    page = opened.page
    page.locator("[data-choice=resolution]").select_option(str(px))
    page.locator("[data-choice=seed]").select_option(str(seed))
    run = cell_of(values, "tiny_cnn", px)["runs"][seed]
    wrong = [
        set(cell_of(values, "tiny_cnn", one)["runs"][seed]["wrong"]) for one in (16, 24, 48)
    ]
    expected = {
        "all": set(range(24)),
        "wrong": set(run["wrong"]),
        "flipped": set.union(*wrong) - set.intersection(*wrong),
        "reason": set(run["off"]),
    }
    for name, places in expected.items():
        page.locator(f"[name=explanations-filter][value={name}]").check()
        if places:
            wait_until_drawn(page)
        else:
            assert page.locator(".empty").is_visible()
        assert set(places_of(page)) == places
        assert page.locator(f"[data-count={name}]").inner_text() == str(len(places))


def test_seed_that_failed_is_not_offered(opened: OpenPage) -> None:
    page = opened.page
    page.locator("[data-choice=seed]").select_option("1")
    page.locator("[data-choice=model]").select_option("simple_cnn")
    page.locator("[data-choice=resolution]").select_option("48")
    assert wait_until_drawn(page)["seed"] == 0
    assert page.locator("[data-choice=seed] option").all_inner_texts() == ["0"]
    # The strip shows the sizes of the model that have this seed.
    assert page.locator(".sizes button").count() == 3


def test_strip_shows_and_opens_every_resolution(opened: OpenPage) -> None:
    page = opened.page
    labels = page.locator(".sizes b").all_inner_texts()
    assert labels == ["16 px", "24 px", "48 px"]
    page.locator(".sizes button").last.click()
    assert wait_until_drawn(page)["resolution"] == 48
    assert page.evaluate("document.activeElement.dataset.resolution") == "48"


def test_map_in_page_equals_map_in_file(opened: OpenPage, results: Path) -> None:
    script = """async () => {
        const data = resomap.openExplanations();
        const cell = data.cell('tiny_cnn', 16);
        const map = await data.map(cell, 'saliency', 1, 5);
        return {index: data.images[5].index, values: [...map.values], scale: map.scale};
    }"""
    found = opened.page.evaluate(script)
    path = results / "runs/custom/tiny_cnn/r16/seed1/explanations/saliency.npz"
    stored = files.read_arrays(path)["attribution"][found["index"]].ravel()
    clipped = (stored / found["scale"]).clip(-1, 1)
    assert abs(clipped - found["values"]).max() <= 0.5 / 7 + 1e-6


def test_names_of_users_appear_as_text(opened: OpenPage, values: dict[str, Any]) -> None:
    page = opened.page
    for index, name in ((0, MARKUP), (1, RIGHT_TO_LEFT)):
        place = [image["index"] for image in values["images"]].index(index)
        page.locator(f".gallery [data-place='{place}']").click()
        wait_until_drawn(page)
        assert page.locator(".answer dd").nth(1).text_content() == name
        assert name in page.locator(".plain canvas").get_attribute("aria-label")
    place = [image["index"] for image in values["images"]].index(0)
    page.locator(f".gallery [data-place='{place}']").click()
    assert FILE in page.locator(".answer dd").first.text_content()
    assert page.locator(".browser img").count() == 0


def announce_cell(page: Page, model: str, px: int) -> None:
    cell = {"family": "custom", "model": model, "resolution": px}
    page.evaluate("cell => resomap.announce('cell', cell)", cell)


def test_cell_card_opens_and_escape_returns_the_focus(opened: OpenPage) -> None:
    page = opened.page
    page.locator("[data-choice=model]").focus()
    announce_cell(page, "simple_cnn", 48)
    card = page.locator("dialog.cell-card")
    assert card.is_visible()
    text = card.inner_text()
    assert "simple_cnn 48 px" in text
    assert "1 finished seed; seed 1: diverged (it diverged)" in text
    page.keyboard.press("Escape")
    assert not card.is_visible()
    assert page.evaluate("document.activeElement.dataset.choice") == "model"


def test_cell_card_names_alarm_and_weakest_classes(opened: OpenPage) -> None:
    announce_cell(opened.page, "tiny_cnn", 24)
    card = opened.page.locator("dialog.cell-card")
    alarms = card.locator(".alarm").all_inner_texts()
    assert alarms[0].startswith("tiny_cnn at 24 px predicts broad images correctly, but")
    tables = card.locator("table").all()
    assert len(tables) == 2
    assert "eager" in tables[0].inner_text()
    recalls = [float(text) for text in tables[1].locator("td:nth-child(2)").all_inner_texts()]
    assert recalls == sorted(recalls)
    assert len(recalls) == 5
    assert MARKUP in tables[1].inner_text() or RIGHT_TO_LEFT in tables[1].inner_text()


def test_link_of_cell_card_opens_the_browser_at_the_cell(opened: OpenPage) -> None:
    page = opened.page
    announce_cell(page, "simple_cnn", 16)
    page.locator("dialog.cell-card a").click()
    state = wait_until_drawn(page)
    assert (state["model"], state["resolution"]) == ("simple_cnn", 16)
    assert not page.locator("dialog.cell-card").is_visible()


def test_page_without_scripts_has_figures_and_one_sentence(
    chromium: Browser, results: Path
) -> None:
    path = results / "index.html"
    with open_page(chromium, path, java_script_enabled=False) as opened:
        assert opened.page.locator("#explanation-browser .unscripted").is_visible()
        assert not opened.page.locator(".browser").is_visible()
        assert opened.page.locator("figure#explanations").is_visible()


def test_narrow_page_does_not_scroll_sideways(chromium: Browser, results: Path) -> None:
    size = {"width": 360, "height": 800}
    with open_page(chromium, results / "index.html", viewport=size) as opened:
        page = opened.page
        page.locator("#explanation-browser").scroll_into_view_if_needed()
        wait_until_drawn(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        plain, drawn = (
            page.locator(f".{name} canvas").bounding_box() for name in ("plain", "map")
        )
        assert plain["x"] == drawn["x"]
        assert drawn["y"] > plain["y"]
