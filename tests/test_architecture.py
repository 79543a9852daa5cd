"""Agreements on the shape of the code: imports between parts, sizes, and the link of rules to entry points."""

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles

import pytest

from resomap.workflow import jobs
from resomap.workflow.job_params import ENTRY_POINTS

ROOT = Path(__file__).parents[1]
PACKAGE, SCRIPTS = ROOT / "resomap", ROOT / "workflow_scripts"
FILES = sorted([*PACKAGE.rglob("*.py"), *SCRIPTS.glob("*.py")])
MODULES = [path for path in FILES if path.stem != "__init__"]
RULES = sorted((ROOT / "rules").glob("*.smk"))

CORE = {"errors", "text", "metrics", "calibration", "system", "config"}
# Paths, columns and states of results: plain values that every part may read.
RESULTS_CONTRACT = {
    "workflow.artifacts",
    "workflow.layout",
    "workflow.columns",
    "workflow.predictions",
    "workflow.receipts",
    "workflow.checked_files",
}
# What each part may import. data, models, profiling and explain are siblings that never import each other.
MAY_IMPORT = {
    "errors": set(),
    "text": set(),
    "calibration": set(),
    "metrics": {"calibration", "workflow.columns"},
    "system": {"errors"},
    "config": {"errors", "system", "text"},
    "cluster": {"errors", "text"},
    "workflow": CORE | {"data.sources", "cluster"},
    "plan": CORE | {"workflow", "data", "check"},
    "status": CORE | {"workflow", "cluster"},
    "analysis": CORE | {"workflow"},
    "report": CORE | {"workflow", "analysis", "explain.grids", "explain.agreement.measures"},
    "explain.grids": {"errors"},
    "explain.agreement.measures": set(),
    "workflow.columns": set(),
    "workflow.predictions": {"config", "workflow.columns"},
    "workflow.artifacts": {"workflow.columns"},
    "workflow.deploy_layout": {"workflow.artifacts", "workflow.columns"},
    "workflow.layout": {
        "errors",
        "system",
        "workflow.artifacts",
        "workflow.columns",
        "workflow.deploy_layout",
        "workflow.predictions",
    },
    "workflow.artifact_paths": {"workflow.artifacts", "workflow.layout"},
    "workflow.receipts": {
        "errors",
        "system",
        "workflow.artifacts",
        "workflow.layout",
        "workflow.artifact_paths",
        "workflow.snakemake_records",
    },
    "workflow.snakemake_records": {"errors", "system"},
    "workflow.checked_files": {"system", "workflow.receipts"},
    "workflow.checked_tables": {"system", "workflow.receipts"},
    "data": CORE | RESULTS_CONTRACT,
    "models": CORE,
    "profiling": CORE | RESULTS_CONTRACT,
    "explain": CORE | RESULTS_CONTRACT,
    "deploy": CORE | RESULTS_CONTRACT | {"analysis.statistics"},
    "training": CORE | RESULTS_CONTRACT | {"data", "models"},
    "trainer": {"training"},
    "callbacks": {"training"},
    "mlflow_copy": CORE | {"workflow"},
    "check": CORE | {"workflow", "data", "report", "models.check", "training.initial_weights"},
    "network_card": CORE | {"models", "profiling.summary"},
    "entry": CORE
    | {"workflow", "data", "models", "training", "profiling", "explain", "deploy"},
    "shipping": CORE | {"workflow", "analysis", "data", "models", "training", "deploy"},
    "library": CORE | {"workflow", "analysis", "report"},
    "suggest": CORE
    | {"workflow", "plan", "check", "analysis", "report", "data", "models.published"}
    | {"models.shapes", "training.finetune", "training.initial_weights"},
    "rounds": CORE | {"workflow", "analysis", "report", "status"},
    "commands": CORE
    | {"workflow", "plan", "status", "check", "analysis", "report", "network_card", "suggest"}
    | {"rounds", "shipping", "data", "training", "deploy"},
    "cli": {"commands", "errors"},
    "cli_page": {"cli", "system"},
    "workflow_scripts": CORE
    | {"workflow", "analysis", "report", "mlflow_copy", "entry.arguments"}
    | {"deploy.measurements"},
    "deploy.measurements": {"deploy", "errors", "config", "workflow.checked_files"},
}
DRIVER = (
    "cluster",
    "config",
    "workflow",
    *RESULTS_CONTRACT,
    "system",
    "plan",
    "status",
    "analysis",
    "report",
    "check",
    "suggest",
    "text",
    "shipping",
    "library",
    "commands",
    "cli",
    "cli_page",
)
HEAVY = ("torch", "torchvision", "captum")
# What the command line needs only once a command runs: `resomap --help` starts without them.
NOT_FOR_HELP = (*HEAVY, "numpy", "pandas", "matplotlib", "pydantic", "snakemake", "yaml")


