"""What the decision reads of a sweep: the evidence of its cells."""

from pathlib import Path

import pytest

from resomap.analysis.decision.inputs import cell_evidence
from resomap.analysis.predictions import Cell, RunFolders

CELL = Cell("custom", "tiny_cnn", 24)


@pytest.mark.parametrize(
    ("states", "alarm"),
    [
        (("unknown", "silent"), "silent"),
        (("silent", "fires", "unknown"), "fires"),
        (("unknown", "unknown"), None),
        ((), None),
    ],
)
def test_alarm_of_a_cell_is_that_of_its_examined_groups(
    tmp_path: Path, states: tuple[str, ...], alarm: str | None
) -> None:
    rows = [{**CELL._asdict(), "state": state} for state in states]
    evidence = cell_evidence([CELL], [0], RunFolders(tmp_path), rows)
    assert evidence[CELL].alarm == alarm
