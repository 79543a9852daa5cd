"""The report as a reader's browser sees it: nothing leaves the page, nothing is missing, nothing complains."""

import json
import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from websocket import WebSocket, create_connection

CHROMIUM = (
    shutil.which("chromium")
    or shutil.which("chromium-browser")
    or shutil.which("google-chrome")
)
QUIET = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-gpu",
)
VISIBLE = """
[...document.querySelectorAll('figure')].map(figure => {
    const pictures = [...figure.querySelectorAll('img, svg')];
    const seen = p => p.getBoundingClientRect().width > 100 && (p.tagName !== 'IMG' || (p.complete && p.naturalWidth > 0));
    return pictures.length > 0 && pictures.some(seen);
})
"""
SECONDS = 60


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebSocket]:
    if CHROMIUM is None:
        assert "CI" not in os.environ, "CI installs Chromium; it is not there"
        pytest.skip("needs Chromium")
    profile = tmp_path_factory.mktemp("profile")
    command = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        *QUIET,
        "--remote-debugging-port=0",
        f"--user-data-dir={profile}",
        "about:blank",
    ]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            socket = create_connection(
                _page(profile / "DevToolsActivePort"), timeout=SECONDS, suppress_origin=True
            )
            yield socket
            socket.close()
        finally:
            process.terminate()


def _page(told: Path) -> str:
    deadline = time.monotonic() + SECONDS
    while not (told.exists() and told.read_text().strip()):
        assert time.monotonic() < deadline, "Chromium did not start"
        time.sleep(0.1)
    port = told.read_text().splitlines()[0]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/json") as answer:
        return next(
            target["webSocketDebuggerUrl"]
            for target in json.load(answer)
            if target["type"] == "page"
        )


def ask(socket: WebSocket, events: list[dict], method: str, **parameters: object) -> dict:
    """Send one command; returns its result, and puts the events that come before it into `events`."""
    number = len(events) + 1000
    socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
    while (message := json.loads(socket.recv())).get("id") != number:
        events.append(message)
    return message["result"]


def test_every_figure_is_seen_no_request_leaves_and_nothing_is_logged(finished, browser):
    events: list[dict] = []
    for domain in ("Page", "Network", "Log", "Runtime"):
        ask(browser, events, f"{domain}.enable")
    ask(
        browser,
        events,
        "Page.navigate",
        url=f"file://{finished.path}/results/report/index.html",
    )
    while not any(event["method"] == "Page.loadEventFired" for event in events):
        events.append(json.loads(browser.recv()))
    result = ask(browser, events, "Runtime.evaluate", expression=VISIBLE, returnByValue=True)

    requests = [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]
    assert [url for url in requests if not url.startswith(("file://", "data:", "about:"))] == []
    assert sum(url.startswith("file://") for url in requests) == 1
    assert [
        event
        for event in events
        if event["method"]
        in ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")
    ] == []
    assert result["result"]["value"], "the report has no figure"
    assert all(result["result"]["value"])
