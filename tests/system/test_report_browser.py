"""The report in a real browser: no error, no request, nothing wider than the screen, light and dark."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from boast_source.outputs.report.page import render
from tests.support.page_reader import read_page
from tests.support.report_figures import figures, sequence
from tests.support.workplace import shared

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is in the dev group")
QUIET = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"]


@pytest.fixture(scope="module")
def browser():
    """Playwright's own Chromium, or the one that is installed."""
    with playwright.sync_playwright() as driver:
        own = Path(driver.chromium.executable_path)
        path = own if own.exists() else shutil.which("chromium") or shutil.which("google-chrome")
        if path is None:
            pytest.skip("there is no Chromium: install it with `playwright install chromium`")
        browser = driver.chromium.launch(executable_path=path, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    with shared(tmp_path_factory.mktemp("report"), enrollments=600) as workplace:
        done = workplace.boast("nightly")
        assert done.code == 0, done.err
        yield workplace, workplace.folder / "boast_report.html"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390])
def test_it_shows_without_an_error_or_a_request_and_fits_the_screen(browser, report, width, scheme):
    _, file = report
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    assert said == []
    assert asked == [file.as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    visible = page.locator("figure svg >> visible=true")
    assert visible.count() == 4
    boxes = [visible.nth(n).bounding_box() for n in range(4)]
    assert all(box["width"] <= width and box["height"] > 150 for box in boxes)
    fonts = page.evaluate("[...document.querySelectorAll('svg text, p, td')].map(e => getComputedStyle(e).fontFamily)")
    assert len(set(fonts)) == 1
    tiles = [page.locator(".tile").nth(n).bounding_box() for n in range(5)]
    rights = {round(box["x"] + box["width"]) for box in (tiles[1 if width < 720 else 4], tiles[4])}
    assert len(rights) == 1, "the fifth tile ends where its row ends"
    paper, ink = (page.evaluate(f"getComputedStyle(document.body).{name}") for name in ("backgroundColor", "color"))
    assert (brightness(paper) > brightness(ink)) == (scheme == "light")
    assert page.screenshot(full_page=True)[:4] == b"\x89PNG"
    page.close()


def brightness(colour: str) -> int:
    return sum(int(part) for part in colour.removeprefix("rgb(").rstrip(")").split(","))


def test_the_tip_says_what_is_under_the_pointer(browser, report):
    _, file = report
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    page.goto(file.as_uri())
    mark = page.locator(".wide [aria-roledescription=bar]").first
    says = mark.get_attribute("aria-label")
    assert says.endswith(" enrolled")
    assert page.locator("#tip").is_hidden()
    mark.scroll_into_view_if_needed()
    box = mark.bounding_box()
    page.mouse.move(box["x"] + box["width"] - 3, box["y"] + 2)
    assert page.locator("#tip").inner_text() == says
    page.close()


def test_the_numbers_that_a_reader_sees_are_those_of_the_views(browser, report):
    workplace, file = report
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.goto(file.as_uri())
    tiles = page.locator("#totals b").all_inner_texts()
    rows = page.locator("#sequences tbody tr")
    seen = [rows.nth(n).locator("td").all_inner_texts() for n in range(rows.count())]
    page.close()
    ((enrolled, active, completed, responded),) = workplace.sql(
        "select sum(enrolled), sum(active), sum(completed), sum(responded) from boast_data.sequence_performance"
    )
    assert tiles == [f"{n:,}" for n in (enrolled, active, completed, responded, 0)]
    expected = workplace.sql(
        "select sequence_name, response_rate, responded, enrolled, completion_rate, completed, active, removed"
        " from boast_data.sequence_performance"
        " order by enrolled < 20, response_rate desc, enrolled desc, sequence_id"
    )
    assert [[text.lstrip("▲▼ ") for text in row[:8]] for row in seen] == [
        [row[0], *(f"{value:.1%}" if isinstance(value, float) else f"{value:,}" for value in row[1:])]
        for row in expected
    ]
    assert len(read_page(file.read_text()).tables["sequences"]) == len(seen)


@pytest.mark.parametrize("width", [1200, 390])
def test_a_name_without_a_blank_hides_nothing(browser, tmp_path, width):
    long = "a" * 140
    rows = [sequence(sequence_id=str(n), sequence_name=long) for n in range(20)]  # more than are drawn
    drawn = {"funnel": {"wide": "<svg></svg>", "narrow": "<svg></svg>"}}
    file = tmp_path / "report.html"
    file.write_text(render(figures(sequences=rows, accounts={"a": long}), drawn, can_draw=True))
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto(file.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    shares = page.locator("#sequences td[data-name=response_rate]").first.bounding_box()
    assert shares["x"] + shares["width"] <= width
    page.close()


def test_it_prints_on_paper(browser, report):
    _, file = report
    page = browser.new_page(color_scheme="dark")
    page.goto(file.as_uri())
    printed = page.pdf(format="A4")
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 718, "height": 1000})  # A4 between its margins
    assert page.evaluate("document.documentElement.scrollWidth") <= 718
    assert brightness(page.evaluate("getComputedStyle(document.body).backgroundColor")) == 3 * 255
    assert page.locator("details").first.is_hidden()
    assert page.locator("figure svg >> visible=true").count() == 4
    page.close()
    assert printed.startswith(b"%PDF")


def test_the_table_of_sequences_is_sorted_by_a_click_or_the_keyboard(browser, report):
    _, file = report
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    page.goto(file.as_uri())

    def column(number: int) -> list[str]:
        return page.locator(f"#sequences tbody td:nth-child({number})").all_inner_texts()

    enrolled = page.locator("#sequences th").filter(has_text="enrolled")
    enrolled.locator("button").click()
    numbers = [int(text.replace(",", "")) for text in column(4)]
    assert numbers == sorted(numbers, reverse=True)
    assert enrolled.get_attribute("aria-sort") == "descending"
    enrolled.locator("button").press("Enter")
    assert [int(text.replace(",", "")) for text in column(4)] == sorted(numbers)
    page.locator("#sequences th button").first.click()
    page.locator("#sequences th button").first.click()
    assert column(1) == sorted(column(1), key=str.lower)
    assert page.locator("#sequences th[aria-sort]").count() == 1
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_titles_stay_in_sight_on_a_phone_and_nothing_hinders_access(browser, report, width, scheme):
    """axe-core's rules, from the package that carries them."""
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe-playwright-python is in the dev group"
    )
    _, file = report
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True)
    page.goto(file.as_uri())
    titles = page.locator("h3 >> visible=true")
    assert titles.count() >= 4
    boxes = [titles.nth(n).bounding_box() for n in range(titles.count())]
    assert all(box["x"] + box["width"] <= width for box in boxes)
    shares = page.locator("#sequences td[data-name=response_rate]").first.bounding_box()
    assert shares["x"] + shares["width"] <= width, "what the table is sorted by is in sight without scrolling"
    name = page.locator("#sequences td").first.bounding_box()
    page.evaluate("document.querySelectorAll('.scroll').forEach(e => e.scrollLeft = 500)")
    assert [titles.nth(n).bounding_box() for n in range(titles.count())] == boxes
    assert page.locator("#sequences td").first.bounding_box() == name, "and so is whose row it is"
    for media in ("screen", "print"):
        page.emulate_media(media=media)
        found = axe.Axe().run(page).response["violations"]
        assert [(v["id"], [node["target"] for node in v["nodes"]][:5]) for v in found] == [], media
    page.close()
