import numpy as np
import pytest
import torch
from torchvision.models import ResNet18_Weights, resnet18

from resomap.errors import ConfigError, ResoMapError
from resomap.models.registry import build_model, load_architectures
from resomap.training.build import class_weights, load_initial_weights
from resomap.training.checkpoint import save_weights

NETWORKS = load_architectures()


def built(name: str, num_classes: int):
    torch.manual_seed(3)
    return build_model(NETWORKS[name], num_classes)


def test_fresh_weights_stay_fresh():
    model = built("tiny_cnn", 4)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    load_initial_weights(model, NETWORKS["tiny_cnn"], "random")
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("classes", [4, 7])
def test_a_training_starts_from_an_earlier_one_and_a_head_for_other_classes_is_fresh(
    tmp_path, classes
):
    torch.manual_seed(9)
    earlier = build_model(NETWORKS["tiny_cnn"], 4).state_dict()
    save_weights(tmp_path / "best.safetensors", earlier, {"status": "ok"})
    model, fresh = built("tiny_cnn", classes), built("tiny_cnn", classes).state_dict()
    load_initial_weights(model, NETWORKS["tiny_cnn"], str(tmp_path / "best.safetensors"))
    for name, tensor in model.state_dict().items():
        assert torch.equal(
            tensor, earlier[name] if earlier[name].shape == tensor.shape else fresh[name]
        )


def test_torchvisions_weights_come_from_where_torch_keeps_them(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    torch.manual_seed(9)
    published = resnet18().state_dict()
    path = tmp_path / "hub" / "checkpoints" / ResNet18_Weights.DEFAULT.url.rsplit("/", 1)[1]
    path.parent.mkdir(parents=True)
    torch.save(published, path)
    model = built("resnet18", 5)
    load_initial_weights(model, NETWORKS["resnet18"], "pretrained")
    assert torch.equal(
        model.state_dict()["layer4.1.conv2.weight"], published["layer4.1.conv2.weight"]
    )
    assert model.fc.weight.shape == (5, 512)


def test_weights_of_another_network_are_refused_by_name(tmp_path):
    save_weights(
        tmp_path / "best.safetensors", built("simple_cnn", 4).state_dict(), {"status": "ok"}
    )
    with pytest.raises(
        ConfigError,
        match=r"training\.start: .*best.safetensors does not fit tiny_cnn: .* differs",
    ):
        load_initial_weights(
            built("tiny_cnn", 4), NETWORKS["tiny_cnn"], str(tmp_path / "best.safetensors")
        )


@pytest.mark.parametrize("content", [None, b"no weights"])
def test_a_file_that_holds_no_weights_is_named(tmp_path, content):
    path = tmp_path / "best.safetensors"
    if content:
        path.write_bytes(content)
    with pytest.raises(
        ResoMapError, match=r"training\.start: .*best.safetensors cannot be read"
    ):
        load_initial_weights(built("tiny_cnn", 4), NETWORKS["tiny_cnn"], str(path))


def test_a_training_that_diverged_is_no_start(tmp_path):
    save_weights(tmp_path / "best.safetensors", {}, {"status": "diverged"})
    with pytest.raises(ConfigError, match="holds no weights: that training is diverged"):
        load_initial_weights(
            built("tiny_cnn", 4), NETWORKS["tiny_cnn"], str(tmp_path / "best.safetensors")
        )


def test_a_network_of_our_own_has_no_published_weights():
    with pytest.raises(ConfigError, match="torchvision has no weights for tiny_cnn"):
        load_initial_weights(built("tiny_cnn", 4), NETWORKS["tiny_cnn"], "pretrained")


def test_balanced_weights_are_scikit_learns():
    from sklearn.utils.class_weight import compute_class_weight

    labels = torch.tensor([0] * 7 + [1] * 2 + [2])
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels.numpy())
    torch.testing.assert_close(class_weights(labels, 3), torch.from_numpy(expected).float())
