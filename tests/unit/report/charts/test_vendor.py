"""The scripts from other projects: what was put into the package, and nothing else."""

import hashlib
import re
from pathlib import Path

import altair
import pytest

from resomap.report import scripts
from resomap.report.scripts import SCRIPTS, VEGA, read_scripts

FOLDER = Path(scripts.__file__).parent / "vendor"
README = (FOLDER / "README.md").read_text(encoding="utf-8")


def test_all_scripts_of_page_are_below_one_megabyte():
    assert sum(len(text.encode()) for text in read_scripts(SCRIPTS)) < 1_000_000


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.js")), ids=lambda path: path.name)
def test_vendored_script_is_the_listed_one(path):
    text = path.read_text(encoding="utf-8")
    assert f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}" in README
    assert f"vendor/{path.name}" in VEGA
    # A browser would request the map of a source from a server.
    assert "sourceMappingURL" not in text


def test_vendored_scripts_begin_with_their_licence():
    licences = (FOLDER / "LICENSES.txt").read_text(encoding="utf-8")
    for text in read_scripts(VEGA):
        notice = text[len("/*!\n") : text.index("*/")]
        assert "Redistribution and use in source and binary forms" in notice
        # Its first paragraph lists the packages under a licence, of which a file has some.
        texts = [part.strip().partition("\n\n")[2] for part in notice.split("-" * 72)]
        assert all(text in licences for text in texts)


def test_versions_in_readme_are_those_of_the_scripts():
    vega, vega_lite, _ = read_scripts(VEGA)
    assert re.search(r'\.version="([\d.]+)"', vega)[1] in README
    version = re.search(r"`vega-lite` ([\d.]+)", README)[1]
    assert f'"{version}"' in vega_lite
    # Specifications are checked against the schema of altair, up to the last number.
    schema = altair.SCHEMA_VERSION.removeprefix("v")
    assert version.rpartition(".")[0] == schema.rpartition(".")[0]


def test_vega_evaluates_no_text_besides_expressions():
    # The page replaces that one by the interpreter; its policy forbids it anyway.
    vega, vega_lite, interpreter = read_scripts(VEGA)
    assert vega.count("new Function") == 1
    assert "new Function" not in vega_lite + interpreter
