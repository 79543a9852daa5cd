"""Growth of cost with resolution: planted curves are found, noise is not."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from resomap.analysis.cost_tables import cost_rows, energy_rows, neighbour_rows
from resomap.analysis.profiles import best_throughput_rows, main_variant_rows, single_image_rows
from resomap.workflow.layout import table_columns

SIZES = (16, 24, 32, 48, 64)
ROUNDS = 7
Record = dict[str, Any]


def record(resolution: int, rounds: Sequence[float], **others: Any) -> Record:
    """Build a record of a profile's `cells`."""
    variant = {
        "family": "custom",
        "model": "net",
        "variant": "eager",
        "precision": "fp32",
        "memory_format": "channels_last",
    }
    fields = {
        "batch_size": 1,
        "status": "ok",
        "valid": True,
        "ratio_rounds": list(rounds),
        "peak_memory_mib": 1.0,
    }
    return {**variant, "resolution": resolution, **fields, **others}


def curve(
    times: Sequence[float],
    seed: int = 0,
    noise: float = 0.0,
    sizes: Sequence[int] = SIZES,
    **others: Any,
) -> list[Record]:
    """Build records with noise in every round and a drift that all resolutions share."""
    rng = np.random.default_rng(seed)
    drift = np.exp(rng.normal(0, 5 * noise, ROUNDS))
    return [
        record(px, time * drift * np.exp(rng.normal(0, noise, ROUNDS)), **others)
        for px, time in zip(sizes, times, strict=True)
    ]


def verdicts(records: list[Record]) -> list[str]:
    return [row["verdict"] for row in neighbour_rows(records, 0.95)]


def growth(records: list[Record]) -> Record:
    (row,) = cost_rows(records, neighbour_rows(records, 0.95), 0.95)
    return row


def test_inversion_is_found_only_where_planted() -> None:
    records = curve([1.0, 1.5, 1.2, 2.0, 3.0], noise=0.01)
    assert verdicts(records) == ["saves", "inverted", "saves", "saves"]
    assert growth(records)["inversions"] == 1
    found = neighbour_rows(records, 0.95)[1]
    assert (found["resolution"], found["larger"]) == (24, 32)
    assert found["ratio_low"] < 0.8 < found["ratio_high"] < found["ratio_at_most"] < 1


@pytest.mark.parametrize("seed", range(20))
def test_flat_cells_raise_no_alarm(seed: int) -> None:
    sweep = []
    for number in range(4):
        model = {"seed": 100 * seed + number, "model": f"net_{number}"}
        sweep += curve([1.0] * 5, noise=0.02, **model)
    assert "inverted" not in verdicts(sweep)


def test_inversion_accounts_for_number_of_steps() -> None:
    alone = curve([1.0, 0.96], noise=0.01, sizes=(16, 24))
    among_many = []
    for number in range(200):
        among_many += curve([1.0, 0.96], noise=0.01, sizes=(16, 24), model=f"net_{number}")
    assert verdicts(alone) == ["inverted"]
    assert set(verdicts(among_many)) == {"flat"}


def test_false_alarms_are_as_rare_as_claimed() -> None:
    alarms = [
        "inverted" in verdicts(curve([1.0] * 5, seed=seed, noise=0.02)) for seed in range(1000)
    ]
    assert sum(alarms) <= 12  # half of the 1 % lies on the side of alarms: 5 are expected


def test_shared_drift_adds_no_error() -> None:
    rounds = np.array([1.0, 1.3, 0.8, 2.0, 1.1, 0.9, 1.5])
    (row,) = neighbour_rows([record(16, rounds), record(24, 1.2 * rounds)], 0.95)
    assert row["ratio"] == row["ratio_low"] == row["ratio_high"] == pytest.approx(1.2)


def test_unmatched_rounds_are_dropped() -> None:
    (row,) = neighbour_rows([record(16, [1.0] * 9), record(24, [1.2] * 7)], 0.95)
    assert row["n_rounds"] == 7