def part_of(path: Path) -> str:
    """Return the part of the tree that a file belongs to: `data` for resomap/data/loading/loader.py."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    if parts[0] != "resomap":
        return parts[0]
    module = ".".join(parts[1:])
    return module if module in MAY_IMPORT else parts[1]


def imports(path: Path) -> Iterator[str]:
    """Yield every module that a file imports, wherever the import stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name(path)}, line {node.lineno}: a relative import"
            module = str(node.module)
            if ROOT.joinpath(*module.split(".")).is_dir():
                yield from (f"{module}.{alias.name}" for alias in node.names)
            else:
                yield module


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def package_imports(path: Path) -> list[str]:
    return [module for module in imports(path) if module.startswith("resomap.")]


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_part_imports_only_what_it_may(path):
    part = part_of(path)
    assert part in MAY_IMPORT, f"{name(path)} is a new part: add it to MAY_IMPORT"
    for module in package_imports(path):
        inside = module.removeprefix("resomap.")
        parts = {inside, inside.split(".")[0], inside.rpartition(".")[0]}
        assert parts & (MAY_IMPORT[part] | {part}), f"{name(path)} imports {module}"


def test_parts_have_no_import_cycle():
    below = {
        part: {each if each in MAY_IMPORT else each.split(".")[0] for each in allowed}
        for part, allowed in MAY_IMPORT.items()
    }
    for part in below:
        assert part not in reachable(part, below), f"{part} may import itself through others"


def reachable(part: str, below: dict[str, set[str]]) -> set[str]:
    reached, pending = set[str](), list(below[part])
    while pending:
        each = pending.pop()
        if each not in reached:
            reached.add(each)
            pending += below[each]
    return reached


