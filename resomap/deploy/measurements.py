"""Cost on other devices: the files that `measure.py` wrote there, as rows of the shape of a profile's.

A file is used only if it is complete, has its own digest, and measured the very networks that
the sweep exports now.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import Field, FiniteFloat, ValidationError, model_validator

from resomap.config.deploy import (
    DEPLOY_KEY,
    DeployPrecision,
    RuntimeName,
    check_device_names,
    device_name,
)
from resomap.config.types import Section
from resomap.errors import ConfigError
from resomap.workflow.checked_files import read_json

Row = dict[str, Any]
KIND, SCHEMA = "resomap measurement", 2
KEY = f"{DEPLOY_KEY}.measurements"
MEASURED, UNMEASURED = "ok", "unmeasured"
MOST_NAMES, MIB = 5, 2**20
COPY_AGAIN = "copy the file from the device again"
MEASURE_NEW = "measure a new pack (`resomap measure-pack`)"
Milliseconds = Annotated[FiniteFloat, Field(gt=0)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]


class SweepIdentity(Section):
    """The sweep that a pack was made from: its title, and a digest of its images."""

    title: str
    images: Sha256


class NetworkIdentity(Section):
    """One exported network: of which run, for which images, in which precision."""

    family: str
    model: str
    train_resolution: Annotated[int, Field(gt=0)]
    resolution: Annotated[int, Field(gt=0)]
    seed: Count
    precision: DeployPrecision
    bytes: Count

    @property
    def is_foreign_size(self) -> bool:
        """Return whether its images have another size than those of its training."""
        return self.resolution != self.train_resolution

    @property
    def title(self) -> str:
        """Return cell, seed and precision, for messages."""
        trained = f"{self.model}@{self.train_resolution}"
        at = f" at {self.resolution} px" if self.is_foreign_size else ""
        return f"{trained}{at} seed {self.seed} {self.precision}"


class NetworkTiming(Section):
    """Latencies of one network; `ratio` is over the reference workload of the same round."""

    valid: bool
    why_invalid: str | None
    n: Count
    tried: Count
    latency_ms_p50: Milliseconds
    latency_ms_p90: Milliseconds
    latency_ms_rounds: Annotated[tuple[Milliseconds, ...], Field(min_length=1)]
    ratio_to_reference: Milliseconds
    ratio_rounds: tuple[Milliseconds, ...]

    @model_validator(mode="after")
    def _check_agreement(self) -> Self:
        if len(self.ratio_rounds) != len(self.latency_ms_rounds):
            raise ValueError("ratio_rounds and latency_ms_rounds differ in number")
        if not self.latency_ms_p50 <= self.latency_ms_p90:
            raise ValueError("latency_ms_p50 is above latency_ms_p90")
        if not min(self.ratio_rounds) <= self.ratio_to_reference <= max(self.ratio_rounds):
            raise ValueError("ratio_to_reference lies outside of ratio_rounds")
        return self


class MeasuredNetwork(NetworkIdentity):
    """One exported network, and what a device made of it."""

    sha256: Sha256
    status: Literal["ok", "wrong answers", "failed", "unmeasured"]
    why: str | None
    peak_memory_mib: Annotated[FiniteFloat, Field(gt=0)] | None
    timing: NetworkTiming | None

    @model_validator(mode="after")
    def _check_timing(self) -> Self:
        if (self.status == MEASURED) != (self.timing is not None):
            raise ValueError(f"status is {self.status!r}, which does not fit its timing")
        return self


class Measurement(Section):
    """The content of measurement.json."""

    kind: Literal["resomap measurement"]
    schema_version: Annotated[int, Field(alias="schema")]
    complete: bool
    sweep: SweepIdentity
    device: dict[str, Any]
    runtime: RuntimeName
    threads: Annotated[int, Field(gt=0)]
    settings: dict[str, Any]
    networks: Annotated[tuple[MeasuredNetwork, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _check_distinct_networks(self) -> Self:
        titles = [(each.family, each.title) for each in self.networks]
        twice = {title for family, title in titles if titles.count((family, title)) > 1}
        if twice:
            raise ValueError(f"networks: {_first_names(sorted(twice))} stands there twice")
        return self


def read_measurements(files: Sequence[Path], results: Path) -> dict[str, list[Row]]:
    """Return the rows of every device, named after the stem of its file, in the order of `files`.

    A row has the shape of a record of a profile: `resolution` is that of the test images,
    `variant` the runtime, `device` the name. There is one row for each model, resolution and
    precision, since cost does not depend on weights. `unusable` are the resolutions of training
    of the networks that fail there or answer wrongly. ConfigError has a line for each problem of
    each file; `results` is the folder of the sweep.
    """
    try:
        check_device_names([str(path) for path in files])
    except ValueError as error:
        raise ConfigError(f"{KEY}: {error}") from None
    if not files:
        return {}
    exports, images = read_export_records(results), images_digest(results)
    problems, rows = list[str](), dict[str, list[Row]]()
    for path in files:
        try:
            measurement = parse_measurement(path)
        except ConfigError as error:
            problems.append(str(error))
            continue
        found = list(_mismatches(measurement, exports, images))
        problems += [f"{KEY}: {path}: {each}" for each in found]
        rows[device_name(path)] = list(_rows(measurement, device_name(path)))
    if problems:
        raise ConfigError("\n".join(problems))
    return rows


def parse_measurement(path: Path) -> Measurement:
    """Read what `measure.py` wrote; ConfigError says what is wrong with it."""
    try:
        values = json.loads(path.read_bytes())
    except OSError as error:
        raise _refused(path, f"{error.strerror}: name a file that measure.py wrote") from None
    except (RecursionError, ValueError):
        raise _refused(path, f"no JSON, or cut off: {COPY_AGAIN}") from None
    if not isinstance(values, dict) or values.get("kind") != KIND:
        raise _refused(path, "no measurement of ResoMap: name a file that measure.py wrote")
    if values.get("schema") != SCHEMA:
        raise _refused(
            path,
            f"schema {values.get('schema')!r}, expected {SCHEMA}: measure again with a pack of this "
            "version of ResoMap",
        )
    if values.pop("sha256", None) != record_digest(values):
        raise _refused(path, f"its sha256 does not fit, so it was changed: {COPY_AGAIN}")
    try:
        return Measurement.model_validate_json(json.dumps(values))
    except ValidationError as error:
        places = (
            f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()
        )
        raise _refused(path, f"{_first_names(list(places), '; ')}: measure again") from None


def record_digest(values: Mapping[str, Any]) -> str:
    """Return the sha256 of a record as `measure.py` computes it, without the digest itself."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _refused(path: Path, reason: str) -> ConfigError:
    return ConfigError(f"{KEY}: {path}: {reason}")


