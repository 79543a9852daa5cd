"""The page about the dataset alone, for use before any training."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from resomap.analysis.facts import Facts, read_facts
from resomap.analysis.findings.limits import above_native
from resomap.analysis.findings.user_files import larger_files
from resomap.report import markup
from resomap.report.catalogue import DATA, data_figure_names
from resomap.report.figures.draw import draw_data_figures
from resomap.report.text.data import dataset_alarms, dataset_limits, detail_sentences
from resomap.report.text.limits import limit_sentence
from resomap.system import files


def write_data_page(
    data: Path, resolutions: Sequence[int], page: Path, experiment: str
) -> list[str]:
    """Write one self-contained page about the images prepared in `data`; return its sentences.

    The classes come first, then alarms. Of the images only the contact sheet is read.
    """
    facts = read_facts(data)
    findings = _findings(facts, resolutions)
    section = markup.data_section(facts)
    names = data_figure_names(facts.manifest["dataset"])
    # Through files, as in the report, so that both pages embed figures alike.
    with TemporaryDirectory() as folder:
        draw_data_figures(facts, resolutions, Path(folder), markup.MAX_SVG_BYTES)
        figures = markup.categories(Path(folder), names)[DATA]
    values = {
        "experiment": experiment,
        "headline": section["facts"]["Images"][0],
        "findings": findings,
        "data": section,
        "figures": figures,
    }
    files.write_text(page, markup.render("data.html.j2", values))
    groups = {"Classes": section["facts"]["Classes"], **findings, **section["facts"]}
    return [sentence for group in groups.values() for sentence in group]


def _findings(facts: Facts, resolutions: Sequence[int]) -> dict[str, list[str]]:
    """Return alarms, detail and limits as sentences; subjects without one are left out."""
    larger = larger_files(facts, resolutions)
    above = above_native(resolutions, facts.native_resolution, larger)
    sentences = {
        "Alarm": list(dataset_alarms(facts)),
        "Detail": list(detail_sentences(facts, resolutions)),
        "Limits": [*dataset_limits(facts), *map(limit_sentence, above)],
    }
    return {subject: claims for subject, claims in sentences.items() if claims}
