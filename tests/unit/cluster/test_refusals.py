import pytest

from resomap.cluster.refusals import find_refusal

# As the plugin for SLURM (2.8) reports a failed sbatch.
REPORT = (
    "SLURM sbatch failed. The error message was '{}'.\n    sbatch call:\n        sbatch "
    "--job-name x -A 'invalid account' --mem 8192 --wrap=\"timed out\"\n"
)
GENERAL = "sbatch: error: Batch job submission failed: "


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (
            "sbatch: error: Memory specification can not be satisfied\n"
            f"{GENERAL}Requested node configuration is not available",
            "Memory specification can not be satisfied",
        ),
        (
            "sbatch: error: CPU count per node can not be satisfied\n"
            f"{GENERAL}Requested node configuration is not available",
            "CPU count per node can not be satisfied",
        ),
        (
            f"{GENERAL}More processors requested than permitted",
            "More processors requested than permitted",
        ),
        (
            f"{GENERAL}Requested node configuration is not available",
            "Requested node configuration is not available",
        ),
        (
            "sbatch: error: invalid partition specified: gpuu\n"
            f"{GENERAL}Invalid partition name specified",
            "invalid partition specified: gpuu",
        ),
        (
            f"{GENERAL}Invalid account or account/partition combination specified",
            "Invalid account or account/partition combination specified",
        ),
        (f"{GENERAL}Invalid qos specification", "Invalid qos specification"),
        (
            f"{GENERAL}Invalid generic resource (gres) specification",
            "Invalid generic resource (gres) specification",
        ),
        (f"{GENERAL}Invalid feature specification", "Invalid feature specification"),
        (
            f"{GENERAL}Requested time limit is invalid (missing or exceeds some limit)",
            "Requested time limit is invalid (missing or exceeds some limit)",
        ),
        (
            f"{GENERAL}User's group not permitted to use this partition",
            "User's group not permitted to use this partition",
        ),
        (
            "sbatch: error: QOSMaxCpuPerJobLimit\n"
            f"{GENERAL}Job violates accounting/QOS policy (job submit limit, user's size and/or "
            "time limits)",
            "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)",
        ),
    ],
)
def test_refusal_of_sbatch_is_found_with_its_first_reason(output, reason):
    assert find_refusal(REPORT.format(output)) == reason


def test_account_rejected_by_the_plugin_is_a_refusal():
    message = (
        "Job submission failed with exception: The given account lab appears to be invalid. "
        "Available accounts:\nphysics"
    )
    assert find_refusal(message).startswith("The given account lab appears to be invalid")


@pytest.mark.parametrize(
    "message",
    [
        "",
        "SLURM-job '12' failed, SLURM status is: 'TIMEOUT'. Invalid account",
        "SLURM-job '12' failed, SLURM status is: 'OUT_OF_MEMORY'. ",
        REPORT.format(f"{GENERAL}Socket timed out on send/recv operation"),
        REPORT.format("sbatch: error: Unable to contact slurm controller (connect failure)"),
        REPORT.format(
            f"{GENERAL}Slurm temporarily unable to accept job, sleeping and retrying"
        ),
        REPORT.format(
            "sbatch: error: AssocMaxSubmitJobLimit\n"
            f"{GENERAL}Job violates accounting/QOS policy (job submit limit, user's size and/or "
            "time limits)"
        ),
        REPORT.format("sbatch: error: something that nobody has seen"),
    ],
)
def test_other_failures_are_retried(message):
    assert find_refusal(message) == ""
