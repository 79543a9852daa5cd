"""Pages for people are true: generated pages, commands, links, paths, presets."""

import ast
import re
import runpy
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from resomap.cli import app
from resomap.cli_page import commands_page
from resomap.config.docs import config_readme
from resomap.config.load import RENAMED, load_config
from resomap.config.schema import Config
from resomap.library.sweep_data import SweepData

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "config"
MANUAL = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
PAGES = [*MANUAL, CONFIG / "README.md", *sorted((ROOT / "docs").glob("*/*.md"))]
BIBLIOGRAPHY = ROOT / "resomap/report/citations.bib"
MAX_SCREEN_BYTES = 200_000
SNAKEFILES = "cluster.md"
"""The page whose YAML is a profile of Snakemake."""
EXCERPT = "..."
"""What stands in a block that leaves lines out; such a block is not checked."""
COMMANDS = get_command(app).commands
LONGEST_README = 800
"""Words outside of code blocks: a reader decides in two minutes."""


def words_and_code(page: Path) -> tuple[str, str]:
    """Split a page into its prose and what stands in code blocks and between backticks."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    prose = re.sub(r"^```\w*\n.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return prose, "\n".join([*blocks, *re.findall(r"`([^`\n]+)`", prose)])


def commands(page: Path, pattern: str) -> set[str]:
    """Return what follows `pattern` where the page shows a command."""
    return set(re.findall(rf"(?:^|[ /`;&]){pattern}", words_and_code(page)[1], re.MULTILINE))


def id_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def test_readme_is_short():
    prose, _ = words_and_code(ROOT / "README.md")
    assert len(prose.split()) <= LONGEST_README


def test_config_readme_equals_generated_page():
    made = config_readme(CONFIG)
    page = (CONFIG / "README.md").read_text(encoding="utf-8")
    assert page == made, "run `python -m resomap.config.docs config`"


def test_commands_page_equals_generated_page():
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    assert page == commands_page(), "run `python -m resomap.cli_page docs/commands.md`"


def test_config_readme_names_every_key():
    page = (CONFIG / "README.md").read_text(encoding="utf-8")
    for section, field in Config.model_fields.items():
        if section != "models":
            assert all(f"`{section}.{key}" in page for key in field.annotation.model_fields)


@pytest.mark.parametrize("preset", sorted((CONFIG / "presets").glob("*.yaml")), ids=id_of)
def test_preset_is_valid_and_opens_with_its_cost(preset):
    load_config(CONFIG, [preset])
    assert preset.read_text(encoding="utf-8").startswith("# ")


def test_shipped_files_are_valid_alone():
    assert load_config(CONFIG).sweep.models


def test_renamed_keys_point_to_existing_keys():
    for old, (_, new) in RENAMED.items():
        section = Config
        for step in new.partition(":")[0].split("."):
            assert step in section.model_fields, f"{old} is said to be {new} now"
            section = section.model_fields[step].annotation


@pytest.mark.parametrize("page", MANUAL, ids=id_of)
def test_commands_on_page_exist(page):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    rules = "\n".join(
        path.read_text(encoding="utf-8")
        for path in [ROOT / "Snakefile", *(ROOT / "rules").glob("*.smk")]
    )
    known = {
        r"make (\w+)": set(re.findall(r"^(\w+):", makefile, re.MULTILINE)),
        r"snakemake (?:-n )?([a-z]\w*)(?=\s|$)": set(re.findall(r"^rule (\w+):", rules, re.M)),
        r"resomap ([a-z][a-z-]*)(?=\s|$)": {
            (command.name or command.callback.__name__).replace("_", "-")
            for command in app.registered_commands
        },
    }
    for pattern, names in known.items():
        assert commands(page, pattern) - names == set()


def test_readme_shows_make_and_snakemake():
    assert {"run", "test"} <= commands(ROOT / "README.md", r"make (\w+)")


@pytest.mark.parametrize("page", PAGES, ids=id_of)
def test_links_on_page_lead_to_files(page):
    text = page.read_text(encoding="utf-8")
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text)]
    local = [link for link in links if link and not re.match(r"https?:", link)]
    assert [link for link in local if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", MANUAL, ids=id_of)
def test_shipped_files_named_on_page_exist(page):
    _, code = words_and_code(page)
    named = re.findall(
        r"(?<![\w/.])((?:config|profiles|benchmarks|docs|envs|tests|resomap|rules|workflow_scripts)"
        r"/[\w./-]+\.\w+)",
        code,
    )
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_tests_named_in_security_page_exist():
    named = re.findall(r"`(test_\w+)`", (ROOT / "SECURITY.md").read_text(encoding="utf-8"))
    tests = "\n".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py")
    )
    assert len(named) > 20
    assert [name for name in named if f"def {name}(" not in tests] == []


def blocks(page: Path, *languages: str) -> list[str]:
    """Return the code blocks of a page in some languages, without those that are excerpts."""
    text = page.read_text(encoding="utf-8")
    pattern = rf"^```(?:{'|'.join(languages)})\n(.*?)^```"
    found = re.findall(pattern, text, re.MULTILINE | re.DOTALL)
    return [block for block in found if EXCERPT not in block]


def resomap_names(block: str) -> list[tuple[str, str]]:
    """Return module and name of everything that Python code imports from the package."""
    return [
        (node.module, alias.name)
        for node in ast.walk(ast.parse(block))
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0
        for alias in node.names
        if node.module.split(".")[0] == "resomap"
    ]


@pytest.mark.parametrize(
    "page", [page for page in MANUAL if page.name != "CONTRIBUTING.md"], ids=id_of
)
def test_python_on_page_compiles_and_imports_what_exists(page):
    for block in blocks(page, "python"):
        for module, name in resomap_names(block):
            assert hasattr(import_module(module), name), f"{module}.{name}"


@pytest.mark.parametrize("page", PAGES, ids=id_of)
def test_yaml_on_page_is_a_valid_configuration(page, tmp_path):
    for number, block in enumerate(blocks(page, "yaml")):
        if page.name in (SNAKEFILES, "CONTRIBUTING.md"):
            assert yaml.safe_load(block)
            continue
        overlay = tmp_path / f"{number}.yaml"
        overlay.write_text(block, encoding="utf-8")
        load_config(CONFIG, [overlay])


@pytest.mark.parametrize("page", MANUAL, ids=id_of)
def test_flags_of_commands_on_page_exist(page):
    _, code = words_and_code(page)
    for name, rest in re.findall(
        r"(?:^|[ /`$])resomap ([a-z-]+)((?: [^\n;|&#`]*)?)", code, re.M
    ):
        command = COMMANDS.get(name)
        # `resomap run` passes what it does not know on to Snakemake.
        if command is None or command.context_settings.get("ignore_unknown_options"):
            continue
        known = {"--help", *(flag for each in command.params for flag in each.opts)}
        assert set(re.findall(r"(?<!\S)--[\w-]+", rest)) <= known, f"resomap {name}{rest}"


def test_sources_of_methods_are_in_the_bibliography():
    keys = re.findall(r"^@\w+{(\w+),", BIBLIOGRAPHY.read_text(encoding="utf-8"), re.MULTILINE)
    text = (ROOT / "docs/methods.md").read_text(encoding="utf-8")
    cited = re.findall(r"([A-Z][a-z]+)(?: et al\.| and [A-Z][a-z]+)? (\d{4})", text)
    assert len(cited) > 10
    missing = [
        (name, year)
        for name, year in cited
        if not any(key.startswith(f"{name.lower()}{year}") for key in keys)
    ]
    assert missing == []


def test_included_sections_exist():
    hook = runpy.run_path(str(ROOT / "docs/hooks/include.py"))
    pages = [page for page in MANUAL if "<!-- include:" in page.read_text(encoding="utf-8")]
    assert {page.name for page in pages} == {"configuration.md", "trust.md"}
    for page in pages:
        assert "<!-- include:" not in hook["on_page_markdown"](page.read_text(encoding="utf-8"))


def test_screens_of_the_report_are_small():
    screens = sorted((ROOT / "docs/figures").glob("report_*.png"))
    assert len(screens) >= 5
    assert [screen.name for screen in screens if screen.stat().st_size > MAX_SCREEN_BYTES] == []


def test_library_page_names_every_member():
    text = (ROOT / "docs/library.md").read_text(encoding="utf-8")
    members = {name for name in vars(SweepData) if not name.startswith("_")}
    assert [name for name in sorted(members) if not re.search(rf"`{name}[(`]", text)] == []
