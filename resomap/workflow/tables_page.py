"""docs/tables.md, made from the layout: `python -m resomap.workflow.tables_page docs/tables.md`."""

import sys
from pathlib import Path

from resomap.system.files import write_text
from resomap.workflow.artifact_paths import RECEIPT_SUFFIX
from resomap.workflow.artifacts import Artifact
from resomap.workflow.layout import ARTIFACTS

HEAD = """# Tables and files

```python
import pandas as pd

cells = pd.read_csv("results/tables/cells.csv")
print(cells[["model", "resolution", "accuracy", "accuracy_low", "accuracy_high"]])
```

Every CSV file of a sweep, with the unit and meaning of each column. A blank cell is a missing value: the
run has no such number. `results/tables/` has the tables of the whole sweep, one row per observation; the
others belong to the data or to one run. `results/figures/*.csv` hold the numbers of their figure.
The last section lists the files that are no tables.

This page is generated from `resomap/workflow/layout.py` (`python -m resomap.workflow.tables_page
docs/tables.md`), and a test keeps it up to date.
"""


def tables_page() -> str:
    """Return the page: the tables of the sweep, then those of data and runs, then other files."""
    tables = [artifact for artifact in ARTIFACTS if artifact.columns]
    tables.sort(key=lambda table: table.writer != "tables")
    return HEAD + "".join(_section(table) for table in tables) + _other_files()


def _other_files() -> str:
    """Return the section of the files that are no tables, receipts aside."""
    others = [
        artifact
        for artifact in ARTIFACTS
        if not artifact.columns and not artifact.name.endswith(RECEIPT_SUFFIX)
    ]
    rows = [f"| `{each.path}` | {each.writer} | {each.contents} |\n" for each in others]
    return "\n## Other files\n\n| file | written by | contents |\n|---|---|---|\n" + "".join(
        rows
    )


def _section(table: Artifact) -> str:
    rows = [
        f"| `{column.name}` | {column.unit} | {column.meaning} |\n" for column in table.columns
    ]
    head = f"\n## {table.path.removeprefix('results/')}\n\n{_sentence(table)}\n\n"
    return head + "| column | unit | meaning |\n|---|---|---|\n" + "".join(rows)


def _sentence(table: Artifact) -> str:
    contents = table.contents[0].upper() + table.contents[1:]
    return f"{contents}. Written by the stage `{table.writer}`."


if __name__ == "__main__":
    write_text(Path(sys.argv[1]), tables_page())
