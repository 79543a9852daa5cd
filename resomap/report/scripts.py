"""The scripts and the data of the page: inline, and allowed by their digests alone.

Class and file names come from users, so nothing of them may run: the page's Content-Security-Policy
lists the digest of every script of this package, and a browser refuses all others.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

SHARED = (
    "javascript/page.js",
    "javascript/format.js",
    "javascript/copy.js",
    "javascript/print.js",
)
RULE = (
    "javascript/answer_table.js",
    "javascript/distributions.js",
    "javascript/contrasts.js",
    "javascript/budgets.js",
    "javascript/ranking.js",
    "javascript/choose.js",
)
TABLES = ("javascript/tables.js", "javascript/candidates.js", "javascript/classes.js")
ANSWER = ("javascript/first_screen.js", "javascript/answer.js", "javascript/controls.js")
EVIDENCE = (
    "javascript/explanations_data.js",
    "javascript/explanations_draw.js",
    "javascript/explanations_view.js",
    "javascript/explanations.js",
    "javascript/cell_card.js",
)
# After all others: it is by far the largest, and the answer need not wait for it.
VEGA = ("vendor/vega.min.js", "vendor/vega-lite.min.js", "vendor/vega-interpreter.js")
CHARTS = ("javascript/chart_reading.js", "javascript/charts.js")
SCRIPTS = (*SHARED, *RULE, *TABLES, *ANSWER, *EVIDENCE, *VEGA, *CHARTS)
"""Files of this package, in the order in which the page runs them."""


def read_scripts(names: Iterable[str] = SCRIPTS) -> list[str]:
    """Return the texts of scripts of this package."""
    texts = [Path(__file__).parent.joinpath(name).read_text(encoding="utf-8") for name in names]
    for text in texts:
        # HTML would end the element there, and the digest would be that of another text.
        assert "</script" not in text.lower()
    return texts


def security_policy(scripts: Sequence[str]) -> str:
    """Return a policy that allows these scripts, inline styles and data: images, nothing else."""
    digests = " ".join(f"'sha256-{_digest(script)}'" for script in scripts) or "'none'"
    return (
        "default-src 'none'; base-uri 'none'; form-action 'none'; "
        f"img-src data:; style-src 'unsafe-inline'; script-src {digests}"
    )


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def embed_data(values: Any) -> str:
    """Return values as JSON that may stand inside a script element of type application/json."""
    text = json.dumps(values, separators=(",", ":"), allow_nan=False)
    # Without "<" no name of a user can close the element or open a comment in it.
    return text.replace("<", "\\u003c")
