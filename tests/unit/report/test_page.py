"""The page: self-contained, well-formed and complete."""

import re
from copy import deepcopy
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from resomap.analysis.decision.inputs import Progress
from resomap.analysis.facts import read_facts
from resomap.analysis.findings.accuracy import model_in_focus
from resomap.analysis.findings.confusion import separated_pairs
from resomap.analysis.tables import Tables, read_tables
from resomap.cli import app
from resomap.report.catalogue import data_figure_names, figure_names
from resomap.report.finding_lines import finding_lines
from resomap.report.markup import inline_svg
from resomap.report.page import page_limits
from resomap.report.protocol import protocol
from resomap.report.text.answer import answer_lines
from resomap.report.text.page.first_screen import first_screen
from tests.dataset_facts import copy_row
from tests.drawings import draw_sweep
from tests.pages import page_of
from tests.recorded_sweeps import RecordedDirectory
from tests.sweep_config import sweep_config
from tests.synthetic import REPORT, Sweep, aggregate

TRAINING = sweep_config(Sweep()).training


SWEEP = Sweep(resolutions=(24, 48), test=80, val=40, native=48, modes=("raw", "bn"))


def build(folder: Path, sweep: Sweep, name: str = "Reef") -> str:
    return page_of(folder, draw_sweep(folder, sweep), sweep, name)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def page(results: Path) -> str:
    return build(results, SWEEP, name="<Reef> & co")


VOID = {"meta", "img", "br", "link", "col", "input"}


class Page(HTMLParser):
    """The open elements, the ids and the addresses of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.ids += [value or "" for name, value in attributes if name == "id"]
        self.addresses += [
            value or "" for name, value in attributes if name in {"src", "href", "xlink:href"}
        ]

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_page_needs_no_network(page: str) -> None:
    assert all(address.startswith(("#", "data:")) for address in Page(page).addresses)
    assert not re.search(r"<script[^>]* src", page)
    # Vega has such words in its source; that it requests nothing is seen in a browser.
    markup = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"url\((?!#)|@import", markup)


def test_elements_are_closed_and_ids_unique(page: str) -> None:
    parsed = Page(page)
    assert parsed.open == []
    assert len(parsed.ids) == len(set(parsed.ids))


def test_internal_links_have_targets(page: str) -> None:
    parsed = Page(page)
    assert {address[1:] for address in parsed.addresses if address.startswith("#")} <= set(
        parsed.ids
    )


def test_choice_comes_first_then_why_then_findings(page: str, results: Path) -> None:
    screen = first_screen(read_tables(results / "tables").choice)
    answer = re.search("<h1[^>]*>(.*?)</h1>", page, re.DOTALL)[1]  # type: ignore[index]
    assert plain_text(answer).replace("\xa0", " ") == screen["answer"]
    places = [page.index(text) for text in (answer, "Why, in full</", 'id="findings"')]
    assert places == sorted(places)


def test_text_from_users_is_escaped(page: str) -> None:
    assert "&lt;Reef&gt; &amp; co" in page
    assert "<Reef>" not in page


def test_every_figure_has_its_data(page: str) -> None:
    count = len(figure_names("reef", explain=True))
    captions = re.findall("<figcaption>.*?</figcaption>", page, re.DOTALL)
    assert page.count("<figure ") == count
    assert sum('download="' in caption for caption in captions) == count


INTERVAL = re.compile(
    r"(?<![\d.])([01]\.\d{3}) \W*(?:95 % interval )?(\d\.\d{3})\N{EN DASH}(\d\.\d{3})(?!\d)"
)
Triple = tuple[str, str, str]


def printed_intervals(text: str) -> set[Triple]:
    """Return every number of three digits that is followed by its interval, both as printed."""
    return set(INTERVAL.findall(plain_text(text)))


def plain_text(text: str) -> str:
    """Return text without tags and word joiners: cards, tables and sentences print alike."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", unescape(text)).replace("\u2060", ""))


def as_printed(row: dict[str, Any], name: str = "") -> Triple:
    prefix = f"{name}_" if name else ""
    mean, low, high = (row[key] for key in (name or "mean", f"{prefix}low", f"{prefix}high"))
    return f"{mean:.3f}", f"{low:.3f}", f"{high:.3f}"


