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
from resomap.system.workflow_files import PACKAGE

ROOT = PACKAGE.parent
ENVS = ROOT / "envs"
PACKAGES = ("resomap", "workflow_scripts")
INDIRECT = {"tensorboard"}  # imported by torch.utils.tensorboard, and not by this repository
# Every `import resomap.something` runs it, and it imports nothing until a reader of results calls it.
LIBRARY = ROOT / "resomap/library/opening.py"


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from [
                str(node.module),
                *(f"{node.module}.{alias.name}" for alias in node.names),
            ]


def files_of(name: str) -> list[Path]:
    """Return the files that Python runs to import `name`: its packages and the module."""
    steps = name.split(".")
    prefixes = [ROOT.joinpath(*steps[:end]) for end in range(1, len(steps) + 1)]
    return [
        file
        for path in prefixes
        for file in (path / "__init__.py", path.with_suffix(".py"))
        if file.is_file()
    ]


def third_party(module: str) -> set[str]:
    """Return the third-party packages that running `module` can import, at any depth."""
    found, waiting, seen = set[str](), files_of(module), {LIBRARY}
    while waiting:
        path = waiting.pop()
        if path not in seen:
            seen.add(path)
            for name in imports_of(path):
                found.add(name.partition(".")[0])
                waiting += files_of(name)
    return found - set(PACKAGES) - sys.stdlib_module_names


def entry_points(environment: str) -> set[str]:
    rules = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "rules").glob("*.smk"))
    bodies = [
        body
        for body in re.split(r"^rule ", rules, flags=re.MULTILINE)
        if f"envs/{environment}.yaml" in body
    ]
    return set(re.findall(r"python -m ([\w.]+)", "".join(bodies)))


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_environment_equals_imports_of_its_rules(environment):
    assert entry_points(environment), f"no rule uses envs/{environment}.yaml"
    listed, owners = set(ENVIRONMENTS[environment]) - INDIRECT, packages_distributions()
    missing = listed - {owner.lower() for each in owners.values() for owner in each}
    if missing:  # an installation without all extras cannot know who owns their modules
        pytest.skip(f"not installed: {', '.join(sorted(missing))}")
    imported = {
        module: {owner.lower() for owner in owners[module]}
        for main in entry_points(environment)
        for module in third_party(main)
    }
    assert [module for module, owners in imported.items() if not owners & listed] == []
    assert listed - set().union(*imported.values()) == set()


def test_every_entry_point_has_an_environment():
    rules = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "rules").glob("*.smk"))
    assert set(re.findall(r"python -m ([\w.]+)", rules)) == set().union(
        *map(entry_points, ENVIRONMENTS)
    )


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_conda_file_is_up_to_date(name):
    generated = conda_file(name, locked_versions(ENVS / "requirements.lock"))
    assert (ENVS / f"{name}.yaml").read_text(encoding="utf-8") == generated, "run `make lock`"


def test_container_file_is_up_to_date():
    assert (ENVS / "Containerfile").read_text(encoding="utf-8") == container_file(), (
        "run `make lock`"
    )


def test_write_environments_writes_beside_lock(tmp_path):
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
