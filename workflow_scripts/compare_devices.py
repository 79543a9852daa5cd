"""Write the table and the figure of the cost on other devices."""

from pathlib import Path

import matplotlib as mpl
import pandas as pd

from resomap.analysis.device_tables import device_rows
from resomap.analysis.profiles import read_records
from resomap.deploy.measurements import read_measurements
from resomap.entry.arguments import run_entry_point
from resomap.report.figures.devices import plot_latency_by_device
from resomap.report.figures.style import STYLE, save_drawing
from resomap.system.files import write_rows
from resomap.workflow.jobs import CompareDevices
from resomap.workflow.layout import table_columns


def main(job: CompareDevices, profiles: Path, table: Path, figure: Path) -> None:
    """Write a row per device, cell and precision, and the figure as SVG, PNG and CSV."""
    devices = read_measurements([Path(each) for each in job.measurements], profiles.parent)
    models = {(row["family"], row["model"]) for each in devices.values() for row in each}
    paths = {each: profiles / each[0] / f"{each[1]}.json" for each in sorted(models)}
    rows = list(device_rows(devices, read_records(paths, "cells")))
    write_rows(table, rows, table_columns("device_costs"))
    # In the style of the other figures; reading back gives the types that users see.
    with mpl.rc_context(STYLE):
        drawing = plot_latency_by_device(pd.read_csv(table))
    save_drawing(drawing, figure.parent, figure.stem)


if __name__ == "__main__":
    run_entry_point(main)
