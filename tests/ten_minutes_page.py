"""The code blocks of docs/first-ten-minutes.md: its images, commands and outputs."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "first-ten-minutes.md"
DURATION = re.compile(r"\d[\d.,]* (s|min|h)\b")
LABELS = {
    *("Images", "Models", "Resolution", "Training", "Seeds", "Given up", "Cost", "Written"),
    *("Report", "How sure", "Gives up", "Runner-up", "Why not", "Open", "Otherwise"),
    *("Excluded", "Caution", "Sweep", "Undecided", "Next", "Time", ""),
}
"""What opens a line of `resomap init` and `resomap try`."""


def blocks(language: str) -> list[str]:
    """Return the code blocks of a language on the page."""
    text = PAGE.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def shown_output(command: str) -> list[str]:
    """Return what the page shows below a command."""
    block = next(each for each in blocks("text") if each.startswith(f"$ {command}"))
    return block.splitlines()[1:]


def masked(lines: list[str]) -> list[str]:
    """Return lines without what depends on the machine."""
    fixed = [line for line in lines if "Other work slowed" not in line]
    return [DURATION.sub("# s", line) for line in fixed]


def draw_images() -> None:
    """Write the images of the page into the working directory."""
    (drawing,) = blocks("python")
    exec(compile(drawing, str(PAGE), "exec"), {})
