"""What can go wrong for a user, as one tree.

ResoMapError            anything a user can mend; printed without a traceback
|-- ConfigError         a key, a value or a file of the configuration
|-- DataError           pictures, masks or the prepared store
`-- DeviceError         a device that was asked for and is not there
"""


class ResoMapError(Exception):
    """A failure whose message alone tells the user what to change."""


class ConfigError(ResoMapError, ValueError):
    """The configuration is wrong; a ValueError so that Snakemake prints it in three lines."""


class DataError(ResoMapError):
    """The pictures or the prepared store are not what the job needs."""


class DeviceError(ResoMapError):
    """The device that the job asks for cannot be used."""
