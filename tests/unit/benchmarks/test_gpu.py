import pytest

from benchmarks.gpu.card import Peaks
from benchmarks.gpu.idle import idle_share
from benchmarks.gpu.output import Budget
from benchmarks.gpu.peers import job_key, peer_rows
from benchmarks.gpu.sheet import bound_seconds, variant_rows
from benchmarks.gpu.steps import ordered_settings, runs_on
from benchmarks.harness import ProcessCost
from benchmarks.training import TrainingMethod

CELL = {
    "variant": "eager",
    "precision": "bf16",
    "resolution": 64,
    "status": "ok",
    "flops": 2e9,
    "latency_ms_p50": 1.0,
    "latency_ms_p50_cold": None,
    "peak_memory_mib": None,
    "peak_reserved_mib": None,
    "training_images_per_second": None,
    "why_invalid": None,
}


@pytest.fixture
def cells():
    rates = {1: 1e3, 64: 2e5, 128: 1e5}
    return [
        {**CELL, "batch_size": size, "inference_images_per_second": rate}
        for size, rate in rates.items()
    ]


def peaks(flops: float) -> Peaks:
    """Return peaks whose bf16 is ten times its fp32, and a copy of 1 TB/s."""
    return Peaks({"bf16": [flops, flops / 2], "tf32": None, "fp32": [flops / 10]}, [1e12])


def test_row_holds_best_rate_relative_to_arithmetic(cells):
    (row,) = variant_rows("resnet18", cells, 4, peaks(1e15))
    assert row[2:6] == ("eager-bf16", 64, "200,000", "0.40")


def test_row_is_relative_to_memory_where_it_limits(cells):
    (row,) = variant_rows("resnet18", cells, 4_000_000, peaks(1e15))
    assert row[5] == "0.80"  # 2 x 2 MB per image: 250,000 per second


@pytest.mark.parametrize(
    ("precision", "seconds"), [("bf16", 2e-6), ("fp16", 2e-6), ("fp32", 2e-5), ("tf32", None)]
)
def test_bound_is_that_of_the_precision(precision, seconds):
    expected = None if seconds is None else pytest.approx(seconds)
    assert bound_seconds(CELL, precision, 4, peaks(1e15)) == expected


def test_training_step_has_three_times_the_work():
    step = {**CELL, "variant": "training_step"}
    assert bound_seconds(step, "bf16", 4, peaks(1e15)) == pytest.approx(6e-6)


def test_cells_that_do_not_run_say_why(cells):
    unsupported = [{**cells[0], "status": "unsupported"}]
    (row,) = variant_rows("resnet18", unsupported, 4, peaks(1e15))
    assert row[:5] == ("resnet18", 64, "eager-bf16", "", "unsupported")


@pytest.mark.parametrize(
    ("spans", "share"),
    [
        ([], None),
        ([(0.0, 1.0)], 0.0),
        ([(0.0, 1.0), (3.0, 4.0)], 0.5),
        ([(3.0, 4.0), (0.0, 3.5), (1.0, 2.0)], 0.0),
    ],
)
def test_idle_share_counts_time_without_a_kernel(spans, share):
    assert idle_share(spans) == share


def test_budget_allows_what_still_fits():
    budget = Budget(10)
    assert budget.allows(9)
    assert not budget.allows(11)


def test_compiling_waits_for_all_other_settings():
    order = [(cell, setting.name) for cell, setting in ordered_settings(["a:64", "b:64"])]
    assert order[0] == ("a:64", "bf16, channels_last")
    assert order[-2:] == [("a:64", "compiled"), ("b:64", "compiled")]
    assert len(set(order)) == len(order)


def test_cpu_runs_no_setting_of_a_gpu():
    refused = [each.name for _, each in ordered_settings(["a:64"]) if not runs_on(each, "cpu")]
    assert refused == ["tf32", "cuda_graph"]


def test_rates_are_compared_within_the_rounds_that_both_have():
    def contender(name: str, rates: list[float]) -> TrainingMethod:
        costs = [ProcessCost(1.0, 1.0, "") for _ in rates]
        return TrainingMethod(name, "bf16", lambda _: [], lambda _: (0, 0), 1, costs, rates)

    cell = ("resnet18", 64)
    ours, textbook = contender("resomap", [300.0]), contender("textbook", [10.0, 100.0])
    # Ours failed in the first round.
    rounds = {
        job_key(cell, ours): {1: 300.0},
        job_key(cell, textbook): {0: 10.0, 1: 100.0},
    }
    row, _ = peer_rows({cell: [ours, textbook]}, rounds)
    assert row[-1].startswith("3.00")
