"""What a bundle of one run holds: its exported network, golden images, and what the card states."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from resomap.config.deploy import DeployPrecision
from resomap.config.schema import Config, Profiling
from resomap.errors import ConfigError, DataError
from resomap.shipping.facts import read_facts
from resomap.shipping.runs import RunSource
from resomap.workflow.checked_files import read_arrays, read_json
from resomap.workflow.receipts import check_content
from resomap.workflow.sweep_results import check_export_inputs

if TYPE_CHECKING:
    import numpy as np

    from resomap.analysis.predictions import Run
    from resomap.deploy.bundle import GoldenImages
    from resomap.deploy.card import CardFacts
    from resomap.deploy.measurements import NetworkIdentity, SweepIdentity
    from resomap.deploy.preprocessing import Preprocessing

INT8: DeployPrecision = "int8"


@dataclass(frozen=True)
class Shipment:
    """All that the bundle of one run is written from."""

    run: "Run"
    model: Path
    preprocessing: "Preprocessing"
    classes: Sequence[str]
    golden: "GoldenImages"
    facts: "CardFacts"
    sweep: "SweepIdentity"
    profiling: Profiling

    def __str__(self) -> str:
        precision = f" in {INT8}" if self.facts.loss else ""
        return f"{self.facts.cell}{precision}, seed {self.facts.seed}"

    @property
    def folder_name(self) -> str:
        """Return the default name of the bundle: `tiny_cnn@48`, `tiny_cnn@48-int8`."""
        name = f"{self.run.cell.model}@{self.run.cell.resolution}"
        return f"{name}-{INT8}" if self.facts.loss else name

    def write(self, folder: Path) -> None:
        """Write the bundle into a folder."""
        from resomap.deploy.bundle import (
            GOLDEN_FILE,
            MODEL_FILE,
            write_bundle,
            write_fingerprints,
        )
        from resomap.deploy.pack import PACK_FILE, describe_network, write_list

        names = write_bundle(
            folder,
            model=self.model,
            preprocessing=self.preprocessing,
            classes=self.classes,
            golden=self.golden,
            facts=self.facts,
        )
        spec = self.preprocessing
        entry = describe_network(self._identify(), MODEL_FILE, GOLDEN_FILE, spec.mean, spec.std)
        write_list(folder, [entry], self.sweep, self.profiling)
        write_fingerprints(folder, [*names, PACK_FILE])

    def _identify(self) -> "NetworkIdentity":
        from resomap.deploy.measurements import NetworkIdentity

        cell = self.run.cell
        return NetworkIdentity(
            family=cell.family,
            model=cell.model,
            train_resolution=cell.resolution,
            resolution=cell.resolution,
            seed=self.run.seed,
            precision=INT8 if self.facts.loss else "fp32",
            bytes=self.model.stat().st_size,
        )

    def prove(self, folder: Path) -> list[str]:
        """Return what the network of the bundle answers differently; empty where nothing."""
        from resomap.deploy.bundle import prove_bundle

        problems = "; ".join(prove_bundle(folder))
        where = f"{self.model} is not the network of {self.run.folder}"
        return [f"{where}: {problems}"] if problems else []


def choose_run(source: RunSource, seed: int | None) -> "Run":
    """Return the finished run of a seed, or the first; ConfigError lists the seeds."""
    by_seed = {run.seed: run for run in source.runs}
    if seed is None:
        return source.runs[0]
    if seed not in by_seed:
        seeds = ", ".join(map(str, by_seed))
        raise ConfigError(f"--seed {seed}: no finished run; finished are those of {seeds}")
    return by_seed[seed]


def open_shipment(
    results: Path,
    config: Config,
    source: RunSource,
    run: "Run",
    *,
    precision: DeployPrecision = "fp32",
    model: Path | None = None,
    rows: "np.ndarray | None" = None,
) -> Shipment:
    """Read what the bundle of a run needs.

    `rows` are the golden test images; without them they are of as many classes as possible.
    """
    import numpy as np

    from resomap.deploy.bundle import MAX_INT8_ERROR, GoldenImages, choose_golden
    from resomap.deploy.pack import sweep_identity

    rows = choose_golden(source.labels) if rows is None else rows
    exported = model or _find_export(results, run, precision)
    native, described = np.array(source.images[rows]), source.preprocessing
    manifest = read_json(results / "data" / "manifest.json")
    if precision == INT8:
        recorded = _recorded_logits(exported, precision, source.labels)
        golden = GoldenImages(native, recorded[rows], MAX_INT8_ERROR)
        facts = read_facts(results, config, run, manifest, lowered=recorded)
    else:
        network = source.networks[source.runs.index(run)]
        logits = network(described.normalise(described.resize(native)))
        golden = GoldenImages(native, logits)
        facts = read_facts(results, config, run, manifest)
    return Shipment(
        run=run,
        model=exported,
        preprocessing=described,
        classes=manifest["classes"],
        golden=golden,
        facts=facts,
        sweep=sweep_identity(results),
        profiling=config.system.profiling,
    )


def _find_export(results: Path, run: "Run", precision: DeployPrecision) -> Path:
    """Return the network that the sweep exported for its training resolution."""
    folder = results.joinpath("deploy", *run.folder.parts[-4:], f"at{run.cell.resolution}")
    path = folder / f"{precision}.onnx"
    if not path.exists():
        other = "" if precision == INT8 else ", or name a file with --model"
        raise DataError(
            f"{path} is missing: run `snakemake deploy` with {precision} in "
            f"system.deploy.precisions{other}"
        )
    check_export_inputs(results, run.folder, run.cell.resolution)
    check_content(path)
    if path.stat().st_size == 0:
        record = read_json(folder / "export.json")
        failed = record["networks"].get(precision, {}).get("failure")
        reason = failed or record["reason"] or record["status"]
        first = str(reason).partition("\n")[0]
        raise DataError(f"{path}: this network is not deployable: {first}")
    return path


def _recorded_logits(
    exported: Path, precision: DeployPrecision, labels: "np.ndarray"
) -> "np.ndarray":
    """Return the logits (N, classes) of all test images, as the network gave them on export."""
    import numpy as np

    path = exported.with_name("logits.npz")
    stored = read_arrays(path)
    if precision not in stored or not np.array_equal(stored["label"], labels):
        raise DataError(
            f"{path}: it has no {precision} logits of these test images: delete it and run "
            "`snakemake deploy` again"
        )
    return stored[precision]
