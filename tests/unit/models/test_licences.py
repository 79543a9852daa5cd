from dataclasses import replace

from resomap.models.licences import find_licence
from resomap.models.published import find_published
from tests.optional_packages import require_packages


def test_licence_of_torchvision_weights_is_stated_or_called_not_stated():
    plain = find_licence(find_published("resnet18", "IMAGENET1K_V1"))
    assert "none stated by torchvision" in plain
    assert "BSD-3-Clause" in plain
    assert "ImageNet" in plain
    swag = find_licence(find_published("vit_b_16", "IMAGENET1K_SWAG_E2E_V1"))
    assert swag.endswith("SWAG/blob/main/LICENSE, by torchvision")


def test_licence_of_timm_weights_is_that_of_their_configuration():
    require_packages("timm")
    published = find_published("timm/resnet10t")
    stated = published.entry.license
    assert stated
    assert find_licence(published) == f"{stated}, by timm's pretrained configuration"
    silent = replace(published, entry=replace(published.entry, license=None))
    assert find_licence(silent) is None
