"""Groups: images that belong together, such as those of one patient."""

import re
from collections import defaultdict
from collections.abc import Sequence

from resomap.data.sources.listing import ImageEntry
from resomap.data.sources.timed_search import SlowPattern, TimedSearch
from resomap.errors import ConfigError
from resomap.text import agree, format_count

GROUP_KEY = "config/data.yaml: data.folder.group"
MAX_NAMED = 5


def match_groups(pattern: str, names: Sequence[str]) -> list[str]:
    """Return the first bracket of the match of `pattern` in each name, or the whole match.

    ConfigError names the images without a group, and a pattern that takes too long.
    """
    # Nested repetitions can take exponential time on a single name.
    search = TimedSearch(pattern)
    bracket = min(re.compile(pattern).groups, 1)
    groups, unmatched = [], []
    for name in names:
        try:
            match = search(name)
        except SlowPattern:
            raise ConfigError(
                f"{GROUP_KEY}: {pattern!r} takes too long on {name}: "
                "avoid nested repetitions such as (a+)+"
            ) from None
        group = match and match.group(bracket)
        groups.append(group or "")
        if not group:
            unmatched.append((name, "matches nothing" if match else "does not match"))
    if unmatched:
        raise ConfigError(_describe_unmatched(pattern, unmatched, len(names)))
    return groups


def _describe_unmatched(pattern: str, unmatched: list[tuple[str, str]], total: int) -> str:
    name, reason = unmatched[0]
    return (
        f"{GROUP_KEY}: {pattern!r} {reason} in {name} "
        f"({len(unmatched):,} of {format_count(total, 'image')} "
        f"{agree(len(unmatched), 'has', 'have')} no group)"
    )


def find_shared_groups(entries: Sequence[ImageEntry]) -> list[str]:
    """Return the groups that stand in two or more given splits, each with its splits.

    Of images without a split none can leak: a group is assigned to one split as a whole.
    """
    splits: dict[str, set[str]] = defaultdict(set)
    for entry in entries:
        if entry.group and entry.split:
            splits[entry.group].add(entry.split)
    return [
        f"{group} ({', '.join(sorted(each))})"
        for group, each in splits.items()
        if len(each) > 1
    ]


def check_groups(shared: Sequence[str], where: str) -> None:
    """Raise ConfigError where groups stand in two given splits."""
    if not shared:
        return
    listed = ", ".join(shared[:MAX_NAMED])
    if len(shared) > MAX_NAMED:
        listed += f" and {len(shared) - MAX_NAMED:,} more"
    raise ConfigError(
        f"{where}: a group stands in two splits: {listed}.\n"
        "Move its images to one split, or accept the leak with data.group_leaks: allow"
    )
