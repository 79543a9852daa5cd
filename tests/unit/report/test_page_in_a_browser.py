"""Pages with hostile names in Chromium: accessible, silent, safe, and readable on paper."""

import base64
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import Browser

from resomap.report.data_page import write_data_page
from resomap.report.text.format import escape_unseen
from tests.browser import OpenPage, open_page, start_chromium
from tests.page_checks import (
    PAPER,
    SCHEMES,
    WIDTHS,
    cut_figures,
    overflow,
    serious_violations,
    unseen_texts,
    visible_controls,
)
from tests.pages import HOSTILE_NAMES, hostile_files, write_hostile_page
from tests.synthetic import Sweep

SWEEP = Sweep(
    resolutions=(24, 48),
    test=80,
    val=40,
    native=48,
    modes=("raw", "bn"),
    explained=8,
    grouped=False,
    **hostile_files(),
)
PAGES = ("report", "images")
# What needs scripts is hidden without them, and what needs a screen on paper.
SCRIPTED_ONLY = "[hidden], [role=dialog]"
SCREEN_ONLY = (
    f"{SCRIPTED_ONLY}, nav, .data, .controls, .tools, .browser, .unscripted, tr.more, "
    ".chart, .charted > .claim, .numbers"
)
# Names of the data page are shortened, so their first letters are looked for.
LETTERS = 20


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The report and the page of the images, of names that try to run."""
    folder = tmp_path_factory.mktemp("hostile")
    with pytest.warns(UserWarning, match="Glyph"):
        report = write_hostile_page(folder, SWEEP)
        images = folder / "images.html"
        write_data_page(folder / "data", SWEEP.resolutions, images, HOSTILE_NAMES[0])
    return {"report": report, "images": images}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with start_chromium() as started:
        yield started


class ListeningServer:
    """A server on this machine that records which addresses are requested."""

    def __init__(self) -> None:
        requests: list[str] = []
        self.requests = requests

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                requests.append(self.path)
                self.send_error(404)

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def server() -> Iterator[ListeningServer]:
    listening = ListeningServer()
    with listening.server as running:
        thread = Thread(target=running.serve_forever)
        thread.start()
        yield listening
        running.shutdown()
        thread.join()


@pytest.fixture(params=PAGES)
def path(request: pytest.FixtureRequest, pages: dict[str, Path]) -> Path:
    return pages[request.param]


def assert_nothing_ran(opened: OpenPage) -> None:
    assert opened.logged == []
    assert opened.foreign_requests == []
    assert opened.page.evaluate("typeof window.hostile") == "undefined"
    assert opened.page.locator("img[onerror], svg[onload], figure script").count() == 0


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_page_has_no_serious_violation(
    browser: Browser, path: Path, scheme: str, width: int
) -> None:
    size = {"width": width, "height": 800}
    with open_page(browser, path, color_scheme=scheme, viewport=size) as opened:
        assert serious_violations(opened.page) == []
        assert overflow(opened.page) == 0


def test_hostile_names_are_shown_and_nothing_runs(browser: Browser, path: Path) -> None:
    with open_page(browser, path) as opened:
        shown = opened.page.locator("body").text_content() or ""
        assert_nothing_ran(opened)
        for name in HOSTILE_NAMES:
            assert escape_unseen(name)[:LETTERS] in shown


def test_names_reorder_no_text_beside_them(browser: Browser, path: Path) -> None:
    with open_page(browser, path) as opened:
        texts = opened.page.locator("body").text_content() or ""
    assert not set(texts) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2028\u2029")
    # An isolate that is closed ends with the name; an open one would take in what follows.
    assert texts.count("\u2068") == texts.count("\u2069") > 0


def test_page_is_readable_without_scripts(browser: Browser, path: Path) -> None:
    with open_page(browser, path, java_script_enabled=False) as opened:
        assert "scripted" not in (opened.page.locator("html").get_attribute("class") or "")
        assert visible_controls(opened.page) == []
        assert unseen_texts(opened.page, f"{SCRIPTED_ONLY}, details:not([open]) *") == []


@pytest.mark.parametrize("scripts", [True, False])
def test_print_shows_all_texts_and_cuts_no_figure(
    browser: Browser, path: Path, scripts: bool
) -> None:
    with open_page(browser, path, viewport=PAPER, java_script_enabled=scripts) as opened:
        opened.page.emulate_media(media="print")
        assert unseen_texts(opened.page, SCREEN_ONLY) == []
        assert visible_controls(opened.page) == []
        assert cut_figures(opened.page) == []
        assert not opened.page.locator("nav").first.is_visible()


def test_print_of_dark_page_has_light_colours(browser: Browser, path: Path) -> None:
    with open_page(browser, path, viewport=PAPER) as opened:
        opened.page.emulate_media(media="print", color_scheme="dark")
        assert serious_violations(opened.page) == []
        paper = "() => getComputedStyle(document.documentElement).backgroundColor"
        assert opened.page.evaluate(paper) == "rgb(255, 255, 255)"


def test_closed_folds_are_printed(browser: Browser, pages: dict[str, Path]) -> None:
    closed = with_markup(
        pages["report"], "<details><summary>Why</summary><p>For it.</p></details>"
    )
    with open_page(browser, closed, java_script_enabled=False) as opened:
        text = opened.page.get_by_text("For it.")
        assert not text.is_visible()
        opened.page.emulate_media(media="print")
        assert text.is_visible()
        assert (text.bounding_box() or {"height": 0})["height"] > 0


def test_folds_open_for_the_print_and_close_after(
    browser: Browser, pages: dict[str, Path]
) -> None:
    folds = "<details><p>One</p></details><details open><p>Two</p></details>"
    is_open = "() => [...document.querySelectorAll('details')].slice(-2).map(fold => fold.open)"
    with open_page(browser, with_markup(pages["report"], folds)) as opened:
        opened.page.evaluate("() => dispatchEvent(new Event('beforeprint'))")
        assert opened.page.evaluate(is_open) == [True, True]
        opened.page.evaluate("() => dispatchEvent(new Event('afterprint'))")
        assert opened.page.evaluate(is_open) == [False, True]


INJECTED = {
    "script": "<script>window.hostile = 1</script>",
    "handler": '<img src="data:," onerror="window.hostile = 1">',
    "frame": '<iframe src="data:text/html,<script>parent.hostile = 1</script>"></iframe>',
    "image": '<img src="ADDRESS/picture.png">',
    "style": '<link rel="stylesheet" href="ADDRESS/style.css">',
}


@pytest.mark.parametrize("kind", INJECTED)
def test_policy_refuses_what_is_put_into_the_page(
    browser: Browser, path: Path, server: ListeningServer, kind: str
) -> None:
    markup = INJECTED[kind].replace("ADDRESS", server.address)
    with open_page(browser, with_markup(path, markup)) as opened:
        assert "Content Security Policy" in " ".join(opened.logged)
        assert opened.page.evaluate("typeof window.hostile") == "undefined"
    assert server.requests == []


def test_policy_refuses_requests_of_scripts(
    browser: Browser, path: Path, server: ListeningServer
) -> None:
    request = "address => fetch(address).then(() => 'sent', () => 'refused')"
    with open_page(browser, path) as opened:
        assert opened.page.evaluate(request, server.address) == "refused"
    assert server.requests == []


def test_server_of_these_tests_hears_a_page_without_policy(
    browser: Browser, tmp_path: Path, server: ListeningServer
) -> None:
    page = tmp_path / "open.html"
    page.write_text(f'<img src="{server.address}/picture.png">', encoding="utf-8")
    with open_page(browser, page):
        assert server.requests == ["/picture.png"]


def with_markup(path: Path, markup: str) -> Path:
    """Return a copy of the page with more markup at its end."""
    name = base64.urlsafe_b64encode(markup.encode()).decode()[:60]
    copy = path.with_name(f"{path.stem}-{name}.html")
    text = path.read_text(encoding="utf-8")
    copy.write_text(text.replace("</body>", f"{markup}</body>"), encoding="utf-8")
    return copy
