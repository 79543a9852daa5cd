"""What a watt buys: energy of a picture and of a correct one."""

from collections.abc import Iterable, Iterator
from typing import Any

from resomap.analysis.cost import Estimate
from resomap.analysis.measurements import Row
from resomap.workflow.layout import table_columns

ENERGY = table_columns("energy")


def energy_rows(records: Iterable[Row], cells: Iterable[Row]) -> Iterator[Row]:
    """Rows of ENERGY: every measurement whose power is known.

    A correct picture takes what a picture takes in inference over the test accuracy, and that accuracy's interval; pictures a second a
    watt have the latency's.
    """
    accuracies = {
        (row["family"], row["model"], row["resolution"]): row
        for row in cells
        if row.get("accuracy")
    }
    for record in records:
        if record.get("power_w"):
            cell = accuracies.get((record["family"], record["model"], record["resolution"]))
            yield (
                {name: record.get(name) for name in ENERGY}
                | _per_correct_image(record, cell)
                | _per_watt(record)
            )


def _per_correct_image(record: Row, cell: Row | None) -> Row:
    if cell is None or record["variant"] == "training_step":
        return {}
    joules = record["energy_j_per_image"]
    ends = [
        joules / cell[f"accuracy{end}"] if cell[f"accuracy{end}"] else None
        for end in ("", "_high", "_low")
    ]
    return dict(
        zip(
            (
                "energy_j_per_correct_image",
                "energy_j_per_correct_image_low",
                "energy_j_per_correct_image_high",
            ),
            ends,
            strict=True,
        )
    )


def _per_watt(record: Row) -> Row:
    pictures = 1e3 * record["batch_size"] / record["power_w"]
    ends: Any = (pictures / record[f"latency_ms_{end}"] for end in ("p50", "high", "low"))
    return Estimate(*ends).named("images_per_second_per_watt")
