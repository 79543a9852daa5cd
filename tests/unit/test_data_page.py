import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from resomap.report.catalogue import data_figure_names
from resomap.report.data_page import write_data_page
from resomap.report.facts import read_facts
from resomap.report.figures.draw import draw_data_figures
from resomap.report.figures.style import shorten_name
from resomap.report.markup import data_section, inline_svg
from resomap.system import files
from tests.synthetic import Sweep, write_results
from tests.unit.test_data_facts import copy
from tests.unit.test_report import Page

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
    bad=((EVIL, "truncated <b>"), *((f"{LONG}{number}", "no picture") for number in range(30))),
    copies=(
        *(copy(f"plain/{number}", "train", "plain/x", "train") for number in range(25)),
        copy(EVIL, "test", LONG, "train", 1, 0),
        copy("leak", "test", "learnt", "train"),
    ),
    notes={"animated": 2},
)


def write_page(folder: Path, sweep: Sweep, **manifest: Any) -> tuple[str, list[str]]:
    """The page and its sentences, from only those files that a look at the pictures leaves."""
    write_results(folder, sweep)
    data, page = folder / "data", folder / "check.html"
    for path in [data / "native.npy", *data.glob("*_test.npy"), *data.glob("r*/*")]:
        path.unlink()
    files.write_json(data / "manifest.json", files.read_json(data / "manifest.json") | manifest)
    told = write_data_page(data, sweep.resolutions, page, "<My> cats & dogs")
    return page.read_text(encoding="utf-8"), told


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[str]]:
    return write_page(tmp_path_factory.mktemp("results"), SWEEP)


@pytest.fixture
def page(written: tuple[str, list[str]]) -> str:
    return written[0]


def test_the_page_on_the_data_asks_nothing_of_a_network_and_runs_nothing(page: str) -> None:
    assert all(address.startswith(("#", "data:")) for address in Page(page).addresses)
    assert not re.search(r"url\((?!#)|@import|<script", page)
    assert "default-src 'none'" in page


def test_the_page_on_the_data_is_well_formed(page: str) -> None:
    parsed = Page(page)
    assert parsed.open == []
    assert len(parsed.ids) == len(set(parsed.ids))


def test_names_of_files_are_text_whatever_they_hold(page: str) -> None:
    assert "&lt;My&gt; cats &amp; dogs" in page
    assert (
        "cats/&lt;img src=x&gt; &amp; &#34;quoted&#34; &#39;name&#39; $x^2$ \\udce9.jpg" in page
    )
    assert "<img src=x>" not in page
    assert "truncated &lt;b&gt;" in page


def test_the_first_twenty_are_listed(page: str) -> None:
    assert page.count("no picture") == 19
    assert page.count("<p>The first 20.</p>") == 2
    assert "Equal to an earlier one, pixel by pixel: 27</h3>" in page


def test_the_gravest_copies_are_listed_first(tmp_path: Path) -> None:
    write_results(tmp_path, SWEEP)
    listed = data_section(read_facts(tmp_path / "data"))["copies"]
    assert [row["source"] for row in listed[:3]] == [EVIL, "leak", "plain/0"]


def test_alarms_are_told_first_and_everything_on_the_page_is_told(
    written: tuple[str, list[str]],
) -> None:
    page, told = written
    assert [sentence.partition(":")[0] for sentence in told[:2]] == ["Leak", "Contradiction"]
    assert page.count("<p>Leak: ") == 1
    assert any(
        sentence.startswith("Left out as unusable: 31 of 1,695 files") for sentence in told
    )
    assert any(sentence.startswith("24 px keep ") for sentence in told)
    assert "1,664 pictures of 8 classes (folder): 1,600 train, 24 val, 40 test." in told


def test_every_figure_that_needs_no_training_is_on_the_page(page: str) -> None:
    assert re.findall(r'<figure id="(\w+)"', page) == list(data_figure_names("folder"))
    assert data_figure_names("folder") == (
        "class_balance",
        "picture_sizes",
        "information_by_resolution",
        "contact_sheet",
    )


