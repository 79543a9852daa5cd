"""An explaining script as people write it today: Grad-CAM by pytorch_grad_cam, Integrated Gradients and saliency by captum."""

import argparse
from pathlib import Path

import numpy as np
import torch
from captum.attr import IntegratedGradients, Saliency
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn
from torch.utils.data import DataLoader, Subset
from torchvision import datasets, transforms

from resomap.models.inspect import (
    get_target_layer_for_gradcam,
)  # only for the same network and the same layer
from resomap.models.registry import load_model_from_config

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def get_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder with test/, one folder a class in it")
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--pictures", type=int, default=96)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--ig-steps", type=int, default=16)
    parser.add_argument("--device", default="cpu")
    return parser.parse_args()


def get_pictures(args: argparse.Namespace) -> DataLoader:
    """Every n-th picture of the test split, so that all classes are among them."""
    steps = [
        transforms.Resize((args.size, args.size)),
        transforms.ToTensor(),
        transforms.Normalize(MEAN, STD),
    ]
    dataset = datasets.ImageFolder(args.data / "test", transforms.Compose(steps))
    chosen = np.linspace(0, len(dataset) - 1, min(args.pictures, len(dataset))).astype(int)
    return DataLoader(Subset(dataset, chosen.tolist()), batch_size=args.batch_size)


def explain(
    args: argparse.Namespace,
    model: nn.Module,
    cam: GradCAM,
    images: torch.Tensor,
    labels: torch.Tensor,
) -> dict[str, np.ndarray]:
    """The maps of one batch."""
    gradcam = cam(
        input_tensor=images,
        targets=[ClassifierOutputTarget(label) for label in labels.tolist()],
    )
    gradients = IntegratedGradients(model).attribute(
        images, target=labels, n_steps=args.ig_steps, internal_batch_size=args.batch_size
    )
    saliency = Saliency(model).attribute(images.requires_grad_(), target=labels)
    return {
        "gradcam": gradcam,
        "integrated_gradients": gradients.sum(1).detach().cpu().numpy(),
        "saliency": saliency.amax(1).detach().cpu().numpy(),
    }


def main() -> None:
    """Explain the pictures and write one archive of maps."""
    args = get_args()
    loader = get_pictures(args)
    model = load_model_from_config(args.model, len(loader.dataset.dataset.classes))
    model.load_state_dict(torch.load(args.weights, map_location="cpu", weights_only=True))
    model.to(args.device).eval()
    with GradCAM(
        model=model, target_layers=[get_target_layer_for_gradcam(model, resolution=args.size)]
    ) as cam:
        maps = [
            explain(args, model, cam, images.to(args.device), labels.to(args.device))
            for images, labels in loader
        ]
    args.out.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        args.out, **{name: np.concatenate([batch[name] for batch in maps]) for name in maps[0]}
    )


if __name__ == "__main__":
    main()
