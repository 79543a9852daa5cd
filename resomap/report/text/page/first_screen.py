"""The first screen of the page in words: the answer, how sure it is, and why not others.

The page writes the same sentences anew when a limit changes, from the same cases and facts:
`javascript/first_screen.js` computes the facts, and a test holds both equal.
"""

from collections.abc import Iterator
from typing import Any

from resomap.analysis.decision.advice import SEEDS_FOR_IMAGES
from resomap.report.text.candidate import accuracy_interval, describe_difference
from resomap.report.text.confounds import NAMES, differing, unaccepted
from resomap.report.text.exports import is_unproven_int8
from resomap.report.text.format import (
    MODE_NAMES,
    VARIANT_NAMES,
    candidate_name,
    join_names,
    sentence_case,
)
from resomap.report.text.page.cases import Facts, add_phrases, pick, pick_each
from resomap.report.text.page.remedy import REMEDIES, describe_remedy
from resomap.report.text.page.sentences import (
    ANSWER,
    CERTAINTY,
    FACTS,
    MAX_REASONS,
    MORE_REASONS,
    NUMBERS,
    PHRASES,
    REASON,
    RIVAL_FACTS,
    WEAKENED,
)
from resomap.text import format_count, format_milliseconds, format_points

ChoiceRecord = dict[str, Any]
NETWORK = ("family", "model", "resolution", "eval_resolution", "mode")
"""What identifies a candidate but for the way of running it."""


def first_screen(choice: ChoiceRecord) -> dict[str, Any]:
    """Return the sentences of the first screen about a choice, by their place."""
    facts = choice_facts(choice)
    numbers = {name: pick(cases, facts) for name, cases in NUMBERS.items()}
    reasons = [pick(REASON, facts | about) for about in _rival_facts(choice)]
    more = len(reasons) - MAX_REASONS
    return {
        "answer": pick(ANSWER, facts),
        "certainty": list(pick_each(CERTAINTY, facts)),
        "numbers": {name: text for name, text in numbers.items() if text},
        "reasons": reasons[:MAX_REASONS],
        "more": MORE_REASONS.format(count=more) if more > 0 else "",
    }


def first_screen_words() -> dict[str, Any]:
    """Return what the page needs to write the same sentences about another choice."""
    return {
        "phrases": PHRASES,
        "answer": ANSWER,
        "certainty": CERTAINTY,
        "numbers": NUMBERS,
        "reason": REASON,
        "max_reasons": MAX_REASONS,
        "more_reasons": MORE_REASONS,
        "remedies": REMEDIES,
        "seeds_for_images": SEEDS_FOR_IMAGES,
        "weakened": WEAKENED,
        "modes": MODE_NAMES,
        "variants": VARIANT_NAMES,
        "confounds": NAMES,
        "network": NETWORK,
    }


def choice_facts(choice: ChoiceRecord) -> Facts:
    """Return what the sentences about a choice are made of."""
    facts = dict.fromkeys(FACTS, "") | _rule_facts(choice["rules"]) | _status_facts(choice)
    if choice["baseline"]:
        facts["majority"] = f"{choice['baseline']['majority_accuracy']:.3f}"
        facts["allowed"] = _yes(choice["baseline"]["allowed"])
    if choice["best"]:
        facts["best"] = candidate_name(choice["best"])
        facts["best_accuracy"] = _test_accuracy(choice["best"], choice)
    if choice["choice"]:
        facts |= _chosen_facts(choice) | _comparison_facts(choice)
    return add_phrases(PHRASES, facts)


def _yes(holds: Any) -> str:
    return "yes" if holds else ""


def _rule_facts(rules: ChoiceRecord) -> Facts:
    return {
        "margin": format_points(rules["margin"]),
        "confidence": f"{100 * rules['confidence']:g} %",
        "wrong": f"{100 * (1 - rules['confidence']):g}",
    }


def _status_facts(choice: ChoiceRecord) -> Facts:
    """Return what the status says, and what weakens the answer."""
    status, confounds, excluded = choice["status"], unaccepted(choice), choice["excluded"]
    weak = {"undecided": status == "undecided", "confounded": confounds}
    weak["disturbed"] = choice["provisional"]
    words = [word for name, word in WEAKENED.items() if weak[name]]
    return {
        "status_chosen": _yes(status == "chosen"),
        "status_best": _yes(status == "best"),
        "undecided": _yes(status == "undecided"),
        "nothing_learned": _yes(status == "nothing learned"),
        "none": _yes(status == "none"),
        "weakened": sentence_case(join_names(words)) if words else "",
        "disturbed": _yes(choice["provisional"]),
        "confounded": differing(confounds) if confounds else "",
        "excluded": f"{len(excluded):,}" if excluded else "",
        "unmeasured": _yes(choice.get("unmeasured")),
        "device": choice.get("device") or "",
    }


