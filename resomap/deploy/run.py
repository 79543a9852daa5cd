"""The exports of one trained run: in fp32, proven against PyTorch, and in lower precisions."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from resomap.config.deploy import ONNX_RUNTIME, OPENVINO, DeployPrecision, RuntimeName
from resomap.deploy.export import ExportedNetwork, ExportError, export_network
from resomap.deploy.network_parity import NetworkParity, prove_parity
from resomap.deploy.openvino_parity import ProvenRun, prove_in_openvino
from resomap.deploy.quantise import QuantisationError, quantise_network
from resomap.deploy.sessions import SESSION_SETTINGS, RuntimeRefusal, run_file
from resomap.workflow.predictions import runtime_logits_name, val_logits_name


@dataclass(frozen=True)
class RunImages:
    """The images of a run, normalised as for its network, float32 (N, 3, r, r).

    `test()` yields all test images in batches, in the order of `labels` and of `sources`, their
    files. `selection()` yields all validation images, by which networks are chosen.
    `calibration()` returns training images, `validation()` some of validation.
    """

    test: Callable[[], Iterable[np.ndarray]]
    selection: Callable[[], Iterable[np.ndarray]]
    labels: np.ndarray
    sources: Sequence[str]
    calibration: Callable[[], np.ndarray]
    validation: Callable[[], np.ndarray]


@dataclass(frozen=True)
class ExportedRun:
    """The networks of a run by precision, their record, and their logits.

    Those for the test images have the name of the precision. A precision below fp32 has those for
    the validation images, too, as the choice of a network must not look at test images. A
    network that is not deployable has no content.
    """

    networks: dict[DeployPrecision, bytes]
    record: dict[str, Any]
    logits: dict[str, np.ndarray]

    @property
    def failures(self) -> list[str]:
        """Return why a network is not deployable, in a precision or in a runtime."""
        of_run = [self.record["reason"]]
        of_networks = [each.get("failure") for each in self.record["networks"].values()]
        for proof in self.record["runtimes"].values():
            of_networks += proof["failures"].values()
        return [reason for reason in (*of_run, *of_networks) if reason]


def export_run(
    network: nn.Module,
    images: RunImages,
    precisions: Sequence[DeployPrecision],
    resolution: int,
    cell: str,
    runtimes: Sequence[RuntimeName] = (ONNX_RUNTIME,),
) -> ExportedRun:
    """Export `network` for images of `resolution`; `cell` names it in the record and in messages.

    The network in fp32 is proven first, in ONNX Runtime. Where it differs from the one in
    PyTorch, or cannot be exported, the record has the reason, and there is no network in any
    precision. What fails in another of the `runtimes` is in the record of that runtime.
    """
    try:
        exported = export_network(network, resolution, cell)
        parity = prove_parity(network, exported.content, images.test, cell, images.sources)
    except ExportError as error:
        return _failed(precisions, images, str(error))
    except RuntimeRefusal as error:
        return _failed(precisions, images, f"{cell}: {error}")
    logits = {"label": images.labels, "torch": parity.reference, "fp32": parity.exported}
    if parity.failure is not None:
        failed = _failed(precisions, images, str(parity.failure))
        return ExportedRun(failed.networks, failed.record | {"parity": parity.record()}, logits)
    run = ExportedRun({}, _record("deployable", None, parity), logits)
    for precision in precisions:
        _add_precision(run, precision, exported, images)
    if OPENVINO in runtimes:
        exports = {**run.networks, "fp32": exported.content}
        proven = ProvenRun(
            network, parity.reference, exports, images.test, images.sources, cell
        )
        proof = prove_in_openvino(proven)
        run.record["runtimes"][OPENVINO] = proof.record
        for precision, logits_there in proof.logits.items():
            run.logits[runtime_logits_name(OPENVINO, precision)] = logits_there
    return run


def _add_precision(
    run: ExportedRun,
    precision: DeployPrecision,
    exported: ExportedNetwork,
    images: RunImages,
) -> None:
    """Add one precision of an exported network to a run, or why there is none."""
    if precision == "fp32":
        made = exported
    else:
        try:
            made = quantise_network(exported.content, images.calibration(), images.validation())
            logits = {
                precision: run_file(made.content, images.test()),
                val_logits_name(precision): run_file(made.content, images.selection()),
            }
        # The network in fp32 is as good without it.
        except (QuantisationError, RuntimeRefusal) as error:
            run.networks[precision] = b""
            run.record["networks"][precision] = {"failure": str(error)}
            return
        run.logits.update(logits)
    run.networks[precision] = made.content
    run.record["networks"][precision] = made.record


def no_exports(precisions: Sequence[DeployPrecision], status: str) -> ExportedRun:
    """Return the exports of a run without a result: diverged or infeasible."""
    logits = {"label": np.zeros(0, np.int64)}
    return ExportedRun(dict.fromkeys(precisions, b""), _record(status, None, None), logits)


def _failed(
    precisions: Sequence[DeployPrecision], images: RunImages, reason: str
) -> ExportedRun:
    record = _record("not deployable", reason, None)
    return ExportedRun(dict.fromkeys(precisions, b""), record, {"label": images.labels})


def _record(status: str, reason: str | None, parity: NetworkParity | None) -> dict[str, Any]:
    return {
        "status": status,
        "reason": reason,
        "parity": None if parity is None else parity.record(),
        "session": SESSION_SETTINGS,
        "networks": {},
        "runtimes": {},
    }
