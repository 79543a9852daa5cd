"""The method section: written from the configuration, with the references of what was used only."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from resomap.analysis.facts import read_facts
from resomap.analysis.tables import Tables, read_tables
from resomap.config.architecture import Architecture
from resomap.report.citations import (
    cite,
    cited_keys,
    read_citations,
    write_bibtex,
    write_latex,
    write_plain,
)
from resomap.report.method import SweepConfig, method_section
from resomap.report.text.page import method
from resomap.report.text.page.method import METHODS, NETWORKS, OPTIMIZERS, network_key
from tests.sweep_config import sweep_config
from tests.synthetic import Sweep, aggregate

SWEEP = Sweep(test=40, val=24, explained=0, modes=("raw", "bn"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    aggregate(folder, SWEEP)
    return folder


@pytest.fixture(scope="module")
def tables(folder: Path) -> Tables:
    return read_tables(folder / "tables")


@pytest.fixture(scope="module")
def manifest(folder: Path) -> dict[str, Any]:
    return read_facts(folder / "data").manifest


def section(
    tables: Tables, manifest: dict[str, Any], config: SweepConfig | None = None
) -> dict[str, Any]:
    return method_section(config or sweep_config(SWEEP), tables, manifest)


def entries(bibtex: str) -> set[str]:
    return set(re.findall(r"^@\w+\{(\w+),", bibtex, re.MULTILINE))


def test_text_has_the_numbers_of_the_configuration(
    tables: Tables, manifest: dict[str, Any]
) -> None:
    text = section(tables, manifest)["text"]
    for part in (
        "1,600 train, 24 val and 40 test images",
        "3 resolutions (24, 48 and 96 px) with an antialiased bilinear filter",
        "We trained 2 networks: tiny_cnn and simple_cnn",
        "for 8 epochs",
        "2 seeds (0 and 1)",
        "lose less than 2 points",
        "torch 2.11.0",
    ):
        assert part in text
    assert "[@" not in text


def test_references_are_those_that_the_text_cites(
    tables: Tables, manifest: dict[str, Any]
) -> None:
    made = section(tables, manifest)
    cited = set(re.findall(r"\\citep\{(.*?)\}", made["latex"]))
    keys = {key for group in cited for key in group.split(",")}
    assert entries(made["bibtex"]) == keys
    assert "holm1979procedure" in keys
    assert "touvron2019fixres" not in keys


def test_sweep_without_explanations_cites_no_method(
    tables: Tables, manifest: dict[str, Any]
) -> None:
    config = sweep_config(SWEEP)
    off = config.explainability.model_copy(update={"enabled": False})
    made = section(tables, manifest, replace(config, explainability=off))
    assert not entries(made["bibtex"]) & set(METHODS.values())
    assert "Explanations." not in made["text"]


def test_option_that_is_on_is_named_and_cited(tables: Tables, manifest: dict[str, Any]) -> None:
    config = sweep_config(SWEEP)
    training = config.training.model_copy(update={"mixup": 0.2})
    made = section(tables, manifest, replace(config, training=training))
    assert "mixup with alpha 0.2 (Zhang et al. 2018)" in made["text"]
    assert "zhang2018mixup" in entries(made["bibtex"])
    assert "zhang2018mixup" not in entries(section(tables, manifest)["bibtex"])


def test_sweep_without_a_run_names_no_versions(
    tables: Tables, manifest: dict[str, Any]
) -> None:
    text = section(replace(tables, environment={}), manifest)["text"]
    assert text.endswith("SciPy (Virtanen et al. 2020).")


def test_fine_tuning_and_one_seed_are_cited(tables: Tables, manifest: dict[str, Any]) -> None:
    config = sweep_config(replace(SWEEP, seeds=(0,), modes=("raw", "finetune")))
    keys = entries(section(tables, manifest, config)["bibtex"])
    assert {"touvron2019fixres", "bonett2012wald"} <= keys


def test_own_explanation_method_is_named_without_reference(
    tables: Tables, manifest: dict[str, Any]
) -> None:
    config = sweep_config(SWEEP)
    own = config.explainability.model_copy(update={"methods": ("input_x_gradient",)})
    text = section(tables, manifest, replace(config, explainability=own))["text"]
    assert "explained by input_x_gradient, for the output" in text
    assert "Captum" not in text


@pytest.mark.parametrize(
    ("builder", "key"),
    [
        ("resnet50", "he2016resnet"),
        ("wide_resnet50_2", "zagoruyko2016wide"),
        ("timm/convnext_atto", "liu2022convnext"),
        ("timm/tf_efficientnetv2_s", "tan2021efficientnetv2"),
        ("efficientnet_b0", "tan2019efficientnet"),
        ("mobilenet_v2", "sandler2018mobilenetv2"),
        ("tiny_cnn", None),
        ("mine:resnet", None),
    ],
)
def test_network_has_its_own_reference(builder: str, key: str | None) -> None:
    assert network_key(builder) == key


def test_source_of_each_network_is_named(tables: Tables, manifest: dict[str, Any]) -> None:
    builders = ("tiny_cnn", "resnet18", "timm/resnet10t", "mine:net")
    models = tuple(
        Architecture(name=f"net{number}", family="x", builder=builder)
        for number, builder in enumerate(builders)
    )
    text = section(tables, manifest, sweep_config(SWEEP, models=models))["text"]
    assert "ResoMap, our own, timm (Wightman 2019) and torchvision (TorchVision" in text


def test_every_key_of_the_text_is_in_the_references() -> None:
    keys = {*METHODS.values(), *OPTIMIZERS.values(), *(key for _, key in NETWORKS)}
    source = Path(method.__file__).read_text(encoding="utf-8").partition('"""\n')[2]
    # A citation may be parted by the end of a line of code.
    keys |= set(cited_keys([re.sub(r'"\s*f?"', "", source)]))
    assert keys <= set(read_citations())
    # An entry that nothing cites is one that nobody checks.
    assert set(read_citations()) - keys == set()


def test_entry_has_title_author_and_closed_braces() -> None:
    for key, entry in read_citations().items():
        assert entry.count("{") == entry.count("}"), key
        assert "title = " in entry and "author = " in entry, key


@pytest.mark.parametrize(
    ("key", "label"),
    [
        ("wilson1927inference", "Wilson 1927"),
        ("korn1998proportions", "Korn and Graubard 1998"),
        ("molder2021snakemake", "M\u00f6lder et al. 2021"),
        ("torchvision2016", "TorchVision maintainers and contributors 2016"),
        ("resomap", "The ResoMap authors"),
    ],
)
def test_reference_reads_as_authors_and_year(key: str, label: str) -> None:
    assert cite(key) == label


def test_text_is_escaped_for_latex_and_citations_are_not() -> None:
    text = "tiny_cnn keeps 95 % of {x} & \\ [@wilson1927inference; @holm1979procedure]."
    assert write_latex(text) == (
        r"tiny\_cnn keeps 95 \% of \{x\} \& \textbackslash{} "
        r"\citep{wilson1927inference,holm1979procedure}."
    )
    assert write_plain(text).endswith("(Wilson 1927; Holm 1979).")


def test_bibtex_is_sorted_by_key() -> None:
    made = write_bibtex(["wilson1927inference", "holm1979procedure"])
    assert made.index("holm1979procedure") < made.index("wilson1927inference")


def test_digest_changes_with_the_configuration_only() -> None:
    config = sweep_config(SWEEP)
    assert config.digest == sweep_config(SWEEP).digest
    assert config.digest != replace(config, seeds=(0, 1, 2)).digest
