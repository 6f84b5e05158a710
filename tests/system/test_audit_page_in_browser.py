"""The page of `ovf audit` in a real browser: desktop, phone and print; nothing is loaded, nothing is cut off."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from audit_rows import Hospital, filled_store, hospital_batch, read_by_two
from websockets.sync.client import ClientConnection, connect

from flows.cli import run

pytestmark = pytest.mark.slow
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WAIT_S = 60.0
A4_PX = 695  # 210 mm less two margins of 13 mm, at 96 px an inch
WIDTHS_PX = {"desktop": 1280, "phone": 360}
# What sticks out: text beyond its picture, and whatever makes the page wider than the screen.
OUTSIDE = """JSON.stringify([...document.querySelectorAll("svg text")].filter(text => {
  const inner = text.getBoundingClientRect(), outer = text.ownerSVGElement.getBoundingClientRect();
  return inner.left < outer.left - 1 || inner.right > outer.right + 1 || inner.bottom > outer.bottom + 1;
}).map(text => text.textContent))"""


class Browser:
    """One tab, spoken to in the DevTools protocol."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.last = 0
        self.events: list[dict[str, Any]] = []
        self.session: str | None = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        self.last += 1
        message: dict[str, object] = {"id": self.last, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        self.socket.send(json.dumps(message))
        while True:
            answer: dict[str, Any] = json.loads(self.socket.recv(WAIT_S))
            if answer.get("id") == self.last:
                assert "error" not in answer, answer
                return dict(answer["result"])
            self.events.append(answer)

    def open(self, page: Path) -> None:
        self.events.clear()
        self.call("Page.navigate", url=page.as_uri())
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.events.append(json.loads(self.socket.recv(WAIT_S)))

    def value(self, expression: str) -> Any:
        return self.call("Runtime.evaluate", expression=expression)["result"]["value"]

    def set_width(self, width_px: int, *, is_phone: bool) -> None:
        size = {"width": width_px, "height": 900, "deviceScaleFactor": 1}
        self.call("Emulation.setDeviceMetricsOverride", mobile=is_phone, **size)


@contextmanager
def started(profile: Path) -> Iterator[Browser]:
    assert BROWSER is not None
    options = ["--headless", "--disable-gpu", "--remote-debugging-port=0", f"--user-data-dir={profile}"]
    options += ["--no-sandbox"] if os.geteuid() == 0 else []
    with subprocess.Popen(
        [BROWSER, *options, "about:blank"], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stderr is not None
            address = next(found[0] for line in process.stderr if (found := re.search(r"ws://\S+", line)))
            with connect(address, max_size=None, proxy=None) as socket:
                yield Browser(socket)
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if BROWSER is None:
        pytest.skip("no chromium on this machine: the page of the audit was not looked at")
    with started(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The page before and after people have read, made by the command."""
    folder = tmp_path_factory.mktemp("audit")
    batch, truth = hospital_batch(Hospital(n_patients=700, prevalence=0.25), seed=3)
    store = filled_store(folder, batch)
    where = ["--warehouse", str(store.paths.warehouse)]
    listed, filled = folder / "list.csv", folder / "filled.csv"
    assert run(["audit", "--out", str(folder / "unread"), *where]) == 0
    assert run(["audit", "sample", "--reads", "280", "--seed", "7", "--out", str(listed), *where]) == 0
    with store.read_live() as connection:
        studies = dict(connection.execute("SELECT case_id, study_key FROM audit_unit").fetchall())
    read_by_two(listed, filled, truth, studies)
    assert run(["audit", "readings", str(filled), *where]) == 0
    assert run(["audit", "--out", str(folder / "read"), *where]) == 0
    found = {name: folder / name / "index.html" for name in ("unread", "read")}
    assert all(page.stat().st_mode & 0o077 == 0 for page in found.values())
    return found


@pytest.mark.parametrize("screen", WIDTHS_PX)
@pytest.mark.parametrize("kind", ["unread", "read"])
def test_nothing_sticks_out_and_nothing_is_loaded(
    browser: Browser, pages: dict[str, Path], kind: str, screen: str
) -> None:
    width_px = WIDTHS_PX[screen]
    browser.set_width(width_px, is_phone=screen == "phone")
    browser.open(pages[kind])
    assert browser.value("document.documentElement.scrollWidth") <= width_px
    assert json.loads(browser.value(OUTSIDE)) == []
    assert browser.value("document.querySelectorAll('svg').length") >= 4
    asked = [
        e["params"]["request"]["url"] for e in browser.events if e["method"] == "Network.requestWillBeSent"
    ]
    assert asked == [pages[kind].as_uri()]
    assert not [e for e in browser.events if e["method"] in ("Log.entryAdded", "Runtime.exceptionThrown")]


def test_the_page_prints_on_a4(browser: Browser, pages: dict[str, Path]) -> None:
    browser.set_width(A4_PX, is_phone=False)
    browser.open(pages["read"])
    browser.call("Emulation.setEmulatedMedia", media="print")
    assert browser.value("document.documentElement.scrollWidth") <= A4_PX
    browser.call("Emulation.setEmulatedMedia", media="")
    printed = base64.b64decode(browser.call("Page.printToPDF", preferCSSPageSize=True)["data"])
    n_pages = len(re.findall(rb"/Type\s*/Page\b", printed))
    assert 3 <= n_pages <= 20


def test_what_the_browser_shows_has_intervals(browser: Browser, pages: dict[str, Path]) -> None:
    browser.set_width(WIDTHS_PX["desktop"], is_phone=False)
    browser.open(pages["read"])
    cards = json.loads(
        browser.value("JSON.stringify([...document.querySelectorAll('.card')].map(card => card.innerText))")
    )
    assert len(cards) >= 6
    for card in cards:
        assert "simulated, not validated on patients" in card
        assert "target condition" in card
        assert "interval" in card or "hidden" in card or "not given" in card
    missed = next(card for card in cards if card.startswith("Missed, strict"))
    assert "95\N{NO-BREAK SPACE}% interval" in missed
