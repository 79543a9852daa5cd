"""Records of the choice of every kind, for tests of the words about them."""

from typing import Any

from resomap.analysis.decision.choice import choose
from tests.unit.analysis.decision.test_candidates import candidates, exported_candidates
from tests.unit.analysis.decision.test_choice import at_chance, candidate, rules
from tests.unit.analysis.decision.test_confounds import PLANTED, sweep

FEW: dict[str, Any] = {"seeds": (0,), "images": 100}
Records = dict[str, dict[str, Any]]


def records_by_status() -> Records:
    """Return a record for every status, and for networks at other sizes and adapted ones."""
    cells = {
        "chosen": [candidate(24, 0.7, 1), candidate(48, 0.949, 2), candidate(96, 0.95, 8)],
        "best": [candidate(24, 0.7, 1), candidate(96, 0.95, 8)],
        "undecided": [candidate(48, 0.94, 2, **FEW), candidate(96, 0.95, 8, **FEW)],
        "another size, compiled": candidates({(96, "raw", 128): 0.96}, None, "compiled"),
        "recalibrated": candidates({(96, "bn", 96): 0.95, (96, "finetune", 48): 0.94}),
        "nothing finished": [],
        "nothing learned": [at_chance(16), at_chance(24)],
        "provisional": [candidate(48, 0.949, 2, valid=False), candidate(96, 0.95, 8)],
    }
    return {name: choose(each, rules()) for name, each in cells.items()}


def records_by_rule() -> Records:
    """Return records for other rules, with confounds, with exports and for another device."""
    open_cells = [candidate(48, 0.94, 2, **FEW), candidate(96, 0.95, 8, **FEW)]
    cells = [candidate(24, 0.7, 1), candidate(48, 0.949, 2), candidate(96, 0.95, 8)]
    confounded = sweep(PLANTED["device"] | PLANTED["schedule"])
    accepted = rules(accept_confounds=("device", "schedule"))
    dear = sweep(PLANTED["torch"], seeds=(0, 1, 2))[::2]
    return {
        "frugal": choose(open_cells, rules(attitude="frugal")),
        "excluded": choose(cells, rules(max_latency_ms=5, min_accuracy=0.9)),
        "confounded": choose(confounded, rules()),
        "accepted": choose(confounded, accepted),
        "confounded best": choose(dear, rules()),
        **_records_of_exports(),
    }


def records_of_few() -> Records:
    """Return records where little was measured, or little may be chosen."""
    far = [candidate(48, 0.9, 2), candidate(96, 0.95, 8)]
    seeds = (0, 1, 2, 3)
    four = [candidate(24, 0.94, 1, seeds=seeds), candidate(96, 0.95, 8, seeds=seeds)]
    return {
        "only": choose([candidate(48, 0.9, 2, valid=False)], rules()),
        "no latency": choose([candidate(48, 0.95, None), candidate(96, 0.951, None)], rules()),
        "best and fastest": choose([candidate(24, 0.95, 1), candidate(96, 0.7, 8)], rules()),
        "four seeds": choose(four, rules()),
        "all excluded": choose(far, rules(max_latency_ms=1)),
        "none learned": choose([at_chance(16), far[1]], rules(max_latency_ms=2)),
    }


def _records_of_exports() -> Records:
    """Return the records about networks in int8, and about another device."""
    networks = list(exported_candidates(at48=(30.0, 10.0), at96=(60.0, None)).values())
    key = {"family": "custom", "model": "net", "resolution": 48, "eval_resolution": 48}
    lost = {"problem": None, "lost": {"mean": 0.01, "low": 0.005, "high": 0.015}}
    exports: list[dict[str, Any]] = [
        key | lost | {"keeps_accuracy": True},
        key | lost | {"resolution": 96, "eval_resolution": 96, "keeps_accuracy": False},
        key | {"resolution": 128, "eval_resolution": 128, "problem": "seed 1 is not exported"},
    ]
    exports[1]["lost"] = {"mean": 0.11, "low": 0.08, "high": 0.14}
    unclear = exports[1] | key | {"lost": {"mean": 0.01, "low": -0.02, "high": 0.04}}
    return {
        "int8": choose(networks, rules(), exports=exports),
        "device": choose(
            networks, rules(max_latency_ms=100), device="pi5", exports=exports[:1]
        ),
        "limited": choose(networks, rules(max_latency_ms=11), exports=[unclear]),
        "unmeasured": choose(networks[-1:], rules(), device="pi5"),
    }
