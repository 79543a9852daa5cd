"""The columns of tables made from the predictions of single images."""

from resomap.workflow.columns import CELL, INTERVAL, MODEL, SEEDS, Column, with_interval

CONFUSION = (
    *CELL,
    Column("class", "", "name of the class"),
    Column("predicted", "", "name of the predicted class"),
    SEEDS,
    Column("n", "count", "test images of the class, in all runs"),
    Column("count", "count", "those predicted so, in all runs; a pair without any has no row"),
)
DEMAND = (
    *MODEL,
    Column("class", "", "name of the class; blank for all images"),
    Column("demand", "px", "resolution from which an image is right; blank for those never"),
    *(SEEDS, Column("n", "count", "test images")),
    *with_interval(Column("share", "0-1", "share of the images with this demand")),
    INTERVAL,
)
PREDICTION_TABLES = {
    "confusion": (CONFUSION, "confusion matrix of every cell at its training resolution"),
    "demand": (DEMAND, "smallest resolution from which an image is right and stays right"),
}
"""Columns and contents of these tables, as in `layout.TABLES`."""