def intervals_of_cells(tables: Tables) -> dict[tuple[Any, ...], set[Triple]]:
    """Return the intervals of every network by split, model, training and test size and mode."""
    found: dict[tuple[Any, ...], set[Triple]] = {}

    def add(split: str, row: dict[str, Any], px: int, mode: str, printed: Triple) -> None:
        trained = row.get("train_resolution", row.get("resolution"))
        found.setdefault((split, row["model"], trained, px, mode), set()).add(printed)

    for row in tables.cells.to_dict("records"):
        add("test", row, row["resolution"], "raw", as_printed(row, "accuracy"))
        add("val", row, row["resolution"], "raw", as_printed(row, "val_accuracy"))
    for row in tables.matrix.to_dict("records"):
        add("test", row, row["eval_resolution"], row["mode"], as_printed(row, "accuracy"))
    for name in ("best", "choice", "certified", "frugal", "runner_up"):
        cell = tables.choice[name]
        for split in ("val", "test") if cell else ():
            interval = as_printed(cell[f"{split}_accuracy"])
            add(split, cell, cell["eval_resolution"], cell["mode"], interval)
    return found


def intervals_of_tables(tables: Tables) -> set[Triple]:
    """Return every interval of every table, as the page would print it."""
    found = set().union(*intervals_of_cells(tables).values())
    for frame in vars(tables).values():
        if isinstance(frame, pd.DataFrame):
            names = [name for name in frame if {f"{name}_low", f"{name}_high"} <= {*frame}]
            for name in names:
                rows = frame.dropna(subset=[name, f"{name}_low"]).to_dict("records")
                found |= {as_printed(row, str(name)) for row in rows}
    return found | intervals_of_pairs(tables)


def intervals_of_pairs(tables: Tables) -> set[Triple]:
    """Return the interval of every share of the pairs of classes that resolution separates."""
    model = model_in_focus(tables)
    pairs = separated_pairs(tables.confusion, model, REPORT.confidence) if model else []
    shares = [part.numbers["share"] for finding in pairs for part in finding.parts]
    return {(f"{one.value:.3f}", f"{one.low:.3f}", f"{one.high:.3f}") for one in shares}


def test_number_has_one_interval_in_all_tables(page: str, results: Path) -> None:
    assert page
    by_network = intervals_of_cells(read_tables(results / "tables"))
    assert len(by_network) > 16
    assert {key: value for key, value in by_network.items() if len(value) > 1} == {}


def test_page_prints_intervals_of_tables_only(page: str, results: Path) -> None:
    tables, printed = read_tables(results / "tables"), printed_intervals(page)
    assert printed - intervals_of_tables(tables) == set()
    for row in tables.cells.to_dict("records"):
        assert {as_printed(row, name) for name in ("accuracy", "val_accuracy")} <= printed


def test_command_prints_intervals_of_page(page: str, results: Path, tmp_path: Path) -> None:
    answer = CliRunner().invoke(
        app, ["choose", str(RecordedDirectory(tmp_path, SWEEP).write())]
    )
    printed = printed_intervals(answer.output)
    assert (
        as_printed(read_tables(results / "tables").choice["choice"]["test_accuracy"]) in printed
    )
    assert printed <= printed_intervals(page)


def test_other_interval_in_choice_is_found(page: str, results: Path) -> None:
    tables = read_tables(results / "tables")
    choice = deepcopy(tables.choice)
    choice["choice"]["test_accuracy"]["low"] -= 0.01
    networks = intervals_of_cells(replace(tables, choice=choice)).values()
    assert [len(found) for found in networks].count(2) == 1
    answer = "\n".join(answer_lines(choice, Progress(1, 1, 0)))
    assert not printed_intervals(answer) <= printed_intervals(page)


@pytest.mark.parametrize(
    "text",
    [
        "<td>0.745 <small>0.706\N{EN DASH}0.783</small></td>",
        "<b>0.745</b><span>95 % interval 0.706\N{EN DASH}0.783</span>",
        "Test accuracy 0.745 (95 % interval 0.706\u2060\N{EN DASH}\u20600.783), 2 ms",
    ],
)
def test_second_interval_of_number_is_found_wherever_it_is_printed(text: str) -> None:
    assert printed_intervals(text) == {("0.745", "0.706", "0.783")}


