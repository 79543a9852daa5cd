"""The textbook's training in Lightning: the same loaders, network, optimizer and schedule."""

import time

import lightning
import pandas as pd
import torch
from torch import nn

from benchmarks.textbook.train import get_args, get_loader, get_optimizer
from resomap.models.registry import load_model_from_config  # only for the same model


class Classifier(lightning.LightningModule):
    """The network with its steps, and the time of each epoch of training."""

    def __init__(self, args, model, steps):
        super().__init__()
        self.args, self.model, self.steps = args, model, steps
        self.criterion = nn.CrossEntropyLoss(label_smoothing=args.label_smoothing)
        self.rows, self.outputs, self.seen, self.rate = [], [], 0, 0.0

    def configure_optimizers(self):
        """Return the textbook's optimizer and its schedule of every step."""
        optimizer, scheduler = get_optimizer(self.args, self.model, self.steps)
        return [optimizer], [{"scheduler": scheduler, "interval": "step"}]

    def on_train_epoch_start(self):
        """Start the clock."""
        self.seen, self.started = 0, time.perf_counter()

    def training_step(self, batch, _index):
        """Return the loss of a batch."""
        images, labels = batch
        self.seen += len(labels)
        return self.criterion(self.model(images), labels)

    def on_validation_start(self):
        """Stop the clock: validation runs at the end of the epoch."""
        if self.args.device != "cpu":
            torch.cuda.synchronize()
        self.rate = self.seen / (time.perf_counter() - self.started)
        self.outputs = []

    def validation_step(self, batch, _index):
        """Keep the logits of a batch."""
        images, labels = batch
        self.outputs.append((self.model(images).float().cpu(), labels.cpu()))

    def on_validation_epoch_end(self):
        """Write history.csv."""
        logits, truth = (torch.cat(parts) for parts in zip(*self.outputs, strict=True))
        scores = {
            "images_per_second": self.rate,
            "val_loss": nn.functional.cross_entropy(logits, truth).item(),
            "val_accuracy": (logits.argmax(1) == truth).float().mean().item(),
        }
        self.rows.append({"epoch": len(self.rows), **scores})
        pd.DataFrame(self.rows).to_csv(self.args.out / "history.csv", index=False)


def main(arguments=None):
    """Train."""
    args = get_args(arguments)
    args.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    train_loader, val_loader = get_loader(args, "train"), get_loader(args, "val")
    model = load_model_from_config(args.model, len(train_loader.dataset.classes))
    trainer = lightning.Trainer(
        max_epochs=args.epochs,
        accelerator="gpu" if args.device == "cuda" else "cpu",
        devices=1,
        precision="bf16-mixed" if args.amp else "32-true",
        benchmark=True,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=args.out,
    )
    trainer.fit(Classifier(args, model, len(train_loader)), train_loader, val_loader)


if __name__ == "__main__":
    main()
