import pytest

from resomap.workflow.predictions import MODES, logits_name, stored_logits


def test_logits_as_trained_keep_their_name():
    assert logits_name(96) == logits_name(96, "raw") == "logits_r96"
    assert logits_name(96, "bn") == "logits_bn_r96"


def test_stored_logits_are_found_by_mode_and_resolution():
    names = [
        "label",
        "logits_r96",
        "logits_bn_r24",
        "index",
        "logits_r24",
        "logits_finetune_r8",
    ]
    assert stored_logits(names) == [("raw", 24), ("raw", 96), ("bn", 24), ("finetune", 8)]


@pytest.mark.parametrize("mode", MODES)
def test_names_are_read_back(mode):
    assert stored_logits([logits_name(384, mode)]) == [(mode, 384)]