def test_bad_dataset_is_first_alarm_and_limit(tmp_path: Path) -> None:
    bad = tuple((str(number), "no image") for number in range(21))
    copies = (
        copy_row("test/1", "test", "train/1", "train"),
        copy_row("train/2", "train", "train/3", "train", 1, 2),
    )
    sweep = Sweep(
        models=("tiny_cnn",),
        resolutions=(24,),
        seeds=(0,),
        test=40,
        val=24,
        native=24,
        copies=copies,
        bad=bad,
    )
    page = build(tmp_path, sweep)
    findings, limits = page[page.index('id="findings"') :], page[page.index('id="limits"') :]
    first = re.search('<details class="(.*?)">\\s*<summary><b>(.*?)</b> (.*?):', findings)
    assert first is not None
    assert first.groups() == ("finding alarm", "Images", "Leak")
    beginnings = [
        "Test accuracies may be too high",
        "Some labels are wrong",
        "Skipped as unusable: 21 of 1,685 files",
        "1 of 1 cell has one seed",
    ]
    places = [limits.index(sentence) for sentence in beginnings]
    assert places == sorted(places)
    assert "The first 20; all are in results/data/bad_pictures.csv." in page


def test_data_section_equals_that_of_data_page(page: str) -> None:
    section = page[page.index("<h2>Data</h2>") : page.index('id="candidates"')]
    assert "1,720 images of 8 classes" in section
    assert [
        name for name in re.findall('<figure id="(.*?)"', section) if name != "pictures"
    ] == list(data_figure_names("reef"))


def test_text_colours_follow_light_and_dark(page: str) -> None:
    drawing = page[page.index("<svg") : page.index("</svg>")]
    assert "var(--ink)" in drawing
    assert "#1c2733" not in drawing


def test_inlined_drawing_has_label_and_own_ids() -> None:
    svg = '<?xml version="1.0"?>\n<svg xmlns:xlink="x" width="10pt" height="5pt" viewBox="0 0 10 5"><path id="a"/><use xlink:href="#a"/></svg>'
    inlined = inline_svg(svg, "cost", "What it costs")
    assert inlined.startswith('<svg role="img" aria-label="What it costs"')
    assert "width=" not in inlined
    assert 'id="cost-a"' in inlined
    assert 'href="#cost-a"' in inlined


@pytest.mark.parametrize(
    "sweep",
    [
        Sweep(
            models=("tiny_cnn",),
            resolutions=(24,),
            seeds=(0,),
            test=40,
            val=24,
            native=24,
            waiting=(("tiny_cnn", 24, 0),),
        ),
        Sweep(
            models=("tiny_cnn",),
            resolutions=(16, 24),
            seeds=(0,),
            test=40,
            val=24,
            native=16,
            profiled=False,
            grouped=False,
            mask=False,
        ),
    ],
    ids=["nothing finished", "one seed, no profile, no groups, no masks"],
)
def test_page_is_built_from_incomplete_results(sweep: Sweep, tmp_path: Path) -> None:
    assert Page(build(tmp_path, sweep)).open == []


ONE_OF_ALL = Sweep(
    models=("tiny_cnn",), resolutions=(24,), seeds=(0,), test=16, val=8, explained=1
)


@pytest.mark.parametrize(
    "sweep",
    [Sweep(seeds=(0,), test=64, val=32, explained=4), ONE_OF_ALL],
    ids=["one seed", "one of everything"],
)
def test_sentences_have_numbers_and_plurals_that_agree(tmp_path: Path, sweep: Sweep) -> None:
    aggregate(tmp_path, sweep)
    path = tmp_path / "agreement/custom/tiny_cnn.csv"
    rows = pd.read_csv(path)
    # Maps that are constant have no rank correlation, as those of an untrained network.
    rows.loc[rows["network"] == "untrained", ["observed", "same_seed"]] = float("nan")
    rows.to_csv(path, index=False)
    tables = replace(read_tables(tmp_path / "tables"), agreement=rows)
    facts = read_facts(tmp_path / "data")
    text = [tables.choice["headline"], *tables.choice["reasons"], *page_limits(tables, facts)]
    for line in finding_lines(tables, facts, ()):
        text += [line.claim, *line.reasons, *(" ".join(row) for row in line.numbers)]
    wrong = re.compile(r"\bnan\b|(?<![\d.,])1 (?!px\b)[a-z]+s\b")
    assert [sentence for sentence in text if wrong.search(sentence)] == []


def test_protocol_of_one_epoch_is_singular(tmp_path: Path) -> None:
    aggregate(tmp_path, ONE_OF_ALL)
    schedule = TRAINING.schedule.model_copy(update={"warmup_epochs": 1.0})
    recipe = TRAINING.model_copy(update={"epochs": 1, "schedule": schedule})
    manifest = read_facts(tmp_path / "data").manifest
    lines = protocol(read_tables(tmp_path / "tables"), manifest, recipe, REPORT, (0,))
    assert lines["Training"].startswith("1 epoch, batch")
    assert "after 1 epoch of warm-up" in lines["Training"]
