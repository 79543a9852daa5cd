"""The sentences of the first screen, each with the facts that have to hold for it.

A sentence has at most three numbers; names of candidates have their own.
"""

from resomap.report.text.page.cases import Case, Cases

MAX_REASONS = 4
MORE_REASONS = "and {count} more"
WEAKENED = {"undecided": "undecided", "confounded": "confounded", "disturbed": "provisional"}
"""By fact: the word with which the answer opens."""
FACTS = (
    *("margin", "confidence", "wrong", "majority", "allowed", "best", "best_accuracy"),
    *("status_chosen", "status_best", "undecided", "nothing_learned", "none", "weakened"),
    *("disturbed", "confounded", "excluded", "unmeasured", "device"),
    *("name", "accuracy", "seeds", "one_seed", "certified", "is_best", "unproven", "at_chance"),
    *("frugal", "latency", "latency_p90", "latency_invalid"),
    *("only", "faster", "at_most", "near", "difference", "images", "needed", "remedy"),
    "is_needed",
)
"""What the sentences about a choice are made of; blank where it does not hold."""
RIVAL_FACTS = ("rival", "reason", "rival_latency", "is_slower", "loses", "may_lose")
"""What the reason against another candidate is made of."""
GUESS = "always answering the most frequent class, which scores {majority}"
PHRASES: dict[str, Cases] = {
    "where": (Case("device", " on {device}"),),
    "invalid": (Case("latency_invalid", " (marked invalid)"),),
    "measured": (Case("latency", "{latency} per image{where}"),),
    "at_latency": (Case("measured", ", at {measured}"),),
    "within": (Case("excluded", " within the limits"),),
    "opening": (Case("weakened name", "{weakened}: use {name}"), Case("name", "Use {name}")),
    "compared_on": (Case("images", "{images}"), Case("", "validation images")),
}
"""Parts of sentences; each may use the earlier ones."""
ANSWER: Cases = (
    Case("nothing_learned", f"No recommendation: no candidate is shown to beat {GUESS}."),
    Case("none unmeasured !excluded", "No recommendation: no candidate was measured{where}."),
    Case("none !excluded", "No recommendation yet: no run of this sweep has a result."),
    Case(
        "none !allowed",
        "No recommendation: no candidate is shown to keep the limits ({excluded} excluded).",
    ),
    Case(
        "none", f"No recommendation: no candidate within the limits is shown to beat {GUESS}."
    ),
    Case(
        "frugal",
        "{opening}, the fastest candidate not shown to be worse{within}{at_latency}, which may "
        "lose up to {at_most} of accuracy.",
    ),
    Case(
        "undecided",
        "{opening} for now: {needed} is faster, and whether its accuracy is within {margin} is "
        "not decided.",
    ),
    Case(
        "status_chosen is_best faster",
        "{opening}, the most accurate candidate{within}{at_latency}: no faster one is shown to be "
        "within {margin} of accuracy.",
    ),
    Case(
        "status_chosen !is_best",
        "{opening}, the fastest candidate{within} whose accuracy is shown to be at most {margin} "
        "below every other{at_latency}.",
    ),
    Case(
        "!latency",
        "{opening}, the most accurate candidate{within}: no latency was measured, so none is "
        "known to be faster.",
    ),
    Case("only", "{opening}, the only candidate{within}{at_latency}."),
    Case(
        "!faster",
        "{opening}, the most accurate candidate{within}: none is shown to be faster than its "
        "{measured}.",
    ),
    Case(
        "",
        "{opening}, the most accurate candidate{within}{at_latency}: every faster one is shown "
        "to lose more than {margin}.",
    ),
)
WOULD_BE_NEAR = "Not certified: it would lose less than {margin} to every other candidate, but"
NOT_AS_FP32 = "is not shown to keep the accuracy that it has in fp32"
CERTAINTY: tuple[Cases, ...] = (
    (
        Case(
            "nothing_learned",
            "Check the labels first. Then train longer, with another learning rate, or on more "
            "images.",
        ),
        Case("none excluded", "Widen the limits, or train other models and sizes."),
        Case("none unmeasured", ""),
        Case("none", "The command resomap status shows how far the sweep is."),
        Case(
            "only unproven",
            f"There is no other candidate to compare it with, and it {NOT_AS_FP32}.",
        ),
        Case("only", "There is no other candidate to compare it with."),
        Case(
            "certified",
            "Certified with {confidence} confidence: no other candidate is more accurate by "
            "{margin} or more. At most {wrong} in 100 sweeps would certify something wrong.",
        ),
        Case(
            "confounded near",
            f"{WOULD_BE_NEAR} compared runs differ in {{confounded}}, and what that changes is "
            "unknown.",
        ),
        Case("unproven near", f"{WOULD_BE_NEAR} it {NOT_AS_FP32}."),
        Case(
            "",
            "Not certified: it may lose up to {at_most} to another candidate, and the margin is "
            "{margin}.",
        ),
    ),
    (
        Case("remedy is_needed", "{remedy}."),
        Case(
            "remedy status_chosen",
            "{needed} is faster, but not shown to be within {margin}. {remedy}.",
        ),
        Case("remedy", "{remedy}."),
        Case(
            "status_best faster !certified",
            "With {confidence} confidence every faster candidate loses more than {margin}.",
        ),
    ),
    (
        Case(
            "name !only",
            "Compared on {compared_on}, with {seeds} (one training each) per candidate.",
        ),
        Case("images", "Measured on {images} and {seeds}."),
    ),
    (
        Case(
            "disturbed",
            "Provisional, since the machine was busy while latencies were measured: measure them "
            "again on an idle one.",
        ),
    ),
    (
        Case(
            "one_seed !remedy",
            "With one seed this holds for these networks only: another seed may change it.",
        ),
    ),
    (Case("at_chance", f"It is not itself shown to beat {GUESS}."),),
)
"""One sentence or none of each."""
NUMBERS: dict[str, Cases] = {
    "Best": (Case("nothing_learned", "{best}, test accuracy {best_accuracy}"),),
    "Test accuracy": (Case("name", "{accuracy}"),),
    "Latency": (
        Case("latency", "median {latency} per image{where}, p90 {latency_p90}{invalid}"),
        Case("name", "not measured"),
    ),
    "Accuracy given up": (
        Case("is_best", "none: it is the most accurate"),
        Case("name", "{difference} against {best}"),
    ),
}
REASON: Cases = (
    Case("reason", "{rival}: {reason}."),
    Case("is_slower", "{rival}: the most accurate, but it takes {rival_latency} per image."),
    Case(
        "loses",
        "{rival}: {rival_latency} per image, but it loses {loses} on validation images.",
    ),
    Case(
        "may_lose",
        "{rival}: {rival_latency} per image, but it may be up to {may_lose} "
        "less accurate than another.",
    ),
    Case("", "{rival}: the most accurate."),
)
