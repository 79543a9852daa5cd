import pytest

from resomap.config.architecture import builder_family, builder_slug, described_by_builder
from resomap.config.load import build_config, merge
from resomap.config.sweep_checks import find_architecture
from resomap.workflow.targets import run_files


@pytest.mark.parametrize(
    ("builder", "slug", "family"),
    [
        ("timm/convnext_atto", "timm_convnext_atto", "convnext"),
        ("torchvision/regnet_y_400mf", "torchvision_regnet_y_400mf", "regnet"),
        ("timm/mobilenetv3_large_100", "timm_mobilenetv3_large_100", "mobilenet"),
        ("timm/vit_tiny_patch16_224", "timm_vit_tiny_patch16_224", "vit"),
        ("timm/tf_efficientnet_lite0", "timm_tf_efficientnet_lite0", "efficientnet"),
        ("nets:make", "nets_make_a4ffb8d9", "own"),
    ],
)
def test_builder_has_a_name_for_paths_and_a_family(builder, slug, family):
    assert (builder_slug(builder), builder_family(builder)) == (slug, family)


def test_different_builders_have_different_names():
    builders = ["a:b_c", "a_b:c", "a.b:c", "A.b:c", "timm/a.b", "timm/a_b", "torchvision/a_b"]
    builders += [f"{'x' * 100}:f", f"{'x' * 101}:f", "_1:a", "__1:a"]
    slugs = [builder_slug(builder) for builder in builders]
    assert len(set(slugs)) == len(builders)
    assert all(slug[0].isalpha() and len(slug) <= 64 for slug in slugs)


def test_sweep_names_a_builder_without_an_entry(defaults):
    sweep = {"models": ["timm/convnext_atto", "tiny_cnn"], "seeds": [0], "resolutions": [24]}
    config = build_config(merge(defaults, {"sweep": sweep}))
    found = find_architecture(config.models, "timm/convnext_atto")
    assert found == find_architecture(config.models, "timm_convnext_atto")
    assert found.builder == "timm/convnext_atto"
    assert described_by_builder(found)
    assert not described_by_builder(find_architecture(config.models, "tiny_cnn"))
    assert run_files(config, "{family}/{model}") == [
        "convnext/timm_convnext_atto",
        "custom/tiny_cnn",
    ]
