"""The columns of tables made from the predictions of single images."""

from resomap.workflow.columns import CELL, SEEDS, Column

CONFUSION = (
    *CELL,
    Column("class", "", "name of the class"),
    Column("predicted", "", "name of the predicted class"),
    SEEDS,
    Column("n", "count", "test images of the class, in all runs"),
    Column("count", "count", "those predicted so, in all runs; a pair without any has no row"),
)
PREDICTION_TABLES = {
    "confusion": (CONFUSION, "confusion matrix of every cell at its training resolution"),
}
"""Columns and contents of these tables, as in `layout.TABLES`."""
