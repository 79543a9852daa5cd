"""Pages of synthetic sweeps, and names of users that try to be more than names."""

from pathlib import Path
from typing import Any

from resomap.analysis.facts import read_facts
from resomap.analysis.tables import read_tables
from resomap.config import schema
from resomap.report.page import build_page
from resomap.system import files
from resomap.workflow.checked_tables import read_table
from resomap.workflow.layout import table_columns
from tests.dataset_facts import copy_row
from tests.drawings import draw_tables
from tests.sweep_config import sweep_config
from tests.synthetic import Sweep, write_results, write_tables_of

RUNS = "window.hostile = 1"
"""What a hostile name runs where it is taken for more than text."""
LONG = "a very long name " * 20
HOSTILE_NAMES = (
    f"</script><script>{RUNS}</script>",
    f'<img src="x" onerror="{RUNS}">',
    f"\"'`><svg onload={RUNS}>",
    "{{7*7}} {% raw %} ${7*7} &lt;b&gt; %s {0}",
    "\u202efdp.exe \u2066\u200f",
    "\u05e9\u05dc\u05d5\u05dd \u0639\u0627\u0644\u0645",
    f"{LONG}\N{GRINNING FACE}\N{ZERO WIDTH JOINER}\u2028\u0007\x9b end",
    f"=cmd|'/C calc'!A0\t--><!--]]>{RUNS}",
)
"""One a class of the synthetic sweeps."""


def page_of(
    folder: Path, figures: Path, sweep: Sweep, name: str = "Reef", **changes: Any
) -> str:
    """Return the page of the results and tables in `folder`."""
    arguments = {
        "experiment": schema.Experiment(name=name),
        "config": sweep_config(sweep),
        "code": "c0de",
    }
    tables, facts = read_tables(folder / "tables"), read_facts(folder / "data")
    return build_page(tables, facts, figures, **arguments | changes)


def write_hostile_results(folder: Path, sweep: Sweep) -> dict[str, Any]:
    """Write results whose classes and files have hostile names; returns the manifest."""
    manifest = write_results(folder, sweep) | {"classes": list(HOSTILE_NAMES)}
    files.write_json(folder / "data" / "manifest.json", manifest)
    path = folder / "data" / "pictures.csv"
    images = read_table(path).astype(object)
    for row, name in enumerate(HOSTILE_NAMES):
        images.loc[row::50, "source"] = f"{name}/{row}.jpg"
    files.write_rows(path, images.to_dict("records"), table_columns("images"))
    return manifest


def write_hostile_page(folder: Path, sweep: Sweep) -> Path:
    """Write results with hostile names and their page; returns the path of the page."""
    write_tables_of(folder, sweep, write_hostile_results(folder, sweep))
    page = folder / "report" / "index.html"
    title = HOSTILE_NAMES[1] + HOSTILE_NAMES[4]
    files.write_text(page, page_of(folder, draw_tables(folder), sweep, title))
    return page


def hostile_files() -> dict[str, Any]:
    """Return bad files and copies with hostile names, as options of a sweep."""
    bad = tuple((name, f"no image: {name}") for name in HOSTILE_NAMES)
    copies = tuple(copy_row(name, "test", f"{name}/2", "train", 1) for name in HOSTILE_NAMES)
    return {"bad": bad, "copies": copies}
