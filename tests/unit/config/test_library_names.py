import subprocess
import sys

import pytest

from resomap.config.library_names import (
    find_model,
    matching_names,
    model_names,
    registered_names,
)
from resomap.errors import ConfigError


@pytest.fixture
def models(config):
    return config.models


def test_names_are_those_of_the_libraries():
    import timm
    from torchvision import models

    assert list(registered_names("timm")) == sorted(timm.list_models())
    assert list(registered_names("torchvision")) == sorted(models.list_models(module=models))
    assert registered_names("no_such_library") == ()


def test_names_are_read_without_an_import_of_the_libraries():
    program = (
        "import sys; from resomap.config.library_names import matching_names; "
        "assert len(matching_names('*', [])) > 1000; "
        "sys.exit(any(name in sys.modules for name in ('torch', 'timm', 'torchvision')))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("tiny_cn", ["tiny_cnn"]),
        ("regnet_y_8*f", ["torchvision/regnet_y_800mf", "torchvision/regnet_y_8gf"]),
        (
            "timm/convnext_at*",
            ["timm/convnext_atto", "timm/convnext_atto_ols", "timm/convnext_atto_rms"],
        ),
    ],
)
def test_pattern_matches_with_and_without_the_library(models, pattern, found):
    assert matching_names(pattern, models) == found


def test_pattern_without_a_match_gets_a_suggestion(models):
    with pytest.raises(
        ConfigError, match=r"no model matches 'resnet81'; did you mean resnet18\?"
    ):
        matching_names("resnet81", models)


def test_exact_name_is_a_model_and_a_part_of_one_is_none(models):
    assert find_model("tiny_cnn", models).builder == "tiny_cnn"
    assert find_model("timm/convnext_atto", models).name == "timm_convnext_atto"
    assert find_model("nets:make", models).family == "own"
    assert find_model("timm/convnext", models) is None
    assert "torchvision/vit_b_16" in model_names(models)
