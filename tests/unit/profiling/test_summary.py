import torch

from resomap.models import load_model_from_config
from resomap.profiling.summary import count_macs, summarise


def test_summary_holds_all_layers_and_totals():
    model = load_model_from_config("tiny_cnn", num_classes=8)
    text, record = summarise(model, 24)
    assert "Conv2d" in text
    assert record["num_parameters"] == sum(map(torch.numel, model.parameters()))
    assert record["macs"] == count_macs(model, 24)
    layers = [layer for layer in record["layers"] if layer["kind"] in ("Conv2d", "Linear")]
    biases = 8  # torchinfo counts them as operations
    assert sum(layer["macs"] for layer in layers) == record["macs"] + biases
    assert layers[-1]["output_size"] == [1, 8]


def test_count_macs_is_public():
    from resomap import profiling

    assert profiling.count_macs is count_macs
