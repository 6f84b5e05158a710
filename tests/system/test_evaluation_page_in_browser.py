"""The page of `ovf evaluate` in a real browser: desktop, phone and print; nothing is loaded, nothing is cut off."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cohort_rows import small_hospital
from test_audit_page_in_browser import A4_PX, BROWSER, OUTSIDE, WIDTHS_PX, Browser, started

from flows.cli import run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if BROWSER is None:
        pytest.skip("no chromium on this machine: the page of an evaluation was not looked at")
    with started(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page for inside the house, made by the command: it shows most."""
    folder = tmp_path_factory.mktemp("evaluation")
    hospital = small_hospital(folder, n_patients=24)
    line = ["evaluate", "--warehouse", hospital.warehouse, "--labels", str(hospital.labels)]
    assert run([*line, "--out", str(folder / "out"), "--show-small-cells"]) == 0
    return folder / "out" / "index.html"


@pytest.mark.parametrize("screen", WIDTHS_PX)
def test_nothing_sticks_out_and_nothing_is_loaded(browser: Browser, page: Path, screen: str) -> None:
    browser.set_width(WIDTHS_PX[screen], is_phone=screen == "phone")
    browser.open(page)
    assert browser.value("document.documentElement.scrollWidth") <= WIDTHS_PX[screen]
    assert json.loads(browser.value(OUTSIDE)) == []
    assert browser.value("document.querySelectorAll('svg').length") == 6
    assert browser.value("[...document.images].every(image => image.naturalWidth > 0)")
    sent = [
        e["params"]["request"]["url"] for e in browser.events if e["method"] == "Network.requestWillBeSent"
    ]
    assert [url for url in sent if not url.startswith("data:image/png")] == [page.as_uri()]
    assert not [e for e in browser.events if e["method"] in ("Log.entryAdded", "Runtime.exceptionThrown")]


def test_the_page_prints_on_a4(browser: Browser, page: Path) -> None:
    browser.set_width(A4_PX, is_phone=False)
    browser.open(page)
    browser.call("Emulation.setEmulatedMedia", media="print")
    assert browser.value("document.documentElement.scrollWidth") <= A4_PX
    browser.call("Emulation.setEmulatedMedia", media="")
