"""What the first screen of the page shows: the answer in words, its picture, alarms, controls."""

from collections.abc import Iterator
from typing import Any

from resomap.analysis.facts import Facts
from resomap.analysis.findings import cost as cost_findings
from resomap.analysis.findings import data as data_findings
from resomap.analysis.findings import evidence as evidence_findings
from resomap.analysis.findings.finding import Finding
from resomap.analysis.tables import Tables
from resomap.report.controls import STEPS, filters, sliders
from resomap.report.text.page.alarms import alarm_lines
from resomap.report.text.page.controls import ATTITUDES, CONTROL_WORDS
from resomap.report.text.page.first_screen import first_screen, first_screen_words

MAX_ALARMS = 3
TRADE_OFF = "accuracy_by_cost"
"""The figure beside the answer."""


def first_screen_page(tables: Tables, facts: Facts) -> dict[str, Any]:
    """Return the parts of the first screen, but for its picture."""
    alarms = alarm_lines(list(_alarms(tables, facts)))
    rules = tables.choice["rules"]
    return {
        "answer": first_screen(tables.choice),
        "alarm_lines": alarms[:MAX_ALARMS],
        "more_alarms": max(len(alarms) - MAX_ALARMS, 0),
        "sliders": sliders(tables.answer, rules),
        "slider_steps": STEPS,
        "filters": filters(tables.answer),
        "attitudes": ATTITUDES,
    }


def first_screen_data(tables: Tables) -> dict[str, Any]:
    """Return the blocks of data from which scripts write the first screen anew."""
    record = {
        name: value
        for name, value in tables.choice.items()
        if name not in ("headline", "reasons")
    }
    return {"choice": record, "words": first_screen_words(), "controls": CONTROL_WORDS}


def _alarms(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Yield the alarms that fire, in the order of the findings."""
    for finding in (data_findings.leak(facts), data_findings.contradiction(facts)):
        if finding.state == "fires":
            yield finding
    yield from cost_findings.inversions(tables.neighbours)
    yield from evidence_findings.evidence_alarms(tables.alarms, tables.interventions)
