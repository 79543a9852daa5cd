"""The sentence about the cost of networks on other devices."""

from collections.abc import Sequence

from resomap.analysis.device_tables import TurnedOrder
from resomap.text import agree, format_count


def device_title(orders: Sequence[TurnedOrder], devices: Sequence[str]) -> str:
    """Return where the order of cells by latency differs most from that of the profile."""
    compared = [each for each in orders if each.pairs]
    if not compared:
        return f"Latency on {format_count(len(devices), 'other device')}"
    worst = max(compared, key=lambda each: each.turned / each.pairs)
    pairs = format_count(worst.pairs, "pair")
    if not worst.turned:
        return "Every device orders the cells by latency as the profile does"
    verb = agree(worst.turned, "changes its", "change their")
    return f"On {worst.device}, {worst.turned} of {pairs} of cells {verb} order of latency"
