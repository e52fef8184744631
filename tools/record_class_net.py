"""Train the network that comes with the package: `python tools/record_class_net.py`.

The paper's MNIST network on the full Fashion-MNIST at 28×28, with the default recipe at a rate of
0.05, which was its rate when these weights were made. They go to
nin_lib/recorded/paper-mnist.safetensors as 16-bit floats, with what they come from in the file's
metadata. Takes some minutes; needs the full set (`nin data --download`).
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file

from nin_lib import network
from nin_lib import torch as nin
from nin_lib.data import load
from nin_lib.progress import Lines
from nin_lib.recipe import recipe
from nin_lib.train import evaluate, fit

TARGET = Path(__file__).parents[1] / "nin_lib" / "recorded" / "paper-mnist.safetensors"
EPOCHS, BATCH_SIZE, SEED = 5, 64, 0


def main() -> None:
    data, how = load("full"), replace(recipe("default"), learning_rate=0.05)
    model = nin.build(network("paper-mnist"), how, SEED)
    history = fit(
        model, data, how, epochs=EPOCHS, batch_size=BATCH_SIZE, seed=SEED, observers=[Lines()]
    )
    model.half().float()  # what the file will hold, and what is judged
    loss, accuracy = evaluate(model, data.val)
    about = history.about.to_dict() | {
        "network": "paper-mnist", "rows": history.rows,
        "stored": "float16", "val_loss": loss, "val_accuracy": accuracy,
    }  # fmt: skip
    weights = {name: tensor.to(torch.float16) for name, tensor in model.state_dict().items()}
    weights = {name: tensor.contiguous() for name, tensor in weights.items()}
    save_file(weights, TARGET, metadata={"about": json.dumps(about)})
    print(f"{TARGET.name}: accuracy on the held-out images {accuracy:.4f}")


if __name__ == "__main__":
    main()
