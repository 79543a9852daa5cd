"""The method section of the page: written from the configuration and the tables, for a paper."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from resomap.analysis.profiles import main_variant_rows
from resomap.analysis.tables import Tables
from resomap.config.architecture import Architecture
from resomap.config.data import Data
from resomap.config.evaluation import Evaluation
from resomap.config.report import Report
from resomap.config.schema import Explainability, Profiling
from resomap.config.training import Training
from resomap.config.types import Section
from resomap.report.citations import cited_keys, write_bibtex, write_latex, write_plain
from resomap.report.text.page import method as words

VERSIONS = ("python", "torch", "torchvision", "numpy", "resomap")
"""Entries of the environment of runs that are versions."""
COMMANDS = (
    "cp results/run_config.yaml sweep.yaml",
    "snakemake --configfile sweep.yaml",
    "resomap choose .",
)


@dataclass(frozen=True)
class SweepConfig:
    """The sections of the configuration that the method is written from."""

    data: Data
    models: tuple[Architecture, ...]
    resolutions: tuple[int, ...]
    seeds: tuple[int, ...]
    training: Training
    evaluation: Evaluation
    explainability: Explainability
    profiling: Profiling
    report: Report

    @property
    def digest(self) -> str:
        """Return the sha256 of the sections, by which two reports are of one configuration."""
        values = {name: _plain(value) for name, value in vars(self).items()}
        return sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, Section):
        return value.model_dump(mode="json")
    return [_plain(each) for each in value] if isinstance(value, tuple) else value


def method_section(
    config: SweepConfig, tables: Tables, manifest: dict[str, Any]
) -> dict[str, Any]:
    """Return the method as text and as LaTeX, its references, and the commands to reproduce."""
    texts = dict(_paragraphs(config, tables, manifest))
    return {
        "text": "\n\n".join(f"{name}. {write_plain(text)}" for name, text in texts.items()),
        "latex": "\n\n".join(
            f"\\paragraph{{{name}.}} {write_latex(text)}" for name, text in texts.items()
        ),
        "bibtex": write_bibtex(cited_keys(texts.values())),
        "commands": "\n".join(COMMANDS),
    }


def _paragraphs(
    config: SweepConfig, tables: Tables, manifest: dict[str, Any]
) -> Iterator[tuple[str, str]]:
    """Yield name and text of every paragraph, with citations as marks."""
    yield "Data", words.data_paragraph(config.data, manifest, config.resolutions)
    yield "Models", words.models_paragraph(config.models, config.training)
    yield "Training", words.training_paragraph(config.training, config.seeds)
    yield "Evaluation", words.evaluation_paragraph(config.evaluation)
    yield "Statistics", words.statistics_paragraph(config.report, config.seeds)
    yield "Cost", words.cost_paragraph(config.profiling, _machine(tables))
    explained = words.explanation_paragraph(config.explainability)
    if explained:
        yield "Explanations", explained
    yield "Software", words.software_paragraph(_versions(tables.environment))


def _machine(tables: Tables) -> str:
    """Return ` on cpu in fp32`, as measured; nothing where no cost was."""
    measured = main_variant_rows(tables.profiles, tables.profiles).dropna(
        subset="latency_ms_p50"
    )
    if measured.empty:
        return ""
    first = measured.iloc[0]
    return f" on {first['device']} in {first['precision']}"


def _versions(environment: Mapping[str, Sequence[Any]]) -> dict[str, str]:
    """Return the versions that runs recorded; several of one library are all named."""
    return {
        name: " and ".join(map(str, environment[name]))
        for name in VERSIONS
        if environment.get(name)
    }
