"""The command `resomap measure-pack`: exported networks, to measure their cost on another device."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from resomap.commands.completion import complete_cells
from resomap.commands.options import SweepDirectory
from resomap.errors import ConfigError, DataError, suggest
from resomap.text import format_count

if TYPE_CHECKING:
    from resomap.config.schema import Config
    from resomap.data.store.store import Store
    from resomap.deploy.measurements import ExportKey
    from resomap.deploy.pack import PackedNetwork

Records = Mapping["ExportKey", dict[str, Any]]


def measure_pack(
    cell: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="CELL",
            autocompletion=complete_cells,
            help="Model and its training resolution: tiny_cnn@48. Repeatable. Default: all that "
            "are exported.",
        ),
    ] = None,
    directory: SweepDirectory = Path(),
    output: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the pack.")] = Path(
        "measure-pack"
    ),
) -> None:
    """Write a folder that measures the networks on another device.

    Copy it there and run `python measure.py`, which needs Python, numpy and
    onnxruntime. `resomap choose --device NAME` reads what it measured.

    Example: resomap measure-pack tiny_cnn@48 --output pack
    """
    from resomap.deploy.measurements import read_export_records
    from resomap.deploy.pack import sweep_identity, write_pack
    from resomap.workflow.lifecycle import read_run_config

    config, results = read_run_config(directory), directory / "results"
    records = _of_sweep(read_export_records(results), config)
    if not records:
        raise DataError(f"{results / 'deploy'}: no network is exported: run `snakemake deploy`")
    chosen = _choose(records, cell or ())
    usable = _first_usable(chosen)
    networks = list(_open_networks(results, usable))
    if not networks:
        raise DataError(f"{results / 'deploy'}: none of the exported networks is deployable")
    sweep, profiling = sweep_identity(results), config.system.profiling
    write_pack(output, networks, sweep, profiling)
    for each in networks:
        typer.echo(each.identity.title)
    number = format_count(len(networks), "network")
    typer.echo(f"{output}: {number}; on the device: `python measure.py --output NAME.json`")


def _of_sweep(records: Records, config: "Config") -> Records:
    """Select the exports of the sweep as configured; others are of an earlier, wider one."""
    sweep = config.sweep
    return {
        key: record
        for key, record in records.items()
        if key.model in sweep.models
        and key.train_resolution in sweep.resolutions
        and key.seed in sweep.seeds
    }


def _choose(records: Records, cells: Sequence[str]) -> Records:
    """Select the exports of the named cells, or all."""
    known = dict.fromkeys(key.cell for key in records)
    wrong = [f"{each!r} ({suggest(each, known)})" for each in cells if each not in known]
    if wrong:
        raise ConfigError(f"not exported: {', '.join(wrong)}")
    return {key: record for key, record in records.items() if not cells or key.cell in cells}


def _first_usable(records: Records) -> Records:
    """Select the first seed of each cell and test resolution that is deployable.

    Cost does not depend on the weights. What has none is reported and left out.
    """
    from resomap.deploy.measurements import exported_networks

    usable, left_out = dict[Any, "ExportKey"](), dict[Any, str]()
    for key, record in records.items():
        cell = key._replace(seed=0)
        if exported_networks(record):
            usable.setdefault(cell, key)
        else:
            left_out[cell] = record.get("reason") or record["status"]
    for cell, reason in left_out.items():
        if cell not in usable:
            typer.echo(f"left out: {cell.cell} at {cell.resolution} px: {reason}", err=True)
    return {key: records[key] for key in usable.values()}


def _open_networks(results: Path, records: Records) -> "Iterator[PackedNetwork]":
    """Yield every precision of the exports with its golden images."""
    import numpy as np

    from resomap.data.store.store import open_store
    from resomap.deploy.measurements import NetworkIdentity, exported_networks
    from resomap.deploy.pack import PackedNetwork, choose_clear
    from resomap.workflow.checked_files import read_arrays
    from resomap.workflow.receipts import check_content
    from resomap.workflow.sweep_results import check_export_inputs

    store = open_store(results / "data" / "manifest.json")
    for key, record in records.items():
        folder = key.folder(results)
        check_export_inputs(results, key.run, key.resolution)
        logits = read_arrays(folder / "logits.npz")
        normalised = _normalise_as_trained(store, results, key)
        # The network in fp32 is compared with what it was exported from.
        recorded = {**logits, "fp32": logits["torch"]}
        for precision, network in exported_networks(record).items():
            model = folder / f"{precision}.onnx"
            check_content(model)
            golden = choose_clear(logits["label"], recorded[precision])
            images = store.images("test", key.resolution)[golden]
            facts = {**key._asdict(), "precision": precision, "bytes": network["bytes"]}
            identity = NetworkIdentity.model_validate(facts)
            yield PackedNetwork(
                identity,
                model,
                normalised.mean,
                normalised.std,
                np.array(images),
                recorded[precision][golden],
            )


def _normalise_as_trained(store: "Store", results: Path, key: "ExportKey") -> "Store":
    from resomap.training.checkpoint import read_metadata, recorded_normalisation

    path = results / "checkpoints" / key.run / "best.safetensors"
    metadata = read_metadata(path)
    if metadata is None:
        raise DataError(
            f"{path} is missing or damaged: the images are normalised as it records"
        )
    return store.normalised_by(recorded_normalisation(metadata))
