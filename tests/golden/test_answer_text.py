"""The English of `resomap choose` and `resomap compare`."""

from typing import Any

from resomap.analysis.decision.choice import choose
from resomap.analysis.decision.inputs import Progress
from resomap.analysis.sweep_comparison import compare_sweeps
from resomap.config.load import build_config
from resomap.report.text.answer import answer_lines
from resomap.report.text.comparison import comparison_lines
from tests.unit.analysis.decision.test_candidates import candidates, exported_candidates
from tests.unit.analysis.decision.test_choice import at_chance, candidate, rules
from tests.unit.analysis.decision.test_confounds import PLANTED, sweep
from tests.unit.analysis.test_sweep_comparison import runs

FEW: dict[str, Any] = {"seeds": (0,), "images": 100}


def page(sections: dict[str, list[str]]) -> str:
    return "\n".join(line for name, lines in sections.items() for line in (f"# {name}", *lines))


def test_answer_page(snapshot: Any) -> None:
    open_cells = [candidate(48, 0.94, 2, **FEW), candidate(96, 0.95, 8, **FEW)]
    cells = {
        "chosen": [candidate(24, 0.7, 1), candidate(48, 0.949, 2), candidate(96, 0.95, 8)],
        "best": [candidate(24, 0.7, 1), candidate(96, 0.95, 8)],
        "undecided": open_cells,
        "another size, compiled": candidates({(96, "raw", 128): 0.96}, None, "compiled"),
        "recalibrated": candidates({(96, "bn", 96): 0.95, (96, "finetune", 48): 0.94}),
        "nothing finished": [],
        "nothing learned": [at_chance(16), at_chance(24)],
        "provisional": [candidate(48, 0.949, 2, valid=False), candidate(96, 0.95, 8)],
    }
    sections = {
        name: list(answer_lines(choose(each, rules()), Progress(6, 4, 1)))
        for name, each in cells.items()
    }
    frugal = choose(open_cells, rules(attitude="frugal"))
    sections["frugal"] = list(answer_lines(frugal, Progress(6, 6, 0)))
    limited = choose(cells["chosen"], rules(max_latency_ms=5, min_accuracy=0.9))
    sections["excluded"] = list(answer_lines(limited, Progress(6, 6, 0)))
    confounded = sweep(PLANTED["device"] | PLANTED["schedule"])
    sections["confounded"] = list(answer_lines(choose(confounded, rules()), Progress(9, 9, 0)))
    accepted = rules(accept_confounds=("device", "schedule"))
    sections["accepted"] = list(answer_lines(choose(confounded, accepted), Progress(9, 9, 0)))
    dear = sweep(PLANTED["torch"], seeds=(0, 1, 2))[::2]
    sections["confounded best"] = list(answer_lines(choose(dear, rules()), Progress(6, 6, 0)))
    sections |= exported_sections()
    assert page(sections) == snapshot


def exported_sections() -> dict[str, list[str]]:
    """Return the answers about networks in int8, and about another device."""
    networks = list(exported_candidates(at48=(30.0, 10.0), at96=(60.0, None)).values())
    key = {"family": "custom", "model": "net", "resolution": 48, "eval_resolution": 48}
    lost = {"problem": None, "lost": {"mean": 0.01, "low": 0.005, "high": 0.015}}
    records: list[dict[str, Any]] = [
        key | lost | {"keeps_accuracy": True},
        key | lost | {"resolution": 96, "eval_resolution": 96, "keeps_accuracy": False},
        key | {"resolution": 128, "eval_resolution": 128, "problem": "seed 1 is not exported"},
    ]
    records[1]["lost"] = {"mean": 0.11, "low": 0.08, "high": 0.14}
    unclear = records[1] | key | {"lost": {"mean": 0.01, "low": -0.02, "high": 0.04}}
    choice = choose(networks, rules(), exports=records)
    on_device = choose(networks, rules(max_latency_ms=100), device="pi5", exports=records[:1])
    nothing = choose(networks[-1:], rules(), device="pi5")
    limited = choose(networks, rules(max_latency_ms=11), exports=[unclear])
    answers = {"int8": choice, "device": on_device, "limited": limited, "unmeasured": nothing}
    return {name: list(answer_lines(one, Progress(6, 6, 0))) for name, one in answers.items()}


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
