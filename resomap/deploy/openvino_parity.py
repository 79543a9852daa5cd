"""Proof that the exports of a run answer in OpenVINO as the network in PyTorch does."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from torch import nn

from resomap.config.deploy import DeployPrecision
from resomap.deploy.network_parity import NetworkParity, judge_logits
from resomap.deploy.parting import find_parting
from resomap.deploy.runtimes.openvino_sessions import (
    compile_network,
    compute_compiled_logits,
    compute_compiled_values,
    openvino_record,
)


@dataclass(frozen=True)
class OpenvinoProof:
    """The test logits in OpenVINO by precision, and the record with what failed there."""

    logits: dict[DeployPrecision, np.ndarray]
    record: dict[str, Any]


@dataclass(frozen=True)
class ProvenRun:
    """A network in PyTorch with its logits for all test images, and its exports by precision.

    `batches()` yields these images, normalised, in the order of `sources`. An export without
    content does not exist. `title` names the run in messages.
    """

    network: nn.Module
    reference: np.ndarray
    exports: Mapping[DeployPrecision, bytes]
    batches: Callable[[], Iterable[np.ndarray]]
    sources: Sequence[str]
    title: str


def prove_in_openvino(run: ProvenRun) -> OpenvinoProof:
    """Run every export on all test images in OpenVINO, and compare the one in fp32 with PyTorch.

    Without a proven fp32 no other precision is run. What fails is in the record and no
    exception: the networks may be deployable in ONNX Runtime.
    """
    proof = OpenvinoProof({}, {**openvino_record(), "parity": None, "failures": {}})
    failures = proof.record["failures"]
    logits, failures["fp32"] = _compute_logits(run, "fp32")
    if logits is not None:
        parity = _judge(run, logits)
        proof.logits["fp32"], proof.record["parity"] = logits, parity.record()
        failures["fp32"] = parity.record()["failure"]
    if failures["fp32"] is None:
        for precision in run.exports:
            if precision != "fp32" and run.exports[precision]:
                logits, failures[precision] = _compute_logits(run, precision)
                if logits is not None:
                    proof.logits[precision] = logits
    return proof


def _compute_logits(
    run: ProvenRun, precision: DeployPrecision
) -> tuple[np.ndarray | None, str | None]:
    """Return the test logits, or why OpenVINO cannot compute them."""
    # It raises RuntimeError for what it cannot read, compile or run.
    try:
        compiled = compile_network(run.exports[precision])
        return compute_compiled_logits(compiled, run.batches()), None
    except RuntimeError as error:
        reason = next((line for line in str(error).splitlines() if line.strip()), "")
        return None, f"{run.title}: OpenVINO cannot run its {precision}: {reason.strip()}"


def _judge(run: ProvenRun, logits: np.ndarray) -> NetworkParity:
    locate = partial(
        find_parting,
        run.network,
        run.exports["fp32"],
        compute_values=compute_compiled_values,
    )
    title = f"{run.title}, in OpenVINO"
    return judge_logits(run.reference, logits, run.batches, title, run.sources, locate)
