"""Sentences as data: the page shows in JavaScript what the report writes in Python.

English stands in Python once. `case_words` of the page ships the cases, and
`javascript/cases.js` picks and fills them by the same two rules as this file.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

Facts = dict[str, str]
"""What sentences are made of, by name; a fact that does not hold is blank."""


class Case(NamedTuple):
    """A text with places for facts, and the names of the facts that have to hold.

    `!` before a name: that fact must not hold.
    """

    when: str
    text: str


Cases = Sequence[Case]


def pick(cases: Cases, facts: Facts) -> str:
    """Return the text of the first case that holds, filled in; blank where none does."""
    for case in cases:
        if all(_holds(name, facts) for name in case.when.split()):
            return case.text.format_map(facts)
    return ""


def _holds(name: str, facts: Facts) -> bool:
    return not facts[name[1:]] if name.startswith("!") else bool(facts[name])


def pick_each(slots: Sequence[Cases], facts: Facts) -> Iterator[str]:
    """Yield the sentence of every slot that has one."""
    yield from filter(None, (pick(cases, facts) for cases in slots))


def add_phrases(phrases: Mapping[str, Cases], facts: Facts) -> dict[str, str]:
    """Return the facts with the phrases that they give; a phrase may use earlier ones."""
    known = dict(facts)
    for name, cases in phrases.items():
        known[name] = pick(cases, known)
    return known
