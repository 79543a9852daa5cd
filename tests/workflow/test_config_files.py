"""What Snakemake reads of the configuration agrees with `resomap check`."""

import pytest


def test_screen_begins_with_the_request(checkout):
    run = checkout.snakemake("-n", "--quiet", "rules")
    assert run.returncode == 0, run.stderr
    assert "is extended by additional config" not in run.stdout + run.stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"training: {epochs: 2}\ntraining: {epochs: 3}\n",
            "line 2: the key 'training' is written",
        ),
        (b"experiment: {name: caf\xe9}\n", "line 1: cannot be read: byte 0xe9 is not UTF-8"),
        (
            b"__use_yte__: true\n__definitions__:\n  - import os\n  - os.mkdir('RAN')\n",
            "line 1: __use_yte__ would run code of this file",
        ),
    ],
)
def test_unreadable_file_is_refused_before_snakemake_reads_it(checkout, content, message):
    (checkout.path / "bad.yaml").write_bytes(content)
    run = checkout.snakemake("-n", "--configfile", "bad.yaml", smoke=False)
    output = run.stdout + run.stderr
    assert run.returncode == 1
    assert f"error: bad.yaml, {message}" in output
    assert "Traceback" not in output
    assert not (checkout.path / "RAN").exists()


def test_nested_numbers_of_the_command_line_are_numbers(checkout):
    arguments = ("--config", "training={epochs: 2}", "sweep={seeds: [5, 6, 7]}")
    run = checkout.snakemake("-n", "--quiet", "rules", *arguments)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "train_run                   6" in run.stdout + run.stderr


def test_bad_networks_end_the_sweep_before_any_image(checkout):
    models = {
        "mine": {"family": "other", "builder": "resnet19"},
        "vit": {"family": "other", "builder": "vit_b_16"},
    }
    overlay = {"models": models, "sweep": {"models": ["tiny_cnn", "mine", "vit"]}}
    run = checkout.snakemake("--cores", "1", overlay=overlay)
    output = run.stdout + run.stderr
    assert run.returncode == 1
    assert "models.mine.builder: unknown builder 'resnet19'; did you mean resnet18?" in output
    assert (
        "sweep.resolutions: vit takes multiples of its patch of 16 px, and 24 is none" in output
    )
    assert not (checkout.path / "results" / "data").exists()
    assert not (checkout.path / "results" / "checked_networks.json").exists()
