"""Hold the table of other preprocessings to `system.deploy.max_flips`."""

from pathlib import Path

from resomap.analysis.findings.preprocessing import beyond_limit, measured_rows
from resomap.entry.arguments import run_entry_point
from resomap.errors import ResoMapError
from resomap.report.text.preprocessing import limit_line
from resomap.system.files import write_json
from resomap.workflow.checked_tables import read_table
from resomap.workflow.jobs import CheckPreprocessing


def main(job: CheckPreprocessing, table: Path, record: Path) -> None:
    """Write the limit that the table keeps to; ResoMapError lists what exceeds it."""
    rows = read_table(table)
    beyond = beyond_limit(rows, job.max_flips)
    if beyond:
        lines = [limit_line(each, job.max_flips or 0.0) for each in beyond]
        raise ResoMapError("\n".join([f"{table}: too many answers change", *lines]))
    judged = measured_rows(rows)["judged"].sum()
    # What is not installed here is not shown to keep to the limit.
    skipped = rows[rows["judged"] & rows["flipped"].isna()]["preprocessing"]
    content = {"judged": int(judged), "not_measured": sorted(set(skipped))}
    write_json(record, {"max_flips": job.max_flips, **content})


if __name__ == "__main__":
    run_entry_point(main)
