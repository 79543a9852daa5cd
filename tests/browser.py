"""Headless Chromium for tests of the page: what it shows, logs and requests."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# Without these Chromium asks its maker for updates and components.
OPTIONS = (
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
# A page of 15 MB on a machine that does much else.
TIMEOUT_MS = 120_000
SIZE = {"width": 1280, "height": 800}


@contextmanager
def start_chromium() -> Iterator[Browser]:
    """Start the machine's Chromium; a missing one skips the test, and fails it in CI."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        assert "CI" not in os.environ, "CI installs Chromium, but it is missing"
        pytest.skip("needs Chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(OPTIONS))
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class OpenPage:
    """A page in the browser, with the messages it logged and the addresses it requested."""

    page: Page
    logged: list[str] = field(default_factory=list)
    requested: list[str] = field(default_factory=list)

    @property
    def foreign_requests(self) -> list[str]:
        """Return the requested addresses that are neither the page itself nor inside it."""
        own = (self.page.url.split("#")[0], "data:", "about:", "blob:")
        return [url for url in self.requested if not url.startswith(own)]


@contextmanager
def open_page(browser: Browser, path: Path, **options: object) -> Iterator[OpenPage]:
    """Open a file in a new context; `options` are those of playwright's `new_context`."""
    context = browser.new_context(**{"viewport": SIZE, "reduced_motion": "reduce"} | options)
    opened = OpenPage(context.new_page())
    opened.page.on("console", lambda message: opened.logged.append(message.text))
    opened.page.on("pageerror", lambda error: opened.logged.append(str(error)))
    opened.page.on("request", lambda request: opened.requested.append(request.url))
    try:
        opened.page.goto(path.resolve().as_uri(), wait_until="load", timeout=TIMEOUT_MS)
        yield opened
    finally:
        context.close()