@pytest.mark.parametrize(
    "variant",
    [
        {"variant": "compiled"},
        {"precision": "bf16"},
        {"memory_format": "contiguous"},
        {"batch_size": 32},
    ],
)
def test_different_variants_are_not_compared(variant: dict[str, Any]) -> None:
    assert neighbour_rows([record(16, [1.0] * 5), record(24, [0.5] * 5, **variant)], 0.95) == []


def test_invalid_and_infeasible_measurements_are_dropped() -> None:
    records = curve([1.0, 0.5, 2.0], sizes=(16, 24, 32))
    records[1]["valid"] = False
    assert [(row["resolution"], row["larger"]) for row in neighbour_rows(records, 0.95)] == [
        (16, 32)
    ]
    records[1] |= {"valid": True, "status": "infeasible"}
    assert len(neighbour_rows(records, 0.95)) == 1


def test_profile_without_rounds_gives_no_rows() -> None:
    old = [
        {name: value for name, value in one.items() if name != "ratio_rounds"}
        for one in curve([1.0, 0.5], sizes=(16, 24))
    ]
    assert neighbour_rows(old, 0.95) == list(cost_rows(old, [], 0.95)) == []


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0, 1.7])
def test_exponents_of_power_laws_are_exact(exponent: float) -> None:
    pixels = np.array(SIZES, float) ** 2
    records = curve((3 * pixels**exponent).tolist())
    for one, memory in zip(records, 5 * pixels ** (exponent / 2), strict=True):
        one["peak_memory_mib"] = memory
    row = growth(records)
    assert [row[f"latency_exponent{end}"] for end in ("", "_low", "_high")] == pytest.approx(
        [exponent] * 3
    )
    assert [row[f"memory_exponent{end}"] for end in ("", "_low", "_high")] == pytest.approx(
        [exponent / 2] * 3
    )
    assert (row["latency_misfit"], row["memory_misfit"]) == pytest.approx((0, 0))
    assert (row["smallest"], row["largest"], row["n_resolutions"]) == (16, 64, 5)


def test_exponent_interval_covers_as_claimed() -> None:
    times = np.array(SIZES) ** 1.6
    found = [growth(curve(times.tolist(), seed=seed, noise=0.02)) for seed in range(300)]
    assert (
        0.92
        <= np.mean(
            [
                row["latency_exponent_low"] <= 0.8 <= row["latency_exponent_high"]
                for row in found
            ]
        )
        <= 0.98
    )


def test_misfit_measures_departure_from_power_law() -> None:
    row = growth(curve([1.0, 2.0, 1.0], sizes=(16, 32, 64)))
    assert row["latency_exponent"] == pytest.approx(0)
    assert row["latency_misfit"] == pytest.approx(2 ** (2 / 3) - 1)


def test_memory_exponent_lies_between_steps() -> None:
    records = curve([1.0, 2.0, 4.0], sizes=(16, 32, 64))
    for one, memory in zip(records, (1.0, 2.0, 8.0), strict=True):
        one["peak_memory_mib"] = memory
    assert [
        growth(records)[f"memory_exponent{end}"] for end in ("_low", "", "_high")
    ] == pytest.approx([0.5, 0.75, 1.0])


def test_two_resolutions_have_crossover_without_exponent() -> None:
    row = growth(curve([1.0, 1.01], sizes=(16, 24), noise=0.002))
    assert "latency_exponent" not in row
    assert row["crossover_px"] == 24


def test_crossover_ends_flat_start_of_curve() -> None:
    launch_bound = [max(1.0, (px / 32) ** 2) for px in SIZES]
    row = growth(curve(launch_bound, noise=0.005))
    assert row["crossover_px"] == 32
    assert row["crossover_ratio_low"] < 1 < row["crossover_ratio_high"] < 1.05
    assert verdicts(curve(launch_bound, noise=0.005)) == ["flat", "flat", "saves", "saves"]


def test_no_crossover_when_every_step_saves() -> None:
    assert "crossover_px" not in growth(curve([px**2 for px in SIZES], noise=0.005))


