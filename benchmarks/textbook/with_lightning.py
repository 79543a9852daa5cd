"""The textbook's training by Lightning's Trainer, left at its defaults: its logger, progress bar and sanity check."""

import argparse
import csv
import time
from pathlib import Path
from typing import Any

import lightning as pl
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from resomap.models.registry import load_model_from_config  # only for the same network

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def get_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    return parser.parse_args()


def get_loader(args: argparse.Namespace, split: str) -> DataLoader:
    """Batches of one split."""
    first = transforms.Resize((args.size, args.size))
    changed = transforms.Compose(
        [transforms.RandomResizedCrop(args.size), transforms.RandomHorizontalFlip()]
    )
    train = split == "train"
    steps = [
        changed if train else first,
        transforms.ToTensor(),
        transforms.Normalize(MEAN, STD),
    ]
    dataset = datasets.ImageFolder(args.data / split, transforms.Compose(steps))
    settings = {
        "num_workers": args.workers,
        "pin_memory": args.device != "cpu",
        "persistent_workers": args.workers > 0,
    }
    return DataLoader(dataset, batch_size=args.batch_size, shuffle=train, **settings)


class Classifier(pl.LightningModule):
    """A network, its loss and its optimizer."""

    def __init__(self, name: str, classes: int, epochs: int, steps: int) -> None:
        super().__init__()
        self.model, self.epochs, self.steps = (
            load_model_from_config(name, classes),
            epochs,
            steps,
        )
        self.criterion = nn.CrossEntropyLoss(label_smoothing=0.05)

    def training_step(self, batch: Any, number: int) -> torch.Tensor:
        """The loss of one batch."""
        images, labels = batch
        loss: torch.Tensor = self.criterion(self.model(images), labels)
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: Any, number: int) -> None:
        """Loss and accuracy of one batch."""
        images, labels = batch
        logits = self.model(images)
        self.log("val_loss", nn.functional.cross_entropy(logits, labels), prog_bar=True)
        self.log("val_accuracy", (logits.argmax(1) == labels).float().mean(), prog_bar=True)

    def configure_optimizers(self) -> dict[str, Any]:
        """AdamW without decay of norms and biases, a cosine after an epoch of warm-up, stepped every batch."""
        groups = [
            {"params": [p for p in self.parameters() if p.ndim >= 2], "weight_decay": 0.01},
            {"params": [p for p in self.parameters() if p.ndim < 2], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=0.005)
        warm = LinearLR(
            optimizer, start_factor=1 / self.steps, total_iters=max(1, self.steps - 1)
        )
        cosine = CosineAnnealingLR(optimizer, max(1, self.steps * (self.epochs - 1)))
        scheduler = SequentialLR(optimizer, [warm, cosine], [self.steps])
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }


class History(Callback):
    """One row an epoch, as the other scripts write it."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []
        self.start = self.end = 0.0
        self.seen = 0

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Start the clock."""
        self.start, self.seen = time.perf_counter(), 0

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        number: int,
    ) -> None:
        """Count the pictures."""
        self.seen += len(batch[1])
        self.end = time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Keep the row; the validation has run."""
        scores = {
            name: float(trainer.callback_metrics[name]) for name in ("val_loss", "val_accuracy")
        }
        rate = self.seen / (self.end - self.start)
        self.rows.append({"epoch": trainer.current_epoch, "images_per_second": rate, **scores})


def main() -> None:
    """Train and write the history."""
    args = get_args()
    args.out.mkdir(parents=True, exist_ok=True)
    pl.seed_everything(0)
    train_loader, val_loader = get_loader(args, "train"), get_loader(args, "val")
    classifier = Classifier(
        args.model, len(train_loader.dataset.classes), args.epochs, len(train_loader)
    )
    history = History()
    trainer = pl.Trainer(
        max_epochs=args.epochs,
        accelerator="gpu" if args.device == "cuda" else "cpu",
        devices=1,
        default_root_dir=args.out,
        callbacks=[history, ModelCheckpoint(args.out, monitor="val_loss")],
    )
    trainer.fit(classifier, train_loader, val_loader)
    with (args.out / "history.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, history.rows[0])
        writer.writeheader()
        writer.writerows(history.rows)


if __name__ == "__main__":
    main()
