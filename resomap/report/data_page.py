"""The page on the data alone, for use before anything is trained."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from resomap.report import markup
from resomap.report.catalogue import DATA, data_figure_names
from resomap.report.facts import Facts, read_facts
from resomap.report.figures.draw import draw_data_figures
from resomap.report.text.data import alarm_sentences, information_sentences, limit_sentences
from resomap.report.text.limits import above_native
from resomap.system import files


def write_data_page(
    data: Path, resolutions: Sequence[int], page: Path, experiment: str
) -> list[str]:
    """Write one self-contained page on the pictures prepared in the folder `data`; returns its sentences, alarms first.

    It reads what stands beside the manifest and no array of pictures but the contact sheet.
    """
    facts = read_facts(data)
    findings = _findings(facts, resolutions)
    section = markup.data_section(facts)
    with TemporaryDirectory() as folder:
        draw_data_figures(facts, resolutions, Path(folder))
        figures = markup.categories(Path(folder), data_figure_names(facts.manifest["dataset"]))[
            DATA
        ]
    headline = section["facts"]["Pictures"][0]
    told = {
        "experiment": experiment,
        "headline": headline,
        "findings": findings,
        "data": section,
        "figures": figures,
    }
    files.write_text(page, markup.render("data.html.j2", told))
    return [sentence for said in (findings | section["facts"]).values() for sentence in said]


def _findings(facts: Facts, resolutions: Sequence[int]) -> dict[str, list[str]]:
    told: dict[str, Iterable[str]] = {
        "Alarm": alarm_sentences(facts),
        "Detail": information_sentences(facts, resolutions),
        "Limits": [
            *limit_sentences(facts),
            *above_native(resolutions, facts.native_resolution),
        ],
    }
    return {subject: said for subject, claims in told.items() if (said := list(claims))}
