"""Tables that are printed row by row, so that a part that is cut off keeps what it measured."""

import argparse
import traceback
from collections.abc import Callable, Iterable, Sequence
from time import monotonic

NOT_MEASURED = "not measured"


class Budget:
    """The seconds that a part may take; what does not fit is left out and named."""

    def __init__(self, seconds: float) -> None:
        self._end = monotonic() + seconds

    def allows(self, seconds: float) -> bool:
        """Return whether another `seconds` are left."""
        return monotonic() + seconds <= self._end


def add_device_option(parser: argparse.ArgumentParser, seconds: float | None = None) -> None:
    """Add --device, which every part has, and --seconds for a part with a budget."""
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    if seconds is not None:
        parser.add_argument(
            "--seconds", type=float, default=seconds, help="budget of this part"
        )


def print_rows(title: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a titled Markdown table, each row as soon as it is known."""
    print(f"\n## {title}\n")
    print_row(head)
    print_row(["---"] * len(head))
    for row in rows:
        print_row(row)


def print_row(row: Sequence[object]) -> None:
    """Print one row of a Markdown table."""
    print(f"| {' | '.join(map(str, row))} |", flush=True)


def or_failure(measure: Callable[[], object]) -> object:
    """Return what `measure` returns, or the error it raised: one row must not end a part."""
    try:
        return measure()
    except Exception as error:
        traceback.print_exc()
        return f"failed: {type(error).__name__}: {str(error).partition(chr(10))[0][:120]}"
