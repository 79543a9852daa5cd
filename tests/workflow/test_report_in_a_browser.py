"""The report in a browser: self-contained, with every figure visible and no error logged."""

from playwright.sync_api import expect

from tests.browser import open_page, start_chromium

# For each figure: whether it holds a drawing that is loaded and more than 100 px wide.
VISIBLE = """
() => [...document.querySelectorAll('figure')].map(figure => {
    const drawings = [...figure.querySelectorAll('img, svg, canvas')];
    const isLoaded = d => d.tagName !== 'IMG' || (d.complete && d.naturalWidth > 0);
    return drawings.some(d => d.getBoundingClientRect().width > 100 && isLoaded(d));
})
"""


def test_report_is_complete_and_self_contained(finished):
    report = finished.path / "results/report/index.html"
    with start_chromium() as browser, open_page(browser, report) as opened:
        # Charts are drawn when a reader comes near them.
        for figure in opened.page.locator("figure").all():
            figure.scroll_into_view_if_needed()
            expect(figure.locator("img, svg").locator("visible=true").first).to_be_visible()
        visible = opened.page.evaluate(VISIBLE)
        assert opened.logged == []
        assert opened.foreign_requests == []
        assert visible, "the report has no figure"
        assert all(visible)
