"""Files of the repository, or sections of them, shown by pages of the site instead of copied.

A page has a line such as `<!-- include: benchmarks/decision.md#Certificate -->`.
"""

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
INCLUDE = re.compile(r"^<!-- include: ([\w./-]+)(?:#(.+))? -->$", re.MULTILINE)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Return a page with the files that it includes; mkdocs calls this for every page."""
    return INCLUDE.sub(lambda found: included(found[1], found[2]), markdown)


def included(file: str, section: str | None) -> str:
    """Return a file without its title, or one section of it, folded.

    ValueError where the file has no such section, so that the build of the site fails.
    """
    text = (ROOT / file).read_text(encoding="utf-8")
    if section is None:
        return re.sub(r"\A# [^\n]+\n", "", text).strip()
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)[1:]
    sections = dict(zip(parts[::2], parts[1::2], strict=True))
    if section not in sections:
        raise ValueError(f"{file} has no section {section!r}: it has {', '.join(sections)}")
    # Closed at first: a page with ten such tables would be read by nobody.
    summary = f"<summary>{section}: the table of <code>{file}</code></summary>"
    return f'<details markdown="1">{summary}\n\n{sections[section].strip()}\n\n</details>'