def test_driver_never_loads_torch():
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in MODULES
        if part_of(path) in (*DRIVER, "workflow_scripts") and path.stem != "track"
    ]
    program = (
        f"import sys, {', '.join(modules)}; print(*sorted({set(HEAVY)} & set(sys.modules)))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert loaded.stdout.split() == []


@pytest.mark.parametrize("words", [["--help"], ["status", "--help"]], ids=" ".join)
def test_help_of_commands_loads_no_slow_module(words):
    # Newer versions of typer load pydantic themselves to describe the options of one command.
    unwanted = set(NOT_FOR_HELP) - ({"pydantic"} if len(words) > 1 else set())
    program = (
        "import sys\n"
        "from resomap.cli import app\n"
        f"app({words}, standalone_mode=False)\n"
        f"print('loaded', *sorted({unwanted} & set(sys.modules)))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "Usage:" in shown.stdout
    assert shown.stdout.splitlines()[-1].split() == ["loaded"]


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_modules_import_submodules_not_packages(path):
    packages = [
        module
        for module in package_imports(path)
        if not ROOT.joinpath(*module.split(".")).with_suffix(".py").is_file()
    ]
    # What a package re-exports would be missing from the digest of the code.
    assert packages == []


def test_packages_only_import():
    for path in PACKAGE.rglob("__init__.py"):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        statements = [node for node in body if not isinstance(node, ast.Expr | ast.ImportFrom)]
        # Code in a package would be in no digest.
        assert {ast.unparse(node).partition(" ")[0] for node in statements} <= {"__all__"}


def test_mlflow_is_imported_in_one_module():
    users = [
        name(path)
        for path in MODULES
        if any(module.split(".")[0] == "mlflow" for module in imports(path))
    ]
    assert users in ([], ["resomap/mlflow_copy.py"])


def test_no_module_has_a_vague_name():
    vague = ("utils", "util", "helpers", "common", "misc", "tools")
    assert [name(path) for path in MODULES if path.stem in vague] == []


def test_public_class_names_are_unique():
    classes = Counter(
        node.name
        for path in MODULES
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert {each: count for each, count in classes.items() if count > 1} == {}


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def too_long(paths: list[Path], limit: int) -> dict[str, int]:
    return {name(path): lines(path) for path in paths if lines(path) > limit}


def test_files_and_folders_are_small():
    assert too_long(MODULES, 350) == {}
    assert too_long(RULES, 100) == {}
    assert too_long([ROOT / "Snakefile"], 60) == {}
    assert median(lines(path) for path in MODULES) <= 150
    folders = Counter(name(path.parent) for path in FILES)
    assert {folder: count for folder, count in folders.items() if count > 21} == {}


def test_entry_points_are_short():
    assert too_long([*(PACKAGE / "entry").glob("*.py"), *SCRIPTS.glob("*.py")], 69) == {}


def test_functions_are_short():
    lengths = [
        node.end_lineno - node.lineno + 1
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
    ]
    assert median(lengths) <= 10
    assert quantiles(lengths, n=10)[-1] <= 30


@pytest.mark.parametrize("path", [ROOT / "Snakefile", *RULES], ids=name)
def test_rules_define_no_python(path):
    text = path.read_text(encoding="utf-8")
    assert re.findall(r"^\s*(?:def |class |run:|script:).*", text, re.MULTILINE) == []


def work_rules() -> list[tuple[str, str]]:
    """Return name and text of every rule that runs an entry point."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in RULES)
    blocks = re.findall(r"^rule (\w+):\n((?:(?!rule ).*\n)*)", text + "\n", re.MULTILINE)
    return [(rule, body) for rule, body in blocks if "python -m" in body]


@pytest.mark.parametrize("body", [pytest.param(body, id=rule) for rule, body in work_rules()])
def test_rule_and_entry_point_have_the_same_arguments(body):
    job_type = getattr(jobs, re.search(r"job\(jobs\.(\w+)\)", body)[1])
    module = re.search(r'"python -m ([\w.]+)"', body)[1]
    path = ROOT.joinpath(*module.split(".")).with_suffix(".py")
    assert ENTRY_POINTS[job_type] == path
    main = next(
        node
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name == "main"
    )
    arguments = {each.arg: ast.unparse(each.annotation) for each in main.args.args}
    options = [argument.replace("_", "-") for argument in arguments]
    written = re.findall(r'" --([\w-]+) ', body)
    # The receipt is written by `run_entry_point`, which every job with receipt shares.
    assert [option for option in written if option != "receipt"] == options
    assert ("receipt" in written) == ("receipt=" in body)
    assert arguments["job"] == job_type.__name__


def test_shell_commands_quote_their_values():
    # Threads are a number; wildcards match names of models, which are letters, digits and `_`. The
    # folder of the results is a part of an f-string, quoted where it is defined.
    allowed = {"threads", "wildcards", "FOLDER"}
    for rule, body in work_rules():
        command = re.search(r'    shell:\n((?: {8}f?".*"\n)+)', body)[1]
        values = re.findall(r"(?<!\{)\{([^{}]+)\}", command)
        unquoted = [value for value in values if not value.endswith(":q")]
        assert {value.partition(".")[0] for value in unquoted} <= allowed, rule


def test_shell_commands_write_below_the_folder_of_a_module():
    # Snakemake puts the prefix of a module before the paths of files, not into commands.
    for rule, body in work_rules():
        command = re.search(r'    shell:\n((?: {8}f?".*"\n)+)', body)[1]
        assert not re.search(r'[ "]results[/"]', command), rule


def test_lock_files_name_no_host():
    found = [
        line
        for path in (ROOT / "envs").iterdir()
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"https?://", line)
    ]
    assert found == [], f"envs/ names a host, so it installs nowhere else: {found[:3]}"
