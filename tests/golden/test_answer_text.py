"""The English of `resomap choose`, of the first screen of the page, and of `resomap compare`."""

from typing import Any

from resomap.analysis.decision.inputs import Progress
from resomap.analysis.sweep_comparison import compare_sweeps
from resomap.config.load import build_config
from resomap.report.text.answer import answer_lines
from resomap.report.text.comparison import comparison_lines
from resomap.report.text.page.first_screen import first_screen
from tests.choice_records import records_by_rule, records_by_status, records_of_few
from tests.unit.analysis.test_sweep_comparison import runs


def page(sections: dict[str, list[str]]) -> str:
    return "\n".join(line for name, lines in sections.items() for line in (f"# {name}", *lines))


def test_answer_page(snapshot: Any) -> None:
    unfinished, finished = Progress(6, 4, 1), Progress(6, 6, 0)
    sections = {
        name: list(answer_lines(record, unfinished))
        for name, record in records_by_status().items()
    }
    for name, record in records_by_rule().items():
        sections[name] = list(answer_lines(record, finished))
    assert page(sections) == snapshot


def test_first_screen_page(snapshot: Any) -> None:
    sections = {}
    for name, record in (records_by_status() | records_by_rule() | records_of_few()).items():
        screen = first_screen(record)
        numbers = [f"{label}: {value}" for label, value in screen["numbers"].items()]
        sections[name] = [screen["answer"], *screen["certainty"], *numbers, *screen["reasons"]]
        sections[name] += [screen["more"]] if screen["more"] else []
    assert page(sections) == snapshot


def test_comparison_page(snapshot: Any) -> None:
    other = build_config({"training": {"epochs": 3, "label_smoothing": 0.2}})
    second = runs({24: 0.7, 48: 0.9}, config=other, environment={"torch": ["2.11"]})
    first = runs({24: 0.7, 48: 0.8, 96: 0.9}, environment={"torch": ["2.10"]})
    single = runs({24: 0.7}, seeds=(0,))
    sections = {
        "differ": list(comparison_lines(compare_sweeps(first, second, 0.95))),
        "equal": list(comparison_lines(compare_sweeps(single, single, 0.95))),
        "nothing": list(
            comparison_lines(compare_sweeps(first, runs({24: 0.7}, seeds=(9,)), 0.95))
        ),
    }
    assert page(sections) == snapshot
