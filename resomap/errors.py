"""What can go wrong for a user, as one tree.

ResoMapError            anything a user can mend; printed without a traceback
|-- ConfigError         a key, a value or a file of the configuration
|-- DataError           pictures, masks or the prepared store
|-- DeviceError         a device that was asked for and is not there
|-- DiskError           a file system that cannot do what is asked of it
`-- Stopped             a signal ended the job, and what it had reached is saved
"""

from signal import Signals


class ResoMapError(Exception):
    """A failure whose message alone tells the user what to change."""


class ConfigError(ResoMapError, ValueError):
    """The configuration is wrong; a ValueError so that Snakemake prints it in three lines."""


class DataError(ResoMapError):
    """The pictures or the prepared store are not what the job needs."""


class DeviceError(ResoMapError):
    """The device that the job asks for cannot be used."""


class DiskError(ResoMapError):
    """The file system under a working directory lacks what jobs need of it."""


class Stopped(ResoMapError):
    """A signal ended the job after its state was saved; `exit_code` is the shell's for it, so that a scheduler tries again."""

    def __init__(self, signum: int) -> None:
        super().__init__(
            f"stopped by {Signals(signum).name}; the state is saved, and the same command goes on from there"
        )
        self.exit_code = 128 + signum
