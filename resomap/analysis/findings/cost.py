"""Findings about cost: growth with resolution, time by stage, inversions, energy."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from resomap.analysis.cost_tables import INVERSION_CONFIDENCE, MIN_SAVING, STAGE_NAMES
from resomap.analysis.findings.finding import Estimate, Finding, read_estimate, select
from resomap.analysis.profiles import main_variant_rows, single_image_rows
from resomap.analysis.tables import Tables
from resomap.workflow.predictions import RAW


def latency_of_models(profiles: pd.DataFrame, cost: pd.DataFrame) -> list[Finding]:
    """Find the latency of one image for each model at its smallest and its largest resolution.

    Its parts are the growth of latency and memory with pixels, and the crossover below which a
    smaller image saves nothing, as far as they are known. `cost` are the rows of cost.csv.
    """
    findings = []
    for model, rows in single_image_rows(profiles).groupby("model", sort=False):
        growth = main_variant_rows(cost[cost["model"] == model], profiles)
        parts = (*_growth(growth), *_crossover(growth))
        # `single_image_rows` sorts by resolution.
        first, last = rows.iloc[0], rows.iloc[-1]
        pixels = (last["resolution"] / first["resolution"]) ** 2
        findings.append(
            Finding(
                kind="latency",
                state="shown",
                evidence="tables/profiles.csv",
                subject={
                    "model": str(model),
                    "smallest": int(first["resolution"]),
                    "largest": int(last["resolution"]),
                },
                numbers={
                    "smallest": _latency(first),
                    "smallest_p90": Estimate(float(first["latency_ms_p90"])),
                    "largest": _latency(last),
                    "largest_p90": Estimate(float(last["latency_ms_p90"])),
                    "times_latency": Estimate(
                        float(last["latency_ms_p50"] / first["latency_ms_p50"])
                    ),
                    "times_pixels": Estimate(float(pixels)),
                },
                parts=parts,
            )
        )
    return findings


def _latency(row: Any) -> Estimate:
    """Return the median latency of a row of profiles.csv, with its interval between rounds."""
    return read_estimate(
        {
            "ms": row["latency_ms_p50"],
            "ms_low": row["latency_ms_low"],
            "ms_high": row["latency_ms_high"],
            "n": row["n"],
        },
        "ms",
    )


def _growth(cost: pd.DataFrame) -> list[Finding]:
    """Find the exponents of the latency of one image and of the memory of the largest batch."""
    known = cost.dropna(subset="latency_exponent").sort_values("batch_size")
    # Latency is that of one image; without batch 1 there is none.
    if known.empty or known["batch_size"].iloc[0] != 1:
        return []
    single, largest = known.iloc[0], known.iloc[-1]
    numbers = {
        "latency_exponent": read_estimate(single, "latency_exponent", "n_resolutions"),
        "latency_misfit": Estimate(float(single["latency_misfit"])),
    }
    # Where the device does not report its memory, it is blank.
    if not pd.isna(largest["memory_exponent"]):
        numbers["memory_exponent"] = read_estimate(largest, "memory_exponent", "n_resolutions")
    subject = {"batch_size": int(largest["batch_size"])}
    return [Finding("growth with pixels", "shown", "tables/cost.csv", subject, numbers)]


def _crossover(cost: pd.DataFrame) -> list[Finding]:
    """Find the resolution below which a smaller image saves nothing at batch 1."""
    known = cost[(cost["batch_size"] == 1) & cost["crossover_px"].notna()]
    if known.empty:
        return []
    row = known.iloc[0]
    # Shown only when the whole interval is below the smallest saving that counts.
    saves_nothing = row["crossover_ratio_high"] <= MIN_SAVING
    return [
        Finding(
            kind="crossover",
            state="shown" if saves_nothing else "open",
            evidence="tables/cost.csv",
            subject={"resolution": int(row["crossover_px"]), "smallest": int(row["smallest"])},
            numbers={"ratio": read_estimate(row, "crossover_ratio")},
        )
    ]


def steepest_latency(latencies: Sequence[Finding]) -> Finding | None:
    """Return the finding of the model whose latency grows most; None without two sizes."""
    growing = [one for one in latencies if one.subject["smallest"] < one.subject["largest"]]
    return max(growing, key=lambda one: one.numbers["times_latency"].value, default=None)


def stage_shares(stages: pd.DataFrame) -> pd.DataFrame:
    """Compute the share of each stage (columns) in the time of every cell (rows)."""
    shares = {name: stages[f"{name}_ms"].fillna(0) / stages["total_ms"] for name in STAGE_NAMES}
    return pd.DataFrame(shares)


def time_breakdown(stages: pd.DataFrame) -> Finding:
    """Find which stage takes longest, in how many cells, and the share of the network.

    The state is `unknown` when the stages were not measured.
    """
    if stages.empty:
        return Finding("time breakdown", "unknown", "tables/stages.csv")
    # Cells count equally, whatever their time.
    shares = stage_shares(stages)
    longest = shares.idxmax(axis=1)
    network = shares["forward"]
    return Finding(
        kind="time breakdown",
        state="shown",
        evidence="tables/stages.csv",
        subject={"stage": longest.mode().iloc[0]},
        numbers={
            "cells": Estimate(int(longest.value_counts().max()), n=len(shares)),
            "network_share": Estimate(float(network.mean()), network.min(), network.max()),
        },
    )


INVERSION_SUBJECT = ("model", "variant", "precision", "batch_size", "resolution", "larger")


def inversions(neighbours: pd.DataFrame) -> list[Finding]:
    """Find the steps at which the larger image is shown to be faster: an alarm each."""
    inverted = neighbours[neighbours["verdict"] == "inverted"]
    steps = Estimate(INVERSION_CONFIDENCE, n=len(neighbours))
    findings = []
    for row in inverted.to_dict("records"):
        subject = select(row, *INVERSION_SUBJECT)
        numbers = {"ratio": read_estimate(row, "ratio", "n_rounds"), "joint_confidence": steps}
        findings.append(
            Finding("inversion", "fires", "tables/neighbours.csv", subject, numbers)
        )
    return findings


def energy_findings(tables: Tables) -> list[Finding]:
    """Find the energy of an image in the chosen cell, and the most efficient cell."""
    known = main_variant_rows(tables.energy, tables.profiles)
    if known.empty:
        return []
    findings = []
    choice = tables.choice["choice"] or {}
    of_choice = known[
        (known["model"] == choice.get("model"))
        & (known["resolution"] == choice.get("eval_resolution"))
    ]
    if len(of_choice):
        row = of_choice.loc[of_choice["energy_j_per_image"].idxmin()]
        numbers = {
            "image": Estimate(float(row["energy_j_per_image"])),
            "image_above_idle": Estimate(float(row["energy_j_per_image_above_idle"])),
        }
        # The table counts the correct images of the network that was trained at this size.
        if choice["eval_resolution"] == choice["resolution"] and choice["mode"] == RAW:
            numbers["correct_image"] = read_estimate(row, "energy_j_per_correct_image")
        # No image may be correct, and the power when idle may be unknown.
        numbers = {name: one for name, one in numbers.items() if not pd.isna(one.value)}
        findings.append(_energy("energy of the choice", row, numbers))
    best = known.loc[known["images_per_second_per_watt"].idxmax()]
    rate = read_estimate(best, "images_per_second_per_watt")
    findings.append(_energy("most images per watt", best, {"images_per_watt": rate}))
    return findings


def _energy(kind: str, row: Any, numbers: dict[str, Estimate]) -> Finding:
    """Build a finding about a row of energy.csv."""
    subject = select(row, "model", "resolution", "batch_size")
    return Finding(kind, "shown", "tables/energy.csv", subject, numbers)
