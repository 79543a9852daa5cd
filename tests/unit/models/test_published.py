import socket
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from urllib.error import URLError

import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import resnet18

from resomap.errors import ConfigError, ResoMapError
from resomap.models import published as published_module
from resomap.models.published import find_published, weight_tags
from tests.optional_packages import require_packages

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """The folder of downloaded files, empty, without a network."""

    def fail(*_: object) -> None:
        raise URLError("Name or service not known")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("torch.hub.urlopen", fail)
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize(
    ("builder", "tag", "origin", "interpolation", "side"),
    [
        ("resnet18", "default", "torchvision IMAGENET1K_V1", "bilinear", 224),
        ("torchvision/resnet50", "default", "torchvision IMAGENET1K_V2", "bilinear", 224),
        ("resnet50", "IMAGENET1K_V1", "torchvision IMAGENET1K_V1", "bilinear", 224),
        ("efficientnet_b0", "default", "torchvision IMAGENET1K_V1", "bicubic", 224),
        (
            "vit_b_16",
            "IMAGENET1K_SWAG_E2E_V1",
            "torchvision IMAGENET1K_SWAG_E2E_V1",
            "bicubic",
            384,
        ),
    ],
)
def test_tag_brings_its_input(builder, tag, origin, interpolation, side):
    published = find_published(builder, tag)
    assert published.origin == origin
    normalisation = published.input.normalisation
    assert (normalisation.mean, normalisation.std) == IMAGENET
    assert (published.input.interpolation, published.input.resolution) == (interpolation, side)


def test_preferred_tag_is_listed_first():
    assert weight_tags("resnet50") == ["IMAGENET1K_V2", "IMAGENET1K_V1"]
    assert weight_tags("tiny_cnn") == []


@pytest.mark.parametrize(
    ("builder", "tag", "message"),
    [
        (
            "resnet50",
            "IMAGENET1K_V9",
            "pretrained: resnet50 has no weights 'IMAGENET1K_V9'; did you",
        ),
        ("tiny_cnn", "default", "there are no weights for tiny_cnn"),
        ("torchvision/nonsense", "default", "there are no weights for torchvision/nonsense"),
        ("mine.nets:make", "default", "there are no weights for mine.nets:make"),
    ],
)
def test_unknown_weights_are_one_line(builder, tag, message):
    with pytest.raises(ConfigError, match=message) as caught:
        find_published(builder, tag)
    assert "\n" not in str(caught.value)


def test_failed_download_names_address_and_place(cache):
    published = find_published("resnet18")
    with pytest.raises(ResoMapError) as caught:
        published.load()
    assert "\n" not in str(caught.value)
    for part in ("training.start", published.url, str(cache / Path(published.url).name)):
        assert part in str(caught.value)


@pytest.mark.parametrize("builder", ["resnet18", "timm/resnet10t"])
def test_server_that_never_answers_is_given_up(tmp_path, monkeypatch, builder):
    if builder.startswith("timm/"):
        require_packages("timm")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(published_module, "ANSWER_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        # It accepts, and sends nothing.
        url = f"http://127.0.0.1:{server.getsockname()[1]}/weights.pth"
        published = replace(find_published(builder), url=url)
        if builder == "resnet18":
            entry = SimpleNamespace(
                get_state_dict=lambda **options: torch.hub.load_state_dict_from_url(
                    url, **options
                )
            )
            published = replace(published, entry=entry)
        with pytest.raises(
            ResoMapError, match=r"cannot be downloaded \(.*timed out.*\): fetch"
        ):
            published.load()
    assert socket.getdefaulttimeout() is None


def test_damaged_download_is_named(cache):
    published = find_published("resnet18")
    published.path.write_bytes(b"torn")
    with pytest.raises(ResoMapError, match=r"resnet18-\w+\.pth cannot be read as torchvision"):
        published.load()


def test_file_put_into_cache_is_loaded(cache):
    weights = resnet18().state_dict()
    published = find_published("torchvision/resnet18")
    torch.save(weights, published.path)
    loaded = published.load()
    assert all(torch.equal(loaded[name], weights[name]) for name in weights)


class TestTimm:
    @pytest.fixture(autouse=True)
    def timm(self):
        require_packages("timm")
        import timm

        self.library = timm

    def test_preferred_tag_and_input_are_those_of_timm(self):
        published = find_published("timm/vit_tiny_patch16_224")
        assert published.origin == "timm augreg_in21k_ft_in1k"
        assert published.input.normalisation.mean == (0.5, 0.5, 0.5)
        assert published.input.interpolation == "bicubic"
        assert weight_tags("timm/vit_tiny_patch16_224")[0] == "augreg_in21k_ft_in1k"

    def test_tag_in_name_is_the_default(self):
        assert find_published("timm/resnet50.a1_in1k").tag == "a1_in1k"
        assert find_published("timm/resnet50.a1_in1k", "a2_in1k").tag == "a2_in1k"

    @pytest.mark.parametrize("builder", ["timm/nonsense", "timm/resnet50.nonsense"])
    def test_unknown_weights_are_one_line(self, builder):
        with pytest.raises(ConfigError, match="no weights"):
            find_published(builder)

    def test_file_put_into_cache_is_loaded(self, cache):
        weights = self.library.create_model("resnet10t").state_dict()
        published = find_published("timm/resnet10t")
        save_file(weights, published.path)
        loaded = published.load()
        assert all(torch.equal(loaded[name], weights[name]) for name in weights)

    def test_failed_download_names_address_and_place(self, cache):
        published = find_published("timm/resnet10t")
        with pytest.raises(ResoMapError) as caught:
            published.load()
        place = str(cache / f"resnet10t.{published.tag}.safetensors")
        for part in ("training.start", "https://huggingface.co/timm/resnet10t", place):
            assert part in str(caught.value)
