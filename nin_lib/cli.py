"""The commands: `nin shapes`, `nin data`, `nin train`. Also `python -m nin_lib`.

A framework is loaded only by the command that trains.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .flow import text_table, totals
from .history import History
from .networks import NETWORKS, network
from .recipe import RECIPES, SIZES, recipe

if TYPE_CHECKING:
    from torch import nn


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0, or 2 when what was asked for can't be done."""
    options = parser().parse_args(arguments)
    try:
        options.run(options)
    except (ValueError, OSError, FloatingPointError) as error:
        print(f"nin: {error}", file=sys.stderr)
        return 2
    return 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="nin", description="Network in Network, step by step.")
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    shapes = commands.add_parser("shapes", help="shape, parameters and cost of every layer")
    shapes.add_argument("net", nargs="?", default="chapter", help=", ".join(NETWORKS))
    shapes.add_argument("--input", type=int, metavar="N", help="side of the image in pixels")
    shapes.set_defaults(run=show_shapes)

    data = commands.add_parser("data", help="where the images are; fetch the full set")
    data.add_argument("--download", action="store_true", help="fetch the full set (31 MB)")
    data.add_argument("--folder", help="where its four files are, or are to go")
    data.set_defaults(run=show_data)

    train = commands.add_parser("train", help="train the network")
    train.add_argument("--size", choices=SIZES, default="class", help="class: a minute or so")
    train.add_argument("--recipe", choices=RECIPES, default="default")
    train.add_argument("--epochs", type=int, help="3 for class, 10 for full")
    train.add_argument("--batch-size", type=int, help="64 for class, 128 for full")
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--device", help="cpu, cuda, cuda:1, mps; by rule when left out")
    train.add_argument("--precision", help="float32 or bfloat16; by rule when left out")
    train.add_argument("--folder", help="the full set's four files")
    train.add_argument("--download", action="store_true", help="fetch the full set if need be")
    train.add_argument("--out", metavar="RUN", help="folder for the history and the weights")
    train.set_defaults(run=run_training)
    return top


def show_shapes(options: argparse.Namespace) -> None:
    net = network(options.net)
    size = net.input_size if options.input is None else options.input
    memory = totals(net, size).activation_mib
    print(text_table(net, size))
    image = f"{net.in_channels}×{size}×{size}"
    print(f"\n{options.net}, {image} input. One image has {memory:.2f} MiB of")
    print("activations (float32, the input included). Receptive field: side in pixels.")


def show_data(options: argparse.Namespace) -> None:
    from .data import find_full, load
    from .engine.download import download_full

    found = download_full(options.folder) if options.download else find_full(options.folder)
    for name in ("mini", "full") if found else ("mini",):
        data = load(name, found)
        counts = f"{len(data.train)} training, {len(data.val)} held-out, {len(data.test)} test"
        print(f"{name}: {counts}")
    print(f"full set: {found or 'not on this machine; nin data --download fetches it'}")


def run_training(options: argparse.Namespace) -> None:
    out = Path(options.out) if options.out else None
    if out:
        out.mkdir(parents=True, exist_ok=True)
    size = SIZES[options.size]
    from . import torch as nin
    from .data import load
    from .engine.device import plan
    from .train import evaluate, fit

    chosen, how = plan(options.device, options.precision), recipe(options.recipe)
    data = load(size.data, options.folder, options.download)
    model = nin.build(network(size.network), how, options.seed)
    print(f"{size.network} on {data.name} Fashion-MNIST, recipe {options.recipe}: {chosen}")
    history = fit(
        model, data, how,
        epochs=size.epochs if options.epochs is None else options.epochs,
        batch_size=size.batch_size if options.batch_size is None else options.batch_size,
        input_size=size.input_size, seed=options.seed, plan=chosen,
    )  # fmt: skip
    if out:
        save(model, history, out)
    if not history.rows:
        print("stopped before the first epoch was done")
        return
    loss, accuracy = evaluate(model, data.test, size.input_size, plan=chosen)
    print(f"test images: loss {loss:.3f}, accuracy {accuracy:.3f}")


def save(model: nn.Module, history: History, out: Path) -> None:
    """`history.json`, `history.csv` and `model.safetensors` in the folder `out`."""
    from safetensors.torch import save_model

    history.save(out / "history.json")
    history.save(out / "history.csv")
    save_model(model, str(out / "model.safetensors"))
    print(f"kept in {out}")
