"""The first screen: sentences whose facts exist, with few numbers, that open with what matters."""

import re
from collections.abc import Iterator
from copy import deepcopy
from string import Formatter
from typing import Any

import pytest

from resomap.report.text.format import candidate_name
from resomap.report.text.page import sentences as cases
from resomap.report.text.page.cases import Case, Cases, pick
from resomap.report.text.page.first_screen import choice_facts, first_screen
from tests.choice_records import records_by_rule, records_by_status, records_of_few

RECORDS = records_by_status() | records_by_rule() | records_of_few()
SLOTS = (cases.ANSWER, *cases.CERTAINTY, *cases.NUMBERS.values(), *cases.PHRASES.values())


def names_of(slots: tuple[Cases, ...]) -> Iterator[str]:
    for case in (case for slot in slots for case in slot):
        yield from (name.removeprefix("!") for name in case.when.split())
        yield from (name for _, name, _, _ in Formatter().parse(case.text) if name)


def test_cases_use_known_facts_only() -> None:
    known = {*cases.FACTS, *cases.PHRASES}
    assert set(names_of(SLOTS)) <= known
    assert set(names_of((cases.REASON,))) <= known | {*cases.RIVAL_FACTS}
    assert set(cases.FACTS) <= set(names_of((*SLOTS, cases.REASON)))


@pytest.mark.parametrize("name", RECORDS)
def test_facts_of_every_record_are_the_declared_ones(name: str) -> None:
    assert set(choice_facts(RECORDS[name])) == {*cases.FACTS, *cases.PHRASES}


def test_first_case_that_holds_is_taken() -> None:
    three = (Case("a !b", "{a} alone"), Case("b", "b"), Case("", "none"))
    facts = ({"a": "A", "b": ""}, {"a": "A", "b": "B"}, {"a": "", "b": ""})
    assert [pick(three, one) for one in facts] == ["A alone", "b", "none"]
    assert pick(three[:1], facts[2]) == ""


@pytest.mark.parametrize("name", RECORDS)
def test_sentences_have_three_numbers_at_most(name: str) -> None:
    record = RECORDS[name]
    screen = first_screen(record)
    text = " ".join([screen["answer"], *screen["certainty"]])
    for one in ("best", "choice", "needed"):
        if record[one]:
            text = text.replace(candidate_name(record[one]), "it")
    assert re.search(r"\d", text) or "No recommendation" in text or "only" in text
    sentences = re.split(r"(?<=\.) ", text)
    assert max(len(re.findall(r"\d[\d.,]*", sentence)) for sentence in sentences) <= 3


@pytest.mark.parametrize("name", RECORDS)
def test_answer_is_one_sentence(name: str) -> None:
    answer = first_screen(RECORDS[name])["answer"]
    assert answer.endswith(".")
    assert ". " not in answer


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("chosen", "Use net at 48 px, the fastest"),
        ("confounded", "Undecided and confounded: use net at 96 px for now"),
        ("provisional", "Provisional: use net at 48 px"),
        ("nothing learned", "No recommendation"),
        ("all excluded", "No recommendation: no candidate is shown to keep the limits"),
        ("nothing finished", "No recommendation yet"),
    ],
)
def test_answer_opens_with_what_matters(name: str, start: str) -> None:
    assert first_screen(RECORDS[name])["answer"].startswith(start)


def test_answer_that_rests_on_an_invalid_latency_is_provisional() -> None:
    screen = first_screen(RECORDS["provisional"])
    assert screen["answer"].startswith("Provisional: ")
    assert screen["numbers"]["Latency"].endswith("(marked invalid)")


def test_certainty_of_certified_choice_names_confidence_images_and_seeds() -> None:
    text = " ".join(first_screen(RECORDS["chosen"])["certainty"])
    for part in ("95 % confidence", "4,000 test images", "3 seeds", "5 in 100"):
        assert part in text


def test_uncertified_choice_does_not_claim_a_certificate() -> None:
    record = RECORDS["frugal"]
    assert record["certified"] != record["choice"]
    assert first_screen(record)["certainty"][0].startswith("Not certified")


def test_reasons_are_four_and_the_number_of_others() -> None:
    record: dict[str, Any] = deepcopy(RECORDS["excluded"])
    one = record["excluded"][0]
    record["excluded"] = [
        one | {"resolution": px, "eval_resolution": px} for px in range(8, 16)
    ]
    screen = first_screen(record)
    assert len(screen["reasons"]) == cases.MAX_REASONS
    assert screen["more"] == "and 4 more"


def test_advice_of_other_comparisons_is_left_out() -> None:
    record = RECORDS["confounded"]
    kept, left_out = (
        " ".join(first_screen(record | {"provisional_advice": one})["certainty"])
        for one in (False, True)
    )
    assert "No number of seeds" in kept
    assert "No number of seeds" not in left_out