def _chosen_facts(choice: ChoiceRecord) -> Facts:
    """Return what is known of the chosen candidate."""
    chosen, name = choice["choice"], candidate_name(choice["choice"])
    certified = choice["certified"] and candidate_name(choice["certified"]) == name
    facts = {
        "name": name,
        "accuracy": _test_accuracy(chosen, choice),
        "seeds": format_count(chosen["n_seeds"], "seed"),
        "one_seed": _yes(chosen["n_seeds"] == 1),
        "certified": _yes(certified),
        "is_best": _yes(name == candidate_name(choice["best"])),
        "unproven": _yes(is_unproven_int8(choice)),
        "at_chance": _yes(
            chosen["test_accuracy"]["low"] <= choice["baseline"]["majority_accuracy"]
        ),
        "frugal": _yes(
            choice["rules"]["attitude"] == "frugal"
            and choice["status"] != "best"
            and not certified
        ),
    }
    if chosen["latency_ms_p50"] is not None:
        facts["latency"] = format_milliseconds(chosen["latency_ms_p50"])
        facts["latency_p90"] = format_milliseconds(chosen["latency_ms_p90"])
        facts["latency_invalid"] = _yes(not chosen["latency_valid"])
    return facts


def _comparison_facts(choice: ChoiceRecord) -> Facts:
    """Return what the comparisons with other candidates show."""
    needed, regret = choice["needed"], choice["regret"]
    is_on_test = choice["tested_on"] == "test"
    is_provisional = choice.get("provisional_advice")
    return {
        "only": _yes(not choice["comparisons"]),
        "faster": _yes(any(one["cheaper"] for one in choice["comparisons"])),
        "at_most": format_points(regret["at_most"]),
        "near": _yes(regret["at_most"] <= choice["rules"]["margin"]),
        "difference": describe_difference(regret),
        "images": format_count(choice["baseline"]["n_test"], "test image")
        if is_on_test
        else "",
        "needed": candidate_name(needed) if needed else "",
        "is_needed": _yes(
            needed and candidate_name(needed) == candidate_name(choice["choice"])
        ),
        # The page has no advice about comparisons that the sweep did not make.
        "remedy": describe_remedy(needed) if needed and not is_provisional else "",
    }


def _test_accuracy(candidate: ChoiceRecord, choice: ChoiceRecord) -> str:
    return accuracy_interval(candidate["test_accuracy"], choice["rules"]["confidence"])


def _rival_facts(choice: ChoiceRecord) -> Iterator[Facts]:
    """Yield what keeps each rival from being chosen: the best, the excluded, the faster ones."""
    nothing = dict.fromkeys(RIVAL_FACTS, "")
    chosen, best = choice["choice"], choice["best"]
    if chosen and candidate_name(best) != candidate_name(chosen):
        latency = best["latency_ms_p50"]
        slower = latency is not None and latency > chosen["latency_ms_p50"]
        shown = {"rival": candidate_name(best), "is_slower": _yes(slower)}
        yield (
            nothing | shown | {"rival_latency": format_milliseconds(latency) if slower else ""}
        )
    for one in _excluded_networks(choice):
        yield nothing | {"rival": candidate_name(one), "reason": one["reason"]}
    # The most accurate first: they are the closest rivals.
    for one in sorted(choice["comparisons"], key=lambda one: -one["difference"]["mean"]):
        name = candidate_name(one)
        if one["cheaper"] and one["verdict"] != "within" and name != candidate_name(chosen):
            yield nothing | {"rival": name} | _loss_facts(one)


def _excluded_networks(choice: ChoiceRecord) -> Iterator[ChoiceRecord]:
    """Yield the excluded candidates, but for other ways of running a network."""
    within = [choice["choice"], choice["best"], *choice["comparisons"]]
    seen = {_network(one) for one in within if one}
    for one in choice["excluded"]:
        if _network(one) not in seen:
            seen.add(_network(one))
            yield one


def _network(candidate: ChoiceRecord) -> tuple[Any, ...]:
    return tuple(candidate[name] for name in NETWORK)


def _loss_facts(comparison: ChoiceRecord) -> Facts:
    """Return what a faster candidate loses, or may lose."""
    facts = {"rival_latency": format_milliseconds(comparison["latency_ms_p50"])}
    if comparison["verdict"] == "worse":
        return facts | {"loses": format_points(-comparison["difference"]["mean"])}
    return facts | {"may_lose": format_points(comparison["shown_within"])}
