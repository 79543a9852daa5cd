"""What is written for people is true: pages that are generated, commands, links, presets."""

import re
from pathlib import Path

import pytest

from resomap.cli import app
from resomap.config.docs import config_readme
from resomap.config.load import RENAMED, load_config
from resomap.config.schema import Config

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "config"
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = "\n".join(re.findall(r"^```\w*\n(.*?)^```", README, re.MULTILINE | re.DOTALL))
INLINE = "\n".join(re.findall(r"`([^`\n]+)`", README))
PAGES = [ROOT / "README.md", CONFIG / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def commands(pattern: str) -> set[str]:
    """What follows `pattern` where the README shows a command: in a block or between backticks."""
    return set(re.findall(rf"(?:^|[ /`]){pattern}", f"{BLOCKS}\n{INLINE}", re.MULTILINE))


def test_the_page_of_keys_is_the_one_that_the_types_make():
    made = config_readme(CONFIG)
    assert (CONFIG / "README.md").read_text(encoding="utf-8") == made, (
        "run `python -m resomap.config.docs config`"
    )


def test_the_page_of_keys_names_every_key():
    page = (CONFIG / "README.md").read_text(encoding="utf-8")
    for section, field in Config.model_fields.items():
        if section != "models":
            assert all(f"`{section}.{key}" in page for key in field.annotation.model_fields)


@pytest.mark.parametrize(
    "preset", sorted((CONFIG / "presets").glob("*.yaml")), ids=lambda path: path.stem
)
def test_a_preset_is_valid_on_top_of_the_shipped_files_and_tells_its_cost(preset):
    load_config(CONFIG, [preset])
    assert preset.read_text(encoding="utf-8").startswith("# "), (
        f"{preset.name} opens with what it is and what it costs"
    )


def test_the_shipped_files_are_valid_alone():
    assert load_config(CONFIG).sweep.models


def test_what_a_renamed_key_is_now_exists():
    for old, (_, new) in RENAMED.items():
        section = Config
        for step in new.partition(":")[0].split("."):
            assert step in section.model_fields, (
                f"{old} is said to be {new} now, which is no key"
            )
            section = section.model_fields[step].annotation


def test_every_make_target_that_is_promised_exists():
    targets = set(
        re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    )
    promised = commands(r"make (\w+)")
    assert promised, "the README shows no make command"
    assert promised - targets == set(), (
        "the README shows make targets that the Makefile does not have"
    )


def test_every_snakemake_target_that_is_promised_exists():
    rules = "\n".join(
        path.read_text(encoding="utf-8")
        for path in [ROOT / "Snakefile", *(ROOT / "rules").glob("*.smk")]
    )
    promised = commands(r"snakemake (?:-n )?([a-z]\w*)(?=\s|$)")
    assert promised - set(re.findall(r"^rule (\w+):", rules, re.MULTILINE)) == set(), (
        "the README shows targets that no rule has"
    )


def test_every_resomap_command_that_is_promised_exists():
    known = {command.name or command.callback.__name__ for command in app.registered_commands}
    assert commands(r"resomap ([a-z]+)") - known == set(), (
        "the README shows commands that resomap does not have"
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_and_path_leads_to_a_file(page):
    text = page.read_text(encoding="utf-8")
    links = [
        link.partition("#")[0]
        for link in re.findall(r"\]\(([^)\s]+)\)", text)
        if not re.match(r"https?:|#", link)
    ]
    missing = [link for link in links if not (page.parent / link).exists()]
    assert missing == [], f"{page.name} links to what is not there"


def test_every_shipped_file_that_the_readme_names_is_there():
    named = re.findall(
        r"\b((?:config|profiles|benchmarks|docs|envs|tests|resomap|rules)/[\w./-]+\.\w+)",
        README,
    )
    assert [path for path in named if not (ROOT / path).exists()] == []
