"""The references of the method section: read from citations.bib, cited as `[@key]` in its text."""

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from unicodedata import normalize

MARK = re.compile(r"\[@([\w;@ ]+)\]")
"""A citation in a text: `[@wilson1927inference]`, or several: `[@one; @other]`."""
LATEX = {"&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "$": r"\$", "~": r"\textasciitilde{}"}
ACCENTS = re.compile(r"\{\\([\"'`])(\w)\}")
COMBINING = {'"': "\u0308", "'": "\u0301", "`": "\u0300"}
"""Unicode's accents by the commands of LaTeX."""


@cache
def read_citations() -> dict[str, str]:
    """Return every BibTeX entry by its key."""
    path = Path(__file__).with_name("citations.bib")
    entries = re.findall(r"^@\w+\{.*?^\}", path.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return {_key(entry): entry for entry in entries}


def _key(entry: str) -> str:
    return entry[entry.index("{") + 1 : entry.index(",")]


def cited_keys(texts: Iterable[str]) -> list[str]:
    """Return the keys that texts cite, in the order in which they first occur."""
    keys = [key for text in texts for mark in MARK.findall(text) for key in _split(mark)]
    return list(dict.fromkeys(keys))


def _split(mark: str) -> list[str]:
    return [key.strip(" @") for key in mark.split(";")]


def write_bibtex(keys: Iterable[str]) -> str:
    """Return the entries of keys, sorted by key."""
    entries = read_citations()
    return "\n\n".join(entries[key] for key in sorted(keys))


def write_plain(text: str) -> str:
    """Return a text whose citations read `(Wilson 1927)`."""
    return MARK.sub(lambda mark: f"({'; '.join(map(cite, _split(mark[1])))})", text)


def write_latex(text: str) -> str:
    r"""Return a text for LaTeX, whose citations read `\citep{wilson1927inference}`."""
    parts, end = [], 0
    for mark in MARK.finditer(text):
        parts.append(_escape_latex(text[end : mark.start()]))
        parts.append(f"\\citep{{{','.join(_split(mark[1]))}}}")
        end = mark.end()
    return "".join([*parts, _escape_latex(text[end:])])


def _escape_latex(text: str) -> str:
    # One pass, so that no replacement is replaced again.
    special = {**LATEX, "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "^": r"\^{}"}
    return "".join(special.get(letter, letter) for letter in text)


def cite(key: str) -> str:
    """Return a reference in brackets as readers know it: `Obuchowski and Rockette 1995`."""
    entry = read_citations()[key]
    author, year = _field(entry, "author"), _field(entry, "year")
    # A name in braces is one author, such as that of a group.
    names = [author[1:-1]] if author.startswith("{") else author.split(" and ")
    first = _surname(names[0])
    if len(names) == 2 and names[1] not in {"others", "contributors"}:
        first = f"{first} and {_surname(names[1])}"
    elif len(names) > 1:
        first = f"{first} et al."
    return f"{first} {year}" if year else first


def _field(entry: str, name: str) -> str:
    found = re.search(rf"^  {name} = \{{(.*)\}},?$", entry, re.MULTILINE)
    return found[1] if found else ""


def _surname(author: str) -> str:
    def accented(match: re.Match[str]) -> str:
        return normalize("NFC", match[2] + COMBINING[match[1]])

    return ACCENTS.sub(accented, author).partition(",")[0]
