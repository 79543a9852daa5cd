"""The largest batch that fits."""

from collections.abc import Callable


def largest_batch(fits: Callable[[int], bool], limit: int) -> int:
    """The largest batch up to `limit` of which `fits` is true, by doubling and then bisection; 0 where not even one picture fits.

    `fits` must not be true of a batch larger than one of which it is false.
    """
    known, size = 0, 1
    while size <= limit and fits(size):
        known, size = size, 2 * size
    too_large = min(size, limit + 1)
    while too_large - known > 1:
        middle = (known + too_large) // 2
        if fits(middle):
            known = middle
        else:
            too_large = middle
    return known


def sweep_sizes(largest: int) -> list[int]:
    """2, 4, 8 ... below the largest batch, and that one."""
    doubled = [2**power for power in range(1, largest.bit_length()) if 2**power < largest]
    return [*doubled, largest] if largest > 1 else []