def images_digest(results: Path) -> str:
    """Return the digest of a sweep's images; it stays when networks are trained again."""
    manifest = read_json(results / "data" / "manifest.json")
    return record_digest(
        {name: manifest[name] for name in ("classes", "native_resolution", "splits")}
    )


class ExportKey(NamedTuple):
    """An exported run: its cell, the resolution of its test images, and its seed."""

    family: str
    model: str
    train_resolution: int
    resolution: int
    seed: int

    @property
    def cell(self) -> str:
        """Return the model and its training resolution as users write it."""
        return f"{self.model}@{self.train_resolution}"

    @property
    def run(self) -> Path:
        """Path of the run below results/runs, results/checkpoints and so on."""
        return Path(self.family, self.model, f"r{self.train_resolution}", f"seed{self.seed}")

    def folder(self, results: Path) -> Path:
        """Return the folder of the exported networks."""
        return results / "deploy" / self.run / f"at{self.resolution}"


def read_export_records(results: Path) -> dict[ExportKey, dict[str, Any]]:
    """Return the record of every exported run of a sweep, `export.json`."""
    exports = {}
    for path in results.glob("deploy/*/*/r*/seed*/at*/export.json"):
        family, model, *sides = path.parts[-6:-1]
        numbers = [int(re.sub("[a-z]+", "", each)) for each in sides]
        trained, seed, tested = numbers
        exports[ExportKey(family, model, trained, tested, seed)] = read_json(path)
    return dict(sorted(exports.items()))


