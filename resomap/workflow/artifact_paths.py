"""Where the files of jobs stand: which artifact a path is, and which files a job writes."""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, lru_cache
from itertools import product
from pathlib import Path
from string import Formatter
from typing import Any, NamedTuple

from resomap.workflow.artifacts import Artifact, Stage
from resomap.workflow.layout import ARTIFACTS, STAGE_OF, WITHOUT_RECEIPT, artifact

FIELDS = dict.fromkeys(("resolution", "eval_resolution", "seed"), r"\d+")
RESULTS_FOLDER = Path("results")
RECEIPT_SUFFIX = "_receipt"


class FileLocation(NamedTuple):
    """The results folder that holds a file, the artifact that the file is, and its wildcards."""

    results: Path
    artifact: Artifact
    wildcards: dict[str, str]

    @property
    def stage(self) -> Stage:
        """Return the stage that writes the file."""
        return STAGE_OF[self.artifact.writer]

    @property
    def wildcards_of_job(self) -> dict[str, str]:
        """Return the wildcards without those that number the files of one job."""
        return {
            name: value
            for name, value in self.wildcards.items()
            if f"{{{name}}}" in self.stage.log
        }

    @property
    def receipt(self) -> Path:
        """Path of the receipt of the job that writes the file."""
        return receipt_path(self.results, self.stage, self.wildcards)


def receipt_path(results: Path, stage: Stage, wildcards: Mapping[str, Any]) -> Path:
    """Return the path of the receipt of a job below the folder `results`."""
    return results / stage.receipt.format(**wildcards).removeprefix("results/")


def file_in(results: Path, name: str, **wildcards: Any) -> Path:
    """Return the path of an artifact below the folder `results`."""
    return results / artifact(name).path.format(**wildcards).removeprefix("results/")


@cache
def _patterns() -> dict[str, list[tuple[re.Pattern[str], Artifact]]]:
    """Return the pattern of every artifact, by the ending of its name."""
    patterns: dict[str, list[tuple[re.Pattern[str], Artifact]]] = {}
    for each in ARTIFACTS:
        if each.writer in STAGE_OF and each.writer not in WITHOUT_RECEIPT:
            pattern = re.compile(rf"(?:(?P<results>.*)/)?{_path_pattern(each.path)}")
            patterns.setdefault(Path(each.path).suffix, []).append((pattern, each))
    return patterns


def _path_pattern(path: str) -> str:
    parts = []
    for literal, field, _, _ in Formatter().parse(path.removeprefix("results/")):
        parts.append(re.escape(literal))
        if field:
            parts.append(f"(?P<{field}>{FIELDS.get(field, '[^/]+')})")
    return "".join(parts)


@lru_cache(maxsize=2**14)
def locate_file(path: Path) -> FileLocation | None:
    """Return which artifact a path is; None for files that no job with a receipt writes."""
    # The run of a path is in its last folders, whatever folder holds the results.
    text = path.as_posix()
    for pattern, each in _patterns().get(path.suffix, ()):
        match = pattern.fullmatch(text)
        if match:
            fields = match.groupdict()
            return FileLocation(Path(fields.pop("results") or "."), each, fields)
    return None


def _list_outputs(stage: Stage, wildcards: Mapping[str, str], job: Any) -> Iterator[str]:
    """Yield the path, inside results/, of every file that the job `job` of a stage writes."""
    for each in ARTIFACTS:
        if each.writer == stage.name and not each.name.endswith(RECEIPT_SUFFIX):
            yield from _expand(each.path.removeprefix("results/"), wildcards, job)


def _expand(pattern: str, wildcards: Mapping[str, str], job: Any) -> Iterator[str]:
    fields = {field for _, field, _, _ in Formatter().parse(pattern) if field}
    values: dict[str, Iterable[Any]] = {name: [value] for name, value in wildcards.items()}
    missing = fields - set(values)
    if "split" in missing:
        values["split"] = ("train", "val", "test")
    if "method" in missing:
        values["method"] = job.explainability.methods
    if "precision" in missing:
        values["precision"] = job.precisions
    if "model" in missing:
        values["model"] = [model.name for model in job.models]
        values["resolution"] = job.resolutions
    if "figure" in missing:
        values["figure"] = ["*"]
    names = sorted(fields)
    for combination in product(*(values[name] for name in names)):
        yield pattern.format(**dict(zip(names, combination, strict=True)))


def output_paths(receipt: Path, job: Any) -> list[Path]:
    """Return the files that the job with this receipt writes; of figures, those that exist."""
    located = locate_file(receipt)
    if located is None:
        raise ValueError(f"{receipt} is not the path of a receipt")
    paths = []
    for pattern in _list_outputs(located.stage, located.wildcards, job):
        results = located.results
        paths += sorted(results.glob(pattern)) if "*" in pattern else [results / pattern]
    return paths
