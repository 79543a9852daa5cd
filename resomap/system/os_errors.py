"""Errors of the operating system that a user can correct, in their words."""

import errno

WRITABLE = (
    "give your user access (`ls -ld` shows the owner), or use another folder with "
    "`snakemake --directory DIR`"
)
NO_SPACE = "no space left; what was saved is complete: free some space and run again"
SYSTEM_ERRORS = {
    errno.ENOSPC: NO_SPACE,
    errno.EDQUOT: f"over quota, {NO_SPACE}",
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
    errno.ENOTDIR: ("a folder of this path is a file: move or remove that file, and run again"),
    errno.EMFILE: "too many open files: raise the limit (`ulimit -n 4096`) and run again",
    errno.ENFILE: "the machine has too many open files: run again when it has fewer",
}
"""Errors of the operating system that a user can correct, and how."""
