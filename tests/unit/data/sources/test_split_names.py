import pytest

from resomap.data.sources.split_names import mentioned_split, parse_split


@pytest.mark.parametrize(
    ("split", "names"),
    [
        ("train", ["train", "Train", "TRAINING", "training_set", "train-images", "trainset"]),
        (
            "train",
            ["TrainSet", "train2017", "Train Data", "images_train", "seg_train", "trainval"],
        ),
        (
            "val",
            ["val", "Valid", "VALIDATION", "val_set", "dev", "validation-images", "val2017"],
        ),
        (
            "test",
            ["test", "Testing", "test_set", "testset", "Test Images", "test1", "TestData"],
        ),
    ],
)
def test_common_form_is_its_split(split, names):
    assert {name: parse_split(name) for name in names} == dict.fromkeys(names, split)


@pytest.mark.parametrize(
    "name",
    ["tram", "contest", "strain", "evaluate_me", "test_tube", "trainA", "images", "", "1"],
)
def test_other_name_is_no_split(name):
    assert parse_split(name) is None


def test_split_is_mentioned_beside_other_words():
    names = ["trainA", "testB", "cats", "latest"]
    assert [mentioned_split(name) for name in names] == ["train", "test", None, None]
