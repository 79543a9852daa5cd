"""The report in a browser: self-contained, with every figure visible and no error logged."""

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

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-gpu",
    "--remote-debugging-port=0",
)
# For each figure: whether it holds a drawing that is loaded and more than 100 px wide.
VISIBLE = """
[...document.querySelectorAll('figure')].map(figure => {
    const drawings = [...figure.querySelectorAll('img, svg')];
    const isLoaded = d => d.tagName !== 'IMG' || (d.complete && d.naturalWidth > 0);
    return drawings.some(d => d.getBoundingClientRect().width > 100 && isLoaded(d));
})
"""
ERRORS = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")
TIMEOUT_SECONDS = 60


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebSocket]:
    if CHROMIUM is None:
        assert "CI" not in os.environ, "CI installs Chromium, but it is missing"
        pytest.skip("needs Chromium")
    profile = tmp_path_factory.mktemp("profile")
    command = [CHROMIUM, *OPTIONS, f"--user-data-dir={profile}", "about:blank"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, **quiet) as process:
        try:
            address = find_page(profile / "DevToolsActivePort")
            socket = create_connection(address, timeout=TIMEOUT_SECONDS, suppress_origin=True)
            yield socket
            socket.close()
        finally:
            process.terminate()


def find_page(port_file: Path) -> str:
    """Wait until Chromium has written its port; return the address of its first page."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not (port_file.exists() and port_file.read_text().strip()):
        assert time.monotonic() < deadline, "Chromium did not start"
        time.sleep(0.1)
    port = port_file.read_text().splitlines()[0]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/json") as response:
        targets = json.load(response)
    return next(
        target["webSocketDebuggerUrl"] for target in targets if target["type"] == "page"
    )


def send(socket: WebSocket, events: list[dict], method: str, **parameters: object) -> dict:
    """Send one command and return its result; events that arrive first go into `events`."""
    number = len(events) + 1000
    socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
    while (message := json.loads(socket.recv())).get("id") != number:
        events.append(message)
    return message["result"]


def open_page(socket: WebSocket, page: Path) -> list[dict]:
    """Open a page and return the events up to the end of loading."""
    events: list[dict] = []
    for domain in ("Page", "Network", "Log", "Runtime"):
        send(socket, events, f"{domain}.enable")
    send(socket, events, "Page.navigate", url=f"file://{page}")
    while not any(event["method"] == "Page.loadEventFired" for event in events):
        events.append(json.loads(socket.recv()))
    return events


def test_report_is_complete_and_self_contained(finished, browser):
    events = open_page(browser, finished.path / "results/report/index.html")
    result = send(browser, events, "Runtime.evaluate", expression=VISIBLE, returnByValue=True)
    requests = [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]
    files = [url for url in requests if url.startswith("file://")]
    assert len(files) == 1
    assert [url for url in requests if not url.startswith(("file://", "data:", "about:"))] == []
    assert [event for event in events if event["method"] in ERRORS] == []
    assert result["result"]["value"], "the report has no figure"
    assert all(result["result"]["value"])
