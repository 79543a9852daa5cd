"""Staged results of a training: published whole, by the training that made them, or not at all."""

import pytest

from resomap.training.publish import FINGERPRINT_FILE, StagedResults

NAMES = ("best.safetensors", "history.csv")


@pytest.fixture
def staged(tmp_path):
    results = StagedResults(
        tmp_path / "done", "this", tuple(tmp_path / "out" / n for n in NAMES)
    )
    (tmp_path / "out").mkdir()
    with results.writing() as drafts:
        for draft in drafts:
            draft.write_bytes(b"content of " + draft.name.encode())
    return results


def test_staged_results_are_finished_and_published(staged):
    assert staged.is_finished
    staged.publish()
    for output in staged.outputs:
        assert output.read_bytes() == b"content of " + output.name.encode()


def test_results_of_another_training_are_not_finished(staged):
    other = StagedResults(staged.folder, "other", staged.outputs)
    assert not other.is_finished


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("content", [b"", b"content", b"another content"])
def test_damaged_staged_result_is_not_published(staged, capsys, name, content):
    (staged.folder / name).write_bytes(content)
    assert not staged.is_finished
    assert f"warning: {staged.folder} is damaged" in capsys.readouterr().err


def test_missing_staged_result_is_not_published(staged):
    (staged.folder / NAMES[0]).unlink()
    assert not staged.is_finished


@pytest.mark.parametrize("content", [b"", b"this", b"\xff"])
def test_damaged_mark_is_not_finished(staged, content):
    (staged.folder / FINGERPRINT_FILE).write_bytes(content)
    assert not staged.is_finished
