import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from resomap.system.conda_files import (
    ENVIRONMENTS,
    conda_file,
    container_file,
    locked_versions,
    write_environments,
)
from resomap.workflow.code_digest import PACKAGE

ROOT = PACKAGE.parent
ENVS = ROOT / "envs"
OURS = ("resomap", "workflow_scripts")
BEHIND = {"tensorboard"}  # asked for by torch.utils.tensorboard, in no import of ours


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from [
                str(node.module),
                *(f"{node.module}.{alias.name}" for alias in node.names),
            ]


def files_of(name: str) -> list[Path]:
    """What Python runs to import `name` of ours: the faces of its packages, and the module."""
    steps = name.split(".")
    above = [ROOT.joinpath(*steps[:end]) for end in range(1, len(steps) + 1)]
    return [
        file
        for path in above
        for file in (path / "__init__.py", path.with_suffix(".py"))
        if file.is_file()
    ]


def foreign(module: str) -> set[str]:
    """The third-party packages that running `module` can import, wherever the import stands."""
    found, waiting, seen = set[str](), files_of(module), set[Path]()
    while waiting:
        path = waiting.pop()
        if path not in seen:
            seen.add(path)
            for name in imported(path):
                found.add(name.partition(".")[0])
                waiting += files_of(name)
    return found - set(OURS) - sys.stdlib_module_names


def mains(environment: str) -> set[str]:
    rules = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "rules").glob("*.smk"))
    bodies = [
        body
        for body in re.split(r"^rule ", rules, flags=re.MULTILINE)
        if f"envs/{environment}.yaml" in body
    ]
    return set(re.findall(r"python -m ([\w.]+)", "".join(bodies)))


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_an_environment_holds_what_its_rules_import_and_nothing_else(environment):
    assert mains(environment), f"no rule works in envs/{environment}.yaml"
    named, owners = set(ENVIRONMENTS[environment]) - BEHIND, packages_distributions()
    wanted = {
        module: {owner.lower() for owner in owners[module]}
        for main in mains(environment)
        for module in foreign(main)
    }
    assert [module for module, owners in wanted.items() if not owners & named] == []
    assert named - set().union(*wanted.values()) == set()


def test_every_rule_that_works_names_its_environment():
    rules = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "rules").glob("*.smk"))
    assert set(re.findall(r"python -m ([\w.]+)", rules)) == set().union(
        *map(mains, ENVIRONMENTS)
    )


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_the_conda_files_are_those_that_the_lock_makes(name):
    made = conda_file(name, locked_versions(ENVS / "requirements.lock"))
    assert (ENVS / f"{name}.yaml").read_text(encoding="utf-8") == made, "run `make lock`"


def test_the_container_is_the_one_that_is_made():
    assert (ENVS / "Containerfile").read_text(encoding="utf-8") == container_file(), (
        "run `make lock`"
    )


def test_the_files_are_written_beside_the_lock(tmp_path):
    (tmp_path / "requirements.lock").write_text(
        (ENVS / "requirements.lock").read_text(encoding="utf-8"), encoding="utf-8"
    )
    write_environments(tmp_path)
    written = sorted(path.name for path in tmp_path.iterdir())
    assert written == [
        "Containerfile",
        "report.yaml",
        "requirements.lock",
        "torch.yaml",
        "tracking.yaml",
    ]
