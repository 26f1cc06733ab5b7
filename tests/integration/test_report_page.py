# SPDX-License-Identifier: Apache-2.0
"""report.html in a real browser: it shows without a complaint, and fits a phone and a desk, by day and by night."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

import pytest

from tests.integration.browser import BEYOND, Browser
from tests.unit.collection.samples import SAMPLES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

page = importlib.import_module("ansible_collections.quantum.router.plugins.plugin_utils.page")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser for all tests of the module."""
    opened = Browser(tmp_path_factory.mktemp("chromium"))
    yield opened
    opened.close()


def written(folder: Path, name: str) -> Path:
    """The page of a sample as a file."""
    path = folder / "report.html"
    path.write_text(page.render(SAMPLES[name]), encoding="utf-8")
    return path


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("name", SAMPLES)
def test_a_page_fits_and_nothing_complains(
    browser: Browser, tmp_path: Path, name: str, width: int, *, dark: bool
) -> None:
    """No message on the console, no request beside the page itself, and nothing beyond the edge of the window."""
    path = written(tmp_path, name)
    browser.open(path, width, dark=dark)
    assert [] == browser.said("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
    assert [path.as_uri()] == [each["request"]["url"] for each in browser.said("Network.requestWillBeSent")]
    assert width == browser.evaluate("Math.max(innerWidth, document.documentElement.scrollWidth)")
    assert [] == browser.evaluate(BEYOND)


def test_the_colors_follow_the_reader(browser: Browser, tmp_path: Path) -> None:
    """Light on dark for who has it so, and dark on light on paper in any case."""
    path = written(tmp_path, "passed")
    ground = "getComputedStyle(document.querySelector('header')).backgroundColor"
    shown = []
    for dark in (False, True):
        browser.open(path, 1400, dark=dark)
        shown.append(browser.evaluate(ground))
    browser.call("Emulation.setEmulatedMedia", media="print")
    assert ["rgb(255, 255, 255)", "rgb(20, 26, 34)", "rgb(255, 255, 255)"] == [*shown, browser.evaluate(ground)]
