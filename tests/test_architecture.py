"""What is agreed about the shape of the code: who may import whom, how long a thing may be, where a rule and its main meet."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles

import pytest

from resomap.workflow import jobs
from resomap.workflow.job_params import ENTRY_POINTS

ROOT = Path(__file__).parents[1]
PACKAGE, SCRIPTS = ROOT / "resomap", ROOT / "workflow_scripts"
MODULES = sorted([*PACKAGE.rglob("*.py"), *SCRIPTS.glob("*.py")])
RULES = sorted((ROOT / "rules").glob("*.smk"))

CORE = {"errors", "text", "metrics", "system", "config"}
RESULTS_CONTRACT = {
    "workflow.layout",
    "workflow.columns",
}  # paths, columns and states: plain values
# From each part to those that it may import. data, models, profiling and explain are siblings that do not know each other.
MAY_IMPORT = {
    "errors": set(),
    "text": set(),
    "metrics": set(),
    "system": {"errors"},
    "config": {"errors", "system", "text"},
    "workflow": CORE | {"data.sources"},
    "plan": CORE | {"workflow", "data", "check"},
    "status": CORE | {"workflow"},
    "analysis": CORE | {"workflow"},
    "report": CORE | {"workflow", "analysis"},
    "workflow.columns": set(),
    "workflow.layout": {"errors", "system", "workflow.columns"},
    "data": CORE | RESULTS_CONTRACT,
    "models": CORE,
    "profiling": CORE | RESULTS_CONTRACT,
    "explain": CORE | RESULTS_CONTRACT,
    "training": CORE | RESULTS_CONTRACT | {"data", "models"},
    "trainer": {"training"},
    "callbacks": {"training"},
    "mlflow_copy": CORE | {"workflow"},
    "check": CORE | {"workflow", "data", "report"},
    "entry": CORE | {"workflow", "data", "models", "training", "profiling", "explain"},
    "cli": CORE | {"workflow", "plan", "status", "check"},
    "workflow_scripts": CORE
    | {"workflow", "analysis", "report", "mlflow_copy", "entry.arguments"},
}
DRIVER = (
    "config",
    "workflow",
    *RESULTS_CONTRACT,
    "system",
    "plan",
    "status",
    "analysis",
    "report",
    "check",
    "text",
    "cli",
)
HEAVY = ("torch", "torchvision", "captum")


def part_of(path: Path) -> str:
    """The part of the tree that a file belongs to: `data` for resomap/data/loading/loader.py, `config` for resomap/config/load.py."""
    inside = path.relative_to(ROOT).with_suffix("").parts
    if inside[0] != "resomap":
        return inside[0]
    module = ".".join(inside[1:])
    return module if module in MAY_IMPORT else inside[1]


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever the import stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, (
                f"{named(path)}, line {node.lineno}: imports are absolute here"
            )
            is_package = ROOT.joinpath(*str(node.module).split(".")).is_dir()
            yield from (
                [f"{node.module}.{alias.name}" for alias in node.names]
                if is_package
                else [str(node.module)]
            )


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize(
    "path", [path for path in MODULES if path.stem != "__init__"], ids=named
)
def test_a_part_imports_only_what_stands_under_it(path):
    part = part_of(path)
    assert part in MAY_IMPORT, (
        f"{named(path)} is a new part: say in MAY_IMPORT whom it may import"
    )
    for name in imports(path):
        if name.startswith("resomap."):
            inside = name.removeprefix("resomap.")
            assert {inside, inside.split(".")[0], inside.rpartition(".")[0]} & (
                MAY_IMPORT[part] | {part}
            ), f"{named(path)} imports {name}: {part} may not know it"


def test_the_walls_leave_no_way_round():
    above = {
        part: {name if name in MAY_IMPORT else name.split(".")[0] for name in below}
        for part, below in MAY_IMPORT.items()
    }
    for part in above:
        assert part not in reachable(part, above), (
            f"{part} can reach itself through what it may import"
        )


def reachable(part: str, below: dict[str, set[str]]) -> set[str]:
    found, waiting = set[str](), list(below[part])
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += below[name]
    return found


def test_the_driver_never_loads_torch():
    files = [
        path
        for path in MODULES
        if part_of(path) in (*DRIVER, "workflow_scripts")
        and path.stem not in ("__init__", "track")
    ]
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files]
    program = f"import sys, {', '.join(names)}; print(*sorted({set(HEAVY)} & set(sys.modules)))"
    loaded = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert loaded.stdout.split() == [], (
        f"importing the driver half loads {loaded.stdout.strip()}"
    )


@pytest.mark.parametrize(
    "path", [path for path in MODULES if path.stem != "__init__"], ids=named
)
def test_nobody_inside_asks_the_face_of_a_package(path):
    asked = [name for name in imports(path) if name.startswith("resomap.")]
    faces = [
        name
        for name in asked
        if not ROOT.joinpath(*name.split(".")).with_suffix(".py").is_file()
    ]
    assert faces == [], (
        f"{named(path)} imports {faces}: what stands behind a face is missing from the digest of the code"
    )


def test_a_package_face_only_shows_what_stands_behind_it():
    for path in PACKAGE.rglob("__init__.py"):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        told = [
            ast.unparse(node).partition(" ")[0]
            for node in body
            if not isinstance(node, ast.Expr | ast.ImportFrom)
        ]
        assert set(told) <= {"__all__"}, (
            f"{named(path)} does more than import: its code is in no digest"
        )


def test_mlflow_is_known_in_one_place():
    known = [
        named(path)
        for path in MODULES
        if any(name.split(".")[0] == "mlflow" for name in imports(path))
    ]
    assert known in ([], ["resomap/mlflow_copy.py"]), (
        f"only resomap/mlflow_copy.py imports mlflow, not {known}"
    )


def test_every_file_is_named_for_what_it_holds():
    vague = [
        named(path)
        for path in MODULES
        if path.stem in ("utils", "util", "helpers", "common", "misc", "tools")
    ]
    assert vague == [], f"{vague}: say what is inside"


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def too_long(paths: list[Path], most: int) -> list[str]:
    return [
        f"{named(path)} has {lines(path)} lines, {most} are the most: it holds two ideas"
        for path in paths
        if lines(path) > most
    ]


def test_no_file_holds_two_ideas():
    assert too_long(MODULES, 350) == []
    assert too_long(RULES, 90) == []
    assert too_long([ROOT / "Snakefile"], 60) == []
    assert median(lines(path) for path in MODULES if lines(path)) <= 150


def test_an_entry_point_is_a_short_story():
    assert too_long([*(PACKAGE / "entry").glob("*.py"), *SCRIPTS.glob("*.py")], 69) == []


def test_functions_are_short():
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in MODULES]
    functions = [
        node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)
    ]
    lengths = [node.end_lineno - node.lineno + 1 for node in functions]
    assert median(lengths) <= 10, (
        f"the median function has {median(lengths)} lines, 10 are the most"
    )
    assert quantiles(lengths, n=10)[-1] <= 30, (
        "more than one function in ten is longer than 30 lines"
    )


@pytest.mark.parametrize("path", [ROOT / "Snakefile", *RULES], ids=named)
def test_rules_hold_no_python_of_their_own(path):
    found = re.findall(
        r"^\s*(?:def |class |run:|script:).*", path.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert found == [], (
        f"{named(path)} holds {found}: functions live in resomap/targets.py, work in entry points"
    )


def work_rules() -> list[tuple[str, str]]:
    """Name and text of every rule that runs an entry point."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in RULES)
    blocks = re.findall(r"^rule (\w+):\n((?:(?!rule ).*\n)*)", text + "\n", re.MULTILINE)
    return [(name, body) for name, body in blocks if "python -m" in body]


@pytest.mark.parametrize("body", [pytest.param(body, id=name) for name, body in work_rules()])
def test_a_rule_and_its_main_speak_of_the_same_job_and_the_same_files(body):
    kind = getattr(jobs, re.search(r"job\(jobs\.(\w+)\)", body)[1])
    module = re.search(r'"python -m ([\w.]+)"', body)[1]
    path = ROOT.joinpath(*module.split(".")).with_suffix(".py")
    assert ENTRY_POINTS[kind] == path, (
        f"{kind.__name__} is run by {named(ENTRY_POINTS[kind])}, and the rule calls {module}"
    )
    main = next(
        node
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name == "main"
    )
    asked = {argument.arg: ast.unparse(argument.annotation) for argument in main.args.args}
    assert re.findall(r'" --([\w-]+) ', body) == [name.replace("_", "-") for name in asked]
    assert asked["job"] == kind.__name__


def test_the_lock_names_no_host():
    found = [
        line
        for path in (ROOT / "envs").iterdir()
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"https?://", line)
    ]
    assert found == [], f"envs/ names a host, so it installs nowhere else: {found[:3]}"
