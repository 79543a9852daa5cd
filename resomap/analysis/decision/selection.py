"""The candidates that may be chosen, by the names of their models, variants and modes."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from resomap.analysis.decision.candidates import Candidate
from resomap.errors import ConfigError, suggest

MAIN_VARIANT = "main"
"""What names the first variant of a profile, which ranks the cells and has no name."""


@dataclass(frozen=True)
class Selection:
    """Names of models, variants and modes; an empty tuple stands for all."""

    models: tuple[str, ...] = ()
    variants: tuple[str, ...] = ()
    modes: tuple[str, ...] = ()

    def reasons(self, candidate: Candidate) -> Iterator[str]:
        """Yield which name of a candidate is not selected."""
        if self.models and candidate.cell.model not in self.models:
            yield "its model is not selected"
        if self.variants and variant_of(candidate) not in self.variants:
            yield "its variant is not selected"
        if self.modes and candidate.mode not in self.modes:
            yield "its mode is not selected"

    def has(self, candidate: Candidate) -> bool:
        """Return whether a candidate may be chosen."""
        return not any(self.reasons(candidate))


EVERY_CANDIDATE = Selection()


def variant_of(candidate: Candidate) -> str:
    """Return the name that selects the variant of a candidate."""
    return candidate.variant or MAIN_VARIANT


def select(
    candidates: Sequence[Candidate],
    models: Iterable[str],
    variants: Iterable[str],
    modes: Iterable[str],
) -> Selection:
    """Return the selection of these names; ConfigError for one that no candidate has."""
    selection = Selection(tuple(models), tuple(variants), tuple(modes))
    known: dict[str, list[str]] = {
        "models": [one.cell.model for one in candidates],
        "variants": [variant_of(one) for one in candidates],
        "modes": [one.mode for one in candidates],
    }
    # A sweep that has just begun has no candidate, and no name is wrong there.
    for flag, names in known.items() if candidates else ():
        for name in getattr(selection, flag):
            if name not in names:
                hint = suggest(name, dict.fromkeys(names))
                raise ConfigError(f"--{flag}: no candidate has {name[:60]!r}; {hint}")
    return selection