def test_flat_step_further_up_is_no_crossover() -> None:
    assert "crossover_px" not in growth(curve([1.0, 2.0, 2.0, 4.0, 5.0], noise=0.005))


def test_small_steps_add_up_in_crossover() -> None:
    row = growth(curve([1.0, 1.03, 1.06, 1.09, 1.12], noise=0.002))
    assert row["crossover_px"] == 24


def test_noisy_steps_are_open() -> None:
    assert verdicts(curve([1.0, 1.05], sizes=(16, 24), noise=0.2)) == ["open"]


def test_rows_have_columns_of_their_tables() -> None:
    records = curve([1.0, 1.5, 3.0], sizes=(16, 24, 32))
    neighbours = neighbour_rows(records, 0.95)
    assert tuple(neighbours[0]) == table_columns("neighbours")
    assert set(growth(records)) <= set(table_columns("cost"))


ENERGY_RECORD = record(
    24, [1.0], batch_size=32, power_w=20.0, idle_power_w=5.0, energy_j_per_image=0.02, energy_j_per_image_above_idle=0.015,
    latency_ms_p50=32.0, latency_ms_low=30.0, latency_ms_high=40.0,
)  # fmt: skip
CELL_ROW = {
    "family": "custom",
    "model": "net",
    "resolution": 24,
    "accuracy": 0.8,
    "accuracy_low": 0.5,
    "accuracy_high": 1.0,
}


def test_energy_per_correct_image_divides_by_accuracy() -> None:
    (row,) = energy_rows([ENERGY_RECORD], [CELL_ROW])
    assert tuple(row) == table_columns("energy")
    assert [
        row[f"energy_j_per_correct_image{end}"] for end in ("", "_low", "_high")
    ] == pytest.approx([0.025, 0.02, 0.04])


def test_images_per_watt_have_interval_of_latency() -> None:
    (row,) = energy_rows([ENERGY_RECORD], [])
    assert [
        row[f"images_per_second_per_watt{end}"] for end in ("", "_low", "_high")
    ] == pytest.approx([50, 40, 1600 / 30])
    assert row["energy_j_per_correct_image"] is None


def test_training_step_has_no_correct_image() -> None:
    (row,) = energy_rows([ENERGY_RECORD | {"variant": "training_step"}], [CELL_ROW])
    assert row["energy_j_per_correct_image"] is None


def test_unknown_power_gives_no_energy() -> None:
    assert (
        list(energy_rows([ENERGY_RECORD | {"power_w": None}, record(24, [1.0])], [CELL_ROW]))
        == []
    )


def frame(*records: Record) -> pd.DataFrame:
    return pd.DataFrame(records).drop(columns="ratio_rounds")


def test_first_variant_represents_model() -> None:
    profiles = frame(
        record(24, [], variant="compiled", latency_ms_p50=1.0),
        record(24, [], variant="eager", latency_ms_p50=2.0),
        record(24, [], variant="compiled", precision="bf16", latency_ms_p50=3.0),
        record(24, [], model="other", variant="eager", latency_ms_p50=4.0),
    )
    assert (
        main_variant_rows(profiles, profiles)["latency_ms_p50"].tolist()
        == single_image_rows(profiles)["latency_ms_p50"].tolist()
        == [1.0, 4.0]
    )
    other = profiles.iloc[::-1].assign(exponent=1.0)
    assert main_variant_rows(other, profiles)["variant"].tolist() == ["eager", "compiled"]


def test_throughput_is_that_of_best_batch() -> None:
    rates = {1: 50.0, 32: 80.0, 64: 70.0}
    rows = [
        record(px, [], batch_size=size, inference_images_per_second=rate)
        for px in (48, 24)
        for size, rate in rates.items()
    ]
    training = record(
        24, [], variant="training_step", batch_size=32, inference_images_per_second=None
    )
    assert best_throughput_rows(frame(*rows, training))[
        ["resolution", "batch_size"]
    ].to_numpy().tolist() == [[24, 32], [48, 32]]
