"""Errors of the operating system that a user can correct, in their words."""

import errno
import resource
from traceback import walk_tb

from resomap.system.out_of_memory import is_out_of_memory

WRITABLE = (
    "give your user access (`ls -ld` shows the owner), or use another folder with "
    "`snakemake --directory DIR`"
)
NO_SPACE = "no space left; what was saved is complete: free some space and run again"
SYSTEM_ERRORS = {
    errno.ENOSPC: NO_SPACE,
    errno.EDQUOT: f"over quota, {NO_SPACE}",
    errno.EFBIG: (
        "larger than this process may write to one file; what was saved is complete: raise the "
        "limit (`ulimit -f unlimited`) or use another disk, and run again"
    ),
    errno.ENOMEM: "not enough memory; what was saved is complete: run again with more",
    errno.EIO: (
        "the disk or its server failed; what was saved is complete: run again when it works "
        "(`dmesg` may have details)"
    ),
    errno.ESTALE: (
        "replaced or removed by another node while it was open here; what was saved is complete: "
        "run again"
    ),
    errno.EROFS: (
        "its file system is mounted read-only: remount it, or use another disk with "
        "`snakemake --directory DIR`"
    ),
    errno.EACCES: f"no permission; {WRITABLE}",
    errno.EPERM: f"not permitted; {WRITABLE}",
    errno.ENAMETOOLONG: (
        "the name is too long for its file system: use a shorter name in config/models.yaml or a "
        "shorter path of the working directory"
    ),
    errno.EISDIR: "this is a folder where a file belongs: move or remove it, and run again",
    errno.ENOENT: "no such file: it was removed or moved while this job needed it; run again",
    errno.ENOTDIR: ("a folder of this path is a file: move or remove that file, and run again"),
    errno.EMFILE: "too many open files: raise the limit (`ulimit -n 4096`) and run again",
    errno.ENFILE: "the machine has too many open files: run again when it has fewer",
}
"""Errors of the operating system that a user can correct, and how."""
NO_MEMORY = (
    "not enough memory for this job; what was saved is complete: close other programs, run fewer "
    "jobs at a time (`snakemake --cores 1`) or raise the limit (`ulimit -v`), and run again"
)
ONEDNN_TEXT = "could not create a primitive"
"""oneDNN's message without memory, and for a layer that it does not support."""


def describe_system_error(error: Exception) -> str | None:
    """Return what is wrong and what to do; None for an error that a user cannot correct."""
    if is_out_of_memory(error) or ONEDNN_TEXT in str(error):
        return NO_MEMORY
    # Libraries in C, and those that are being imported, fail in any way when they get no memory.
    is_limited = resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY
    if is_limited and (isinstance(error, SystemError) or _is_from_import(error)):
        return NO_MEMORY
    if not isinstance(error, OSError) or error.errno not in SYSTEM_ERRORS:
        return None
    return f"{error.filename or 'results/'}: {SYSTEM_ERRORS[error.errno]}"


def _is_from_import(error: Exception) -> bool:
    """Return whether a module other than the program was being run when the error was raised."""
    frames = (frame for frame, _ in walk_tb(error.__traceback__))
    return any(
        frame.f_code.co_name == "<module>" and frame.f_globals.get("__name__") != "__main__"
        for frame in frames
    )
