"""What must hold of every page in Chromium, in any state: accessible, silent, safe, readable."""

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

SCHEMES = ("light", "dark")
WIDTHS = (1280, 360)
# The area of A4 inside the margins that Chromium prints with, in CSS pixels.
PAPER = {"width": 718, "height": 1047}
# Charts are drawn when a reader comes near them.
VISIT_FIGURES = """
async () => {
  for (const figure of document.querySelectorAll("figure")) {
    figure.scrollIntoView();
    await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve, 0)));
  }
}
"""
# Static figures are images with a name, whose outlines are nine tenths of all elements: axe-core
# would take a minute to find nothing in them. It would also lay out anew, for each element that
# it looks at, what is out of sight.
EMPTY_DRAWINGS = """
() => {
  for (const part of document.querySelectorAll("figure > svg > *")) part.remove();
  const style = document.createElement("style");
  style.textContent = "* { content-visibility: visible !important; }";
  document.head.append(style);
}
"""
OVERFLOW = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
# Texts and figures that nobody sees: those that a screen hides on purpose are named in `hidden`.
UNSEEN = """
(hidden) => [...document.querySelectorAll("h1, h2, h3, p, li, dt, dd, td, th, figure")]
  .filter(element => !element.matches(hidden) && !element.closest(hidden))
  .filter(element => element.textContent.trim() || element.matches("figure"))
  .filter(element => !element.checkVisibility({ visibilityProperty: true }))
  .map(element => element.outerHTML.slice(0, 100))
"""
# Names and heads of columns that are also buttons read as text where no script runs.
CONTROLS = """
() => [...document.querySelectorAll("button:not(.sort, .cell-link), input, select, textarea")]
  .filter(control => control.checkVisibility())
  .map(control => control.outerHTML.slice(0, 100))
"""
FIGURE_HEIGHTS = """
() => [...document.querySelectorAll("figure")].map(figure => ({
  name: figure.id,
  height: figure.getBoundingClientRect().height,
  cut: getComputedStyle(figure).breakInside !== "avoid",
}))
"""


def serious_violations(page: Page) -> list[str]:
    """Return the serious and critical violations that axe-core finds, with their elements."""
    page.evaluate(VISIT_FIGURES)
    page.evaluate(EMPTY_DRAWINGS)
    violations: list[dict[str, Any]] = Axe().run(page).response["violations"]
    return [
        f"{violation['id']}: {node['html'][:200]} at {node['target']}"
        for violation in violations
        if violation["impact"] in {"serious", "critical"}
        for node in violation["nodes"]
    ]


def overflow(page: Page) -> int:
    """Return by how many pixels the page is wider than its window."""
    pixels: int = page.evaluate(OVERFLOW)
    return pixels


def unseen_texts(page: Page, hidden: str) -> list[str]:
    """Return texts and figures that are not shown, without those that match `hidden`."""
    texts: list[str] = page.evaluate(UNSEEN, hidden)
    return texts


def visible_controls(page: Page) -> list[str]:
    """Return the buttons and fields that are shown."""
    controls: list[str] = page.evaluate(CONTROLS)
    return controls


def cut_figures(page: Page) -> list[str]:
    """Return the figures that a sheet of paper as high as the window cuts in two."""
    figures: list[dict[str, Any]] = page.evaluate(FIGURE_HEIGHTS)
    return [
        figure["name"]
        for figure in figures
        if figure["cut"] or figure["height"] > page.viewport_size["height"]  # type: ignore[index]
    ]
