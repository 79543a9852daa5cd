"""Refusals of sbatch: which of its errors no second try with a larger request can mend."""

import re

SUBMITTED = re.compile(r"SLURM sbatch failed\. The error message was '(.*?)'\.\n", re.DOTALL)
RAISED = re.compile(
    r"(?:submission failed with exception: |submission failed\. The error message was )(.*)",
    re.DOTALL | re.IGNORECASE,
)
# From the messages of SLURM 20 to 25 (src/common/slurm_errno.c, and the options of sbatch).
PERMANENT = re.compile(
    r"can ?not be satisfied|more (processors|nodes|cpus) requested than permitted"
    r"|node configuration is not available|partition configuration not available"
    r"|invalid \S*\s*(partition|account|qos|feature|gres|generic resource|trackable"
    r"|wckey|license|node name|reservation|user id|job credential|--\S+)"
    r"|invalid (partition|account|qos|feature|generic|trackable|wckey|license|reservation)"
    r"|requested reservation is invalid|invalid --?\w+|unrecognized option"
    r"|time limit is invalid|node count specification invalid|nodes not in this partition"
    r"|not permitted to use this partition|no partition specified|access/permission denied"
    r"|access denied to requested reservation|memory required by task is not available"
    r"|account \S+ appears to be invalid|requested partition is (not available|down)"
    r"|required partition not available|exceeds? .*limit|violates accounting/qos policy",
    re.IGNORECASE,
)
TRANSIENT = re.compile(
    r"(Max|Grp)Submit|socket timed out|unable to contact|temporarily|timed out|try again"
    r"|connection refused|zero bytes",
    re.IGNORECASE,
)
"""A controller that is away, and a limit on the jobs in the queue: the next try may succeed."""


def find_refusal(message: str) -> str:
    """Return why SLURM refused a submission for good; blank for other failures of a job.

    `message` is that of Snakemake's plugin, which also ends jobs that ran with one.
    """
    match = SUBMITTED.search(message) or RAISED.search(message)
    if match is None or TRANSIENT.search(match[1]) or not PERMANENT.search(match[1]):
        return ""
    lines = [_shorten(line) for line in match[1].strip().splitlines()]
    # The last line is general ("Requested node configuration ..."), the first one is specific.
    return next((line for line in lines if PERMANENT.search(line)), lines[0])


def _shorten(line: str) -> str:
    """Return a line of sbatch without the names of the program and of its step."""
    return re.sub(
        r"^(sbatch: )?(error: )?(Batch job submission failed: )?", "", line.strip()
    ).rstrip(".")