def exported_networks(record: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the networks of an export that can run, by precision; each has bytes and sha256."""
    return {name: each for name, each in record["networks"].items() if "sha256" in each}


def _mismatches(
    measurement: Measurement,
    exports: Mapping[ExportKey, Mapping[str, Any]],
    images: str,
) -> Iterator[str]:
    """Yield why a measurement is not of the networks that the sweep exports now, or is partial."""
    if measurement.sweep.images != images:
        yield (
            f"it measured networks of another sweep ({measurement.sweep.title!r}, with other "
            "images): measure the pack of this one"
        )
        return
    missing = [each.title for each in measurement.networks if each.status == UNMEASURED]
    if missing or not measurement.complete:
        names = _first_names(missing) or "the record is not complete"
        yield f"partial, not measured: {names}: run measure.py to its end"
    unknown, stale = list[str](), list[str]()
    for each in measurement.networks:
        key = ExportKey(
            each.family, each.model, each.train_resolution, each.resolution, each.seed
        )
        network = (
            exported_networks(exports[key]).get(each.precision) if key in exports else None
        )
        if network is None:
            unknown.append(each.title)
        elif network["sha256"] != each.sha256:
            stale.append(each.title)
    if unknown:
        yield f"this sweep does not export {_first_names(unknown)}: {MEASURE_NEW}"
    if stale:
        yield f"stale, exported anew since it was measured: {_first_names(stale)}: {MEASURE_NEW}"


def _first_names(names: Sequence[str], separator: str = ", ") -> str:
    """Return the first few names, and how many there are beyond."""
    more = f"{separator}{len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return separator.join(names[:MOST_NAMES]) + more


def _rows(measurement: Measurement, device: str) -> Iterator[Row]:
    """Yield a row for each model, test resolution and precision."""
    groups: dict[tuple[str, str, int, str], list[MeasuredNetwork]] = {}
    for each in measurement.networks:
        key = (each.family, each.model, each.resolution, each.precision)
        groups.setdefault(key, []).append(each)
    for networks in groups.values():
        # The one trained at that very resolution first: the others differ in weights alone.
        networks.sort(key=lambda each: (each.status != MEASURED, each.is_foreign_size))
        unusable = [each.train_resolution for each in networks if each.status != MEASURED]
        yield {**_row(networks[0], measurement, device), "unusable": unusable}


def _row(network: MeasuredNetwork, measurement: Measurement, device: str) -> Row:
    timing = network.timing.model_dump() if network.timing else {}
    for name in ("latency_ms_rounds", "ratio_rounds"):
        timing[name] = list(timing.get(name, ()))
    return {
        "family": network.family,
        "model": network.model,
        "resolution": network.resolution,
        "batch_size": 1,
        "variant": measurement.runtime,
        "precision": network.precision,
        "memory_format": "contiguous",
        "device": device,
        "threads": measurement.threads,
        "status": network.status,
        "valid": timing.get("valid", False),
        "why_invalid": timing.get("why_invalid", network.why),
        "rounds": len(timing["latency_ms_rounds"]),
        "n": timing.get("n", 0),
        "latency_ms_p50": timing.get("latency_ms_p50"),
        "latency_ms_p90": timing.get("latency_ms_p90"),
        "latency_ms_rounds": timing["latency_ms_rounds"],
        "ratio_to_reference": timing.get("ratio_to_reference"),
        "ratio_rounds": timing["ratio_rounds"],
        "model_size_mib": network.bytes / MIB,
        "peak_memory_mib": network.peak_memory_mib,
        "train_resolution": network.train_resolution,
        "seed": network.seed,
    }