def test_resolutions_above_the_stored_size_are_told(tmp_path: Path) -> None:
    _, told = write_page(
        tmp_path, Sweep(models=(), resolutions=(96, 224), test=40, val=24, native=48)
    )
    assert any(sentence.startswith("Information ends at 48 px") for sentence in told)
    assert not any(sentence.startswith("Leak") for sentence in told)


def test_a_thousand_classes_of_noise_make_a_page_that_can_be_mailed(tmp_path: Path) -> None:
    write_results(tmp_path, SWEEP)
    rng = np.random.default_rng(0)
    label = np.repeat(np.arange(24), 10)
    files.write_arrays(
        tmp_path / "data/contact_sheet.npz",
        images=rng.integers(0, 256, (240, 96, 96, 3), np.uint8),
        label=label,
    )
    curve = np.linspace(0, 1, 129) ** rng.uniform(0.05, 0.4, (1001, 1))
    files.write_array(tmp_path / "data/spectrum.npy", curve)
    counts = {
        split: {"count": 9_000, "sha256": "0", "per_class": rng.integers(5, 99, 1000).tolist()}
        for split in ("train", "val", "test")
    }
    about = {
        "classes": [f"n{number:08d} <{'long ' * 9}>" for number in range(1000)],
        "splits": counts,
        "native_resolution": 256,
    }
    files.write_json(
        tmp_path / "data/manifest.json",
        files.read_json(tmp_path / "data/manifest.json") | about,
    )
    page = tmp_path / "page.html"
    write_data_page(tmp_path / "data", [32, 64, 224], page, "many")
    assert page.stat().st_size < 3e6
    assert "What the first 24 of 1,000 classes look like" in page.read_text()


def test_names_of_classes_are_drawn_as_they_are(tmp_path: Path) -> None:
    names = ["$a_b", "x^$2$", '"quoted" \\1 & <b>', "-->", "z" * 250, "a\nb", "%d", "{}"]
    page, _ = write_page(tmp_path, SWEEP, classes=names)
    assert Page(page).open == []


def test_the_numbers_behind_the_figures_are_those_of_the_data(tmp_path: Path) -> None:
    write_results(tmp_path, SWEEP)
    facts = read_facts(tmp_path / "data")
    draw_data_figures(facts, [24, 48], tmp_path / "figures")
    read = {path.stem: pd.read_csv(path) for path in (tmp_path / "figures").glob("*.csv")}
    assert read["class_balance"][["train", "val", "test"]].sum().tolist() == [1600, 24, 40]
    for _, rows in read["picture_sizes"].groupby("quantity"):
        assert rows["pictures"].sum() == 1664
        assert rows["share_at_most"].iloc[-1] == pytest.approx(1)
    lost = read["information_by_resolution"].set_index("resolution_px")
    assert lost.loc[24, "all pictures"] == pytest.approx(1 - facts.energy_kept(24)[0])
    assert lost.loc[24, "ray-stripes"] == pytest.approx(1 - facts.energy_kept(24)[8])
    assert read["contact_sheet"]["pictures_shown"].tolist() == [3] * 8


@pytest.mark.parametrize("native", [47, 48])
def test_a_resolution_just_under_the_stored_one_may_lose_nothing(
    native: int, tmp_path: Path
) -> None:
    _, told = write_page(
        tmp_path, Sweep(models=(), resolutions=(24, 46), test=40, val=24, native=native)
    )
    assert any(sentence.startswith("24 px keep ") for sentence in told)


def test_a_title_with_quotes_and_backslashes_stays_inside_its_attribute() -> None:
    svg = '<svg width="10pt" height="5pt" viewBox="0 0 10 5"><!-- "a" --></svg>'
    inlined = inline_svg(svg, "balance", 'of "x" \\1 & <y>')
    assert inlined.startswith(
        '<svg role="img" aria-label="of &quot;x&quot; \\1 &amp; &lt;y&gt;"'
    )
    assert "<!--" not in inlined


def test_a_long_name_keeps_its_ends() -> None:
    assert shorten_name("grasshopper") == "grasshopper"
    assert shorten_name("a" * 30 + "b" * 30, 9) == "aaaa…bbbb"
    assert len(shorten_name("x" * 99, 22)) == 22
