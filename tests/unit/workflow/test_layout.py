"""The layout agrees with the rules, the modules that write tables, and the page in docs/."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from resomap.analysis.profiles import VARIANT_COLUMNS
from resomap.analysis.tables import Tables
from resomap.data.sources.open import REEF_FACTS
from resomap.training.tally import METRIC_NAMES
from resomap.workflow import columns, layout
from resomap.workflow.artifacts import RUN_FOLDER, scope_of
from resomap.workflow.tables_page import tables_page

ROOT = Path(__file__).parents[3]
READ_RULES = """
import json, re, sys
from pathlib import Path
from snakemake.api import SnakemakeApi
from snakemake.settings.types import ResourceSettings
with SnakemakeApi() as api:
    workflow = api.workflow(ResourceSettings(cores=1), snakefile=Path(sys.argv[1]), workdir=Path())
    rules = {
        rule.name: [[str(path) for path in paths] for paths in (rule.output, rule.log)]
        for rule in workflow._workflow.rules
    }
print(re.sub(r"({\\w+),[^}]*}", r"\\1}", json.dumps(rules)))  # wildcards without constraints
"""
PARTIAL_REPORT = ("partial_report", [[], ["logs/partial_report.log"]])


@pytest.fixture(scope="module")
def rules(tmp_path_factory):
    """Outputs and logs of every rule that has any, as Snakemake reads them."""
    command = [sys.executable, "-c", READ_RULES, str(ROOT / "Snakefile")]
    folder = tmp_path_factory.mktemp("rules")
    read = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return {name: paths for name, paths in json.loads(read.stdout).items() if any(paths)}


def matches(pattern: str, path: str) -> bool:
    """Whether a rule's output is of a pattern: Snakemake's wildcards are equal, other fields any name."""
    literal = re.escape(pattern)
    for field in ("split", "method", "figure", "precision"):
        literal = literal.replace(re.escape(f"{{{field}}}"), r"\w+")
    # Rules with one job for all models expand these two.
    expanded = literal.replace(r"\{model\}/r\{resolution\}", r"\w+/r\d+")
    return re.fullmatch(literal, path) is not None or (
        "summaries" in pattern and re.fullmatch(expanded, path) is not None
    )


def test_every_rule_with_output_is_a_stage_with_its_log(rules):
    assert rules.pop(PARTIAL_REPORT[0]) == PARTIAL_REPORT[1]
    assert {name: logs for name, (_, logs) in rules.items()} == {
        stage.rule: [stage.log] for stage in layout.STAGES
    }


@pytest.mark.parametrize("stage", layout.STAGES, ids=lambda stage: stage.name)
def test_outputs_of_a_rule_equal_artifacts_of_its_stage(rules, stage):
    outputs = rules[stage.rule][0]
    patterns = [a.path for a in layout.ARTIFACTS if a.writer == stage.name]
    assert [o for o in outputs if sum(matches(p, o) for p in patterns) != 1] == []
    assert [p for p in patterns if not any(matches(p, o) for o in outputs)] == []
    assert sum(matches(pattern, stage.marker) for pattern in patterns) == 1


def test_train_rule_keeps_state_in_the_state_folder():
    fields = ("family", "model", "resolution", "seed")
    wildcards = {field: f"{{wildcards.{field}}}" for field in fields}
    run_folder = Path(RUN_FOLDER.format(**wildcards))
    rule = (ROOT / "rules/train.smk").read_text(encoding="utf-8")
    # Doubled braces: the rule is an f-string with the folder of the results.
    state = str(layout.state_folder(run_folder)).replace("{", "{{").replace("}", "}}")
    assert f' --state {{FOLDER}}/{state.removeprefix("results/")}"' in rule


def test_artifact_names_and_paths_are_unique():
    for values in ([a.name for a in layout.ARTIFACTS], [a.path for a in layout.ARTIFACTS]):
        assert len(values) == len(set(values))


def test_columns_of_a_table_are_unique_and_explained():
    for table in layout.ARTIFACTS:
        names = layout.table_columns(table.name)
        assert len(names) == len(set(names)), table.name
        assert bool(names) == (table.path.endswith(".csv") and "/figures/" not in table.path)
        assert all(column.meaning for column in table.columns)


def test_columns_agree_with_the_modules_that_compute_them():
    assert columns.column_names(columns.WAY) == VARIANT_COLUMNS
    assert layout.table_columns("history")[1:-1] == (
        *(f"train_{name}" for name in METRIC_NAMES),
        *(f"val_{name}" for name in METRIC_NAMES),
    )
    assert set(layout.TABLES) == set(Tables.__annotations__) - {
        "choice",
        "answer",
        "environment",
    }
    assert not set(REEF_FACTS) & set(layout.table_columns("images"))


def test_tables_page_is_up_to_date():
    assert (ROOT / "docs/tables.md").read_text(encoding="utf-8") == tables_page()


@pytest.mark.parametrize(
    ("pattern", "scope"),
    [
        ("logs/plot.log", "sweep"),
        ("results/data/r{resolution}/{split}.npy", "resolution"),
        ("results/agreement/{family}/{model}.csv", "model"),
        ("results/model_summaries/{model}/r{resolution}/summary.txt", "cell"),
        (f"{RUN_FOLDER}/explanations/{{method}}.npz", "run"),
    ],
)
def test_scope_follows_from_wildcards(pattern, scope):
    assert scope_of(pattern) == scope
