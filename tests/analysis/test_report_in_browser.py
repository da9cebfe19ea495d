"""The report as a person opens it: from a file, in a real browser, without a network."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from analysis.report.collected import collect
from analysis.report.page import html
from analysis.report.write import write_report
from tests.analysis.conftest import StoreBuilder

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
        num_charts = page.locator("div.chart").count()
        assert num_charts >= 6
        assert page.locator(".chart > svg, .chart .chart-wrapper > svg, .chart svg.marks").count() == num_charts
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
        key = page.locator(".key", has_text="synflow, 100 rounds")
        key.click()
        page.wait_for_function("document.querySelectorAll('#accuracy-1 g.mark-symbol.role-mark path').length === 40")
        assert marks(page) == 5 * 8
        assert key.get_attribute("aria-pressed") == "false"
        key.click()
        page.wait_for_function("document.querySelectorAll('#accuracy-1 g.mark-symbol.role-mark path').length === 48")
        assert marks(page) == 6 * 8


def test_a_key_reaches_tables_rows_and_columns(browser, report):
    with opened(browser, report) as page:
        rows, heads = page.locator("#collapse tbody tr:visible"), page.locator("#accuracy-table thead th:visible")
        assert (rows.count(), heads.count()) == (12, 16)
        page.locator(".key", has_text="grasp").click()
        assert (rows.count(), heads.count()) == (10, 14)
        assert page.locator("#accuracy-table tbody tr").first.locator(":scope > :visible").count() == 7
        page.locator(".key", has_text="grasp").click()
        assert (rows.count(), heads.count()) == (12, 16)


def test_a_table_sorts_by_the_numbers_behind_its_texts(browser, report):
    with opened(browser, report) as page:
        head = page.locator("#collapse thead th", has_text="maximal")
        firsts = page.locator("#collapse tbody td:last-child .value")
        before = firsts.all_text_contents()
        button = head.locator("button")
        button.focus()
        page.keyboard.press("Enter")  # as without a mouse
        assert head.get_attribute("aria-sort") == "ascending"
        numbers = [float(text.replace(",", "")) for text in firsts.all_text_contents()]
        assert numbers == sorted(numbers)
        assert len(set(numbers)) == 2
        button.click()
        assert head.get_attribute("aria-sort") == "descending"
        assert firsts.all_text_contents() == sorted(before, key=lambda text: -float(text.replace(",", "")))
        page.locator("#collapse thead button").first.click()
        assert head.get_attribute("aria-sort") is None
        page.locator("#collapse thead button").first.click()
        page.locator("#collapse thead button").first.click()
        assert firsts.all_text_contents() == before  # a third time: as it was


def test_what_is_unknown_is_last_however_a_table_is_sorted(browser, report):
    with opened(browser, report) as page:
        column = page.locator("#collapse tbody td:nth-child(3) .value")
        button = page.locator("#collapse thead th:nth-child(3) button")
        for _ in range(2):
            button.click()
            texts = column.all_text_contents()
            assert "–" in texts
            assert texts[-texts.count("–") :] == ["–"] * texts.count("–")


def test_a_table_is_copied_as_it_is_shown(browser, report):
    with opened(browser, report) as page:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.locator(".key", has_text="grasp").click()
        page.locator("#accuracy-table .copy").first.click()
        page.wait_for_selector("#accuracy-table .copy >> text=Copied")
        lines = [line.split("\t") for line in page.evaluate("navigator.clipboard.readText()").splitlines()]
        assert lines[0] == [
            "sparsity",
            "ratio",
            "magnitude",
            "random",
            "snip",
            "synflow, 1 round",
            "synflow, 100 rounds",
        ]
        assert len(lines) == 1 + 8
        assert lines[1][:2] == ["0.0", "1.0"]
        assert all(0 < float(text) < 1 for text in lines[1][2:])  # in full, not as shown


def test_printing_in_the_dark_is_light_and_has_every_chart(browser, report, tmp_path):
    with opened(browser, report, scheme="dark") as page:
        page.locator(".key", has_text="grasp").click()
        page.emulate_media(media="print")
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        colour = "getComputedStyle(document.body)"
        assert page.evaluate(f"{colour}.color") == "rgb(0, 0, 0)"
        assert page.locator(".copy:visible, nav:visible").count() == 0
        assert page.locator(".key:visible").count() == 5  # the legend, without what was hidden
        assert page.locator(".chart svg.marks:visible").count() == 6
        assert page.evaluate("document.querySelector('section > details').open")
        hollow = page.locator("#accuracy-0 g.mark-symbol.role-mark path[fill='#ffffff']")
        assert hollow.count() > 0
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert not page.evaluate("document.querySelector('section > details').open")
        pdf = page.pdf()
        assert pdf[:4] == b"%PDF"


def test_printing_at_once_draws_what_was_not_drawn_yet(browser, report):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.add_init_script("window.requestIdleCallback = () => 0")  # a page that never pauses draws nothing by itself
    page.goto(report.as_uri())
    assert page.locator(".chart svg").count() == 0
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator(".chart svg.marks").count() == 6
    assert page.locator("#accuracy-0 g.mark-symbol.role-mark path").count() == 6 * 8
    page.close()


def test_a_watched_page_loads_itself_again_and_stays_as_it_was(browser, realistic, tmp_path):
    collected = collect(realistic)
    path = tmp_path / "report.html"
    last = html(collected)
    path.write_text(html(collected, reload_seconds=2))
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(path.as_uri())
    page.locator(".key", has_text="grasp").click()
    page.evaluate("window.sameDocument = true; scrollTo({top: 700, behavior: 'instant'})")
    path.write_text(last)  # the sweep is done
    page.wait_for_function(
        "window.sameDocument === undefined && document.documentElement.dataset.drawn", timeout=30_000
    )
    assert page.locator(".key", has_text="grasp").get_attribute("aria-pressed") == "false"
    assert page.locator("#collapse tbody tr:visible").count() == 10
    assert page.evaluate("scrollY") == 700
    page.evaluate("window.sameDocument = true")
    page.wait_for_timeout(2500)
    assert page.evaluate("window.sameDocument")  # and the last page stays
    page.close()


def test_published_curves_follow_the_keys(browser, realistic, tmp_path):
    published = tmp_path / "published.csv"
    published.write_text(
        "dataset,model,pruner,compression_exponent,top1_accuracy\n"
        + "".join(
            f"digits,mlp,{pruner},{exponent},{90 - 5 * exponent}\n"
            for pruner in ("snip", "grasp")
            for exponent in range(4)
        )
    )
    path = write_report(realistic, published=published, into=tmp_path)[0]
    with opened(browser, path, width=390) as page:
        diamonds = "#reference-0 g.mark-symbol.role-mark.layer_1_marks, #reference-0 g.mark-symbol.role-mark"
        assert page.locator(diamonds).last.locator("path").count() == 8
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        page.locator(".key", has_text="grasp").click()
        page.wait_for_function(
            "[...document.querySelectorAll('#reference-0 g.mark-symbol.role-mark')].at(-1).children.length === 4"
        )


def test_two_stores_side_by_side(browser, tmp_path, builder):
    builder.both("a", point={}, layers={"in": (10, 1)})
    builder.write()
    other = StoreBuilder(tmp_path / HOSTILE.replace("/", "-"))
    other.both("a", point={}, final_test_accuracy=0.8, layers={"in": (10, 1)})
    path = write_report(builder.root, other.write(), into=tmp_path / "page")[0]
    with opened(browser, path, width=390) as page:
        assert page.locator(".key").count() == 2
        assert page.locator("#stores tbody tr").count() == 2 + 1
        assert "−10.0" in page.locator("#stores").inner_text()
        assert page.evaluate("document.documentElement.scrollWidth") == 390


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
