import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resomap.analysis.facts import read_facts
from resomap.report.catalogue import data_figure_names
from resomap.report.data_page import write_data_page
from resomap.report.markup import data_section, inline_svg
from resomap.system import files
from tests.dataset_facts import copy_row
from tests.synthetic import Sweep, write_results
from tests.unit.report.test_page import Page

EVIL = "cats/<img src=x> & \"quoted\" 'name' $x^2$ \\udce9.jpg"
LONG = "dogs/" + "x" * 245
SWEEP = Sweep(
    models=(),
    resolutions=(24, 48),
    test=40,
    val=24,
    native=48,
    grouped=False,
    mask=False,
    drawn=("val",),
    bad=((EVIL, "truncated <b>"), *((f"{LONG}{number}", "no image") for number in range(30))),
    copies=(
        *(copy_row(f"plain/{number}", "train", "plain/x", "train") for number in range(25)),
        copy_row(EVIL, "test", LONG, "train", 1, 0),
        copy_row("leak", "test", "known", "train"),
    ),
    notes={"animated": 2},
)
Written = tuple[str, list[str]]


def write_page(folder: Path, sweep: Sweep, **manifest: Any) -> Written:
    """Return the page and its sentences, written without any array of images."""
    write_results(folder, sweep)
    data, page = folder / "data", folder / "check.html"
    for path in [data / "native.npy", *data.glob("*_test.npy"), *data.glob("r*/*")]:
        path.unlink()
    files.write_json(data / "manifest.json", files.read_json(data / "manifest.json") | manifest)
    sentences = write_data_page(data, sweep.resolutions, page, "<My> cats & dogs")
    return page.read_text(encoding="utf-8"), sentences


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return write_page(tmp_path_factory.mktemp("results"), SWEEP)


@pytest.fixture
def page(written: Written) -> str:
    return written[0]


def test_page_needs_no_network_and_no_script(page: str) -> None:
    assert all(address.startswith(("#", "data:")) for address in Page(page).addresses)
    assert not re.search(r"url\((?!#)|@import|<script", page)
    assert "default-src 'none'" in page


def test_page_is_well_formed(page: str) -> None:
    parsed = Page(page)
    assert parsed.open == []
    assert len(parsed.ids) == len(set(parsed.ids))


def test_file_names_are_escaped(page: str) -> None:
    assert "&lt;My&gt; cats &amp; dogs" in page
    escaped = "cats/&lt;img src=x&gt; &amp; &#34;quoted&#34; &#39;name&#39; $x^2$ \\udce9.jpg"
    assert escaped in page
    assert "<img src=x>" not in page
    assert "truncated &lt;b&gt;" in page


def test_lists_end_after_twenty_files(page: str) -> None:
    assert page.count("no image") == 19
    assert page.count("The first 20.") == 2


def test_worst_copies_are_listed_first(tmp_path: Path) -> None:
    write_results(tmp_path, SWEEP)
    rows = data_section(read_facts(tmp_path / "data"))["copies"]
    assert [row["source"] for row in rows[:3]] == [EVIL, "leak", "plain/0"]


def test_sentences_start_with_classes_then_alarms(written: Written) -> None:
    page, sentences = written
    subjects = [sentence.partition(":")[0] for sentence in sentences[:4]]
    assert subjects[0] == "8 classes"
    assert subjects[2:] == ["Leak", "Contradiction"]
    assert page.count("<p>Leak: ") == 1
    assert any("31 of 1,695 files" in sentence for sentence in sentences)
    assert any("40 test" in sentence for sentence in sentences)


def test_page_holds_every_data_figure(page: str) -> None:
    assert re.findall(r'<figure id="(\w+)"', page) == list(data_figure_names("folder"))


def test_resolution_above_native_is_reported(tmp_path: Path) -> None:
    sweep = Sweep(models=(), resolutions=(96, 224), test=40, val=24, native=48)
    _, sentences = write_page(tmp_path, sweep)
    assert any("48 px" in sentence and "224" in sentence for sentence in sentences)
    assert not any(sentence.startswith("Leak") for sentence in sentences)


def test_page_of_a_thousand_classes_stays_small(tmp_path: Path) -> None:
    write_results(tmp_path, SWEEP)
    rng = np.random.default_rng(0)
    files.write_arrays(
        tmp_path / "data/contact_sheet.npz",
        images=rng.integers(0, 256, (240, 96, 96, 3), np.uint8),
        label=np.repeat(np.arange(24), 10),
    )
    curve = np.linspace(0, 1, 129) ** rng.uniform(0.05, 0.4, (1001, 1))
    files.write_array(tmp_path / "data/spectrum.npy", curve)
    counts = {
        split: {"count": 9_000, "sha256": "0", "per_class": rng.integers(5, 99, 1000).tolist()}
        for split in ("train", "val", "test")
    }
    names = [f"n{number:08d} <{'long ' * 9}>" for number in range(1000)]
    path = tmp_path / "data/manifest.json"
    changes = {"classes": names, "splits": counts, "native_resolution": 256}
    files.write_json(path, files.read_json(path) | changes)
    page = tmp_path / "page.html"
    write_data_page(tmp_path / "data", [32, 64, 224], page, "many")
    assert page.stat().st_size < 3e6
    assert "first 24 of 1,000 classes" in page.read_text()


def test_unusual_class_names_keep_page_well_formed(tmp_path: Path) -> None:
    names = ["$a_b", "x^$2$", '"quoted" \\1 & <b>', "-->", "z" * 250, "a\nb", "%d", "{}"]
    page, _ = write_page(tmp_path, SWEEP, classes=names)
    assert Page(page).open == []


@pytest.mark.parametrize("native", [47, 48])
def test_resolution_just_below_native_may_lose_nothing(native: int, tmp_path: Path) -> None:
    sweep = Sweep(models=(), resolutions=(24, 46), test=40, val=24, native=native)
    _, sentences = write_page(tmp_path, sweep)
    assert any(sentence.startswith("24 px keep") for sentence in sentences)


def test_svg_title_stays_inside_its_attribute() -> None:
    svg = '<svg width="10pt" height="5pt" viewBox="0 0 10 5"><!-- "a" --></svg>'
    inlined = inline_svg(svg, "balance", 'of "x" \\1 & <y>')
    label = 'aria-label="of &quot;x&quot; \\1 &amp; &lt;y&gt;"'
    assert inlined.startswith(f'<svg role="img" {label}')
    assert "<!--" not in inlined
