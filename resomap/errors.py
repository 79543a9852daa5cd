"""Exceptions for failures that a user can correct, and suggestions for misspelt names.

ResoMapError            printed without a traceback
|-- ConfigError         a key, a value or a file of the configuration
|-- DataError           images, masks or the prepared store
|-- DeviceError         a requested device that is not available
|-- DiskError           a file system without a feature that jobs need
`-- Stopped             a signal ended the job, which resumes from its saved state
"""

from collections.abc import Iterable
from difflib import get_close_matches
from signal import Signals

MOST_SUGGESTIONS = 20


class ResoMapError(Exception):
    """A failure that the user can correct; its message names what to change."""


class ConfigError(ResoMapError, ValueError):
    """An invalid configuration. It is a ValueError so that Snakemake prints it in three lines."""


class DataError(ResoMapError):
    """Images or a prepared store that the job cannot use."""


class DeviceError(ResoMapError):
    """A requested device that cannot be used."""


class DiskError(ResoMapError):
    """A file system that lacks a feature which jobs rely on."""


class Stopped(ResoMapError):
    """A signal that ended the job, whose last saved state resumes it.

    `signum` is its number, and `exit_code` the shell's code for it, so that a scheduler
    retries the job.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(
            f"stopped by {Signals(signum).name}; the same command resumes from the saved state"
        )
        self.signum, self.exit_code = signum, 128 + signum


# In this module and not in `text`: training code imports it, and a change of how the report
# formats numbers must not change the code digest of a training.
def suggest(name: str, known: Iterable[str], listed: Iterable[str] | None = None) -> str:
    """Return a hint for an unknown name, such as `did you mean resnet18?`.

    Without a similar name it lists those in `listed`, by default all that are `known`.
    """
    by_lower = {candidate.lower(): candidate for candidate in known}
    close = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)
    if close:
        return f"did you mean {by_lower[close[0]]}?"
    names = list(by_lower.values() if listed is None else listed)
    more = (
        [f"and {len(names) - MOST_SUGGESTIONS} more"] if len(names) > MOST_SUGGESTIONS else []
    )
    return f"known are {', '.join([*names[:MOST_SUGGESTIONS], *more])}"
