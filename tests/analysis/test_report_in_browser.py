"""The report as a person opens it: from a file, in a real browser, without a network."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from analysis.report.write import write_report

sync_api = pytest.importorskip("playwright.sync_api", reason="the report is tested in a browser with playwright")
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the path to open the report with")
HOSTILE = "</script><script>alert(1)</script>"


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@contextmanager
def opened(browser, path, *, width=1280, scheme="light") -> Iterator:
    """The page with its charts drawn; on leaving, nothing was fetched and nothing complained."""
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    requests, complaints = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append(dialog.message))
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-drawn]", timeout=60_000)
    try:
        yield page
    finally:
        page.close()
    assert requests == [path.as_uri()]
    assert complaints == []


def marks(page, panel="accuracy-0"):
    """How many curves' marks are drawn."""
    return page.locator(f"#{panel} g.mark-symbol.role-mark path").count()


@pytest.fixture(scope="module")
def report(realistic):
    return write_report(realistic)[0]


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_charts_are_drawn_and_nothing_overflows(browser, report, width, scheme):
    with opened(browser, report, width=width, scheme=scheme) as page:
        assert page.locator(".chart > svg, .chart .chart-wrapper > svg, .chart svg.marks").count() == 6
        assert marks(page) == 6 * 8
        assert page.evaluate("document.documentElement.scrollWidth") == width
        for box in page.locator(".chart svg.marks").all():
            bounds = box.bounding_box()
            assert bounds["x"] >= 0
            assert bounds["x"] + bounds["width"] <= width


def test_ticks_read_as_sparsity(browser, report):
    for width in (390, 1280):
        with opened(browser, report, width=width) as page:
            texts = page.locator("#accuracy-0 g.role-axis-label text").all_text_contents()
            for tick in ("0 %", "90 %", "99 %", "99.9 %", "99.99 %"):
                assert tick in texts


def test_a_key_hides_and_shows_its_curve_everywhere(browser, report):
    with opened(browser, report) as page:
        key = page.get_by_role("button", name="synflow, 100 rounds")
        key.click()
        page.wait_for_function("document.querySelectorAll('#accuracy-1 g.mark-symbol.role-mark path').length === 40")
        assert marks(page) == 5 * 8
        assert key.get_attribute("aria-pressed") == "false"
        key.click()
        page.wait_for_function("document.querySelectorAll('#accuracy-1 g.mark-symbol.role-mark path').length === 48")
        assert marks(page) == 6 * 8


def test_hovering_tells_the_numbers(browser, report):
    with opened(browser, report) as page:
        page.locator("#accuracy-0 g.mark-symbol.role-mark path").last.hover()
        page.wait_for_selector("#vg-tooltip-element.visible")
        text = page.locator("#vg-tooltip-element").inner_text()
        for word in ("sparsity", "mean accuracy", "95 % interval", "lowest", "highest", "runs (n)", "collapsed"):
            assert word in text


def test_charts_follow_a_change_of_theme(browser, report):
    with opened(browser, report) as page:
        before = page.locator("#accuracy-0 g.role-axis-label text").first.get_attribute("fill")
        page.emulate_media(color_scheme="dark")
        page.wait_for_function(
            "before => { const text = document.querySelector('#accuracy-0 g.role-axis-label text');"
            " return text && text.getAttribute('fill') !== before; }",
            arg=before,
        )


def test_a_hostile_name_is_text(browser, builder):
    builder.both("a", point={"pruner": HOSTILE, "model": HOSTILE, "sweep": HOSTILE}, layers={HOSTILE: (10, 1)})
    path = write_report(builder.write())[0]
    with opened(browser, path, width=390) as page:
        assert page.locator("h1").inner_text() == HOSTILE
        assert page.locator(".key span").first.inner_text() == HOSTILE
        page.locator("#accuracy-0 g.mark-symbol.role-mark path").first.hover()
        page.wait_for_selector("#vg-tooltip-element.visible")
        assert HOSTILE in page.locator("#vg-tooltip-element").inner_text()
        assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_a_page_of_failures_alone_opens(browser, builder):
    builder.both("a", point={}, error=("OutOfMemoryError", "8 GiB"))
    with opened(browser, write_report(builder.write())[0], width=390) as page:
        assert page.locator(".chart").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") == 390
