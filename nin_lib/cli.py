"""The commands: `nin shapes`, `nin data`, `nin train`. Also `python -m nin_lib`.

A framework is loaded only by the command that trains.
"""

from __future__ import annotations

import argparse
import codecs
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from . import __version__
from .flow import text_table, totals
from .networks import NETWORKS, network
from .recipe import RECIPES, SIZES, recipe

PLAIN = {"×": "x", "→": "->", "–": "-", "—": "-", "…": "..."}  # for encodings without them


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit status: 0, or 2 when what was asked for can't be done, or 141 when the output was
        piped to a program that ended first (`nin shapes | head -1`), as with other Unix commands.
    """
    print_in_any_encoding()
    try:
        try:
            options = parser().parse_args(arguments)
            options.run(options)
        finally:
            if sys.stdout:  # None where it is closed
                sys.stdout.flush()
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())  # because Python flushes once more at its end
        return 141
    except (ValueError, OSError, FloatingPointError, MemoryError) as error:
        print(f"nin: {error}", file=sys.stderr)
        return 2
    return 0


def print_in_any_encoding() -> None:
    """Let the standard streams replace characters that their encoding lacks: × becomes x."""
    codecs.register_error("nin-plain", plain_characters)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="nin-plain")


def plain_characters(error: UnicodeError) -> tuple[str, int]:
    """Handle an encoding error: return the text to print instead, and where to go on."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    return "".join(PLAIN.get(character, "?") for character in missing), error.end


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="nin", description="Network in Network, step by step.")
    top.add_argument("--version", action="version", version=f"nin {__version__}")
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
    train.add_argument("--precision", help="float32, bfloat16 or float16; by rule when left out")
    train.add_argument("--folder", help="the full set's four files")
    train.add_argument("--download", action="store_true", help="fetch the full set if need be")
    train.add_argument("--compile", action="store_true", help="torch.compile the network")
    train.add_argument("--tune", action="store_true", help="try precisions and layouts first")
    train.add_argument("--out", metavar="RUN", help="keep checkpoints, history and weights in RUN")
    train.add_argument("--resume", metavar="RUN", help="go on with the unfinished run in RUN")
    train.add_argument("--anyway", action="store_true", help="even where that is not exact")
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
    if options.resume:
        take_up(options)
    size = SIZES[options.size]
    import torch

    from . import torch as nin
    from .data import load
    from .engine.device import fastest, plan
    from .engine.distributed import launched, local_device, team
    from .train import evaluate, fit, to_input

    if options.tune and launched():
        raise ValueError(
            "--tune is for one process: several would time, and choose, each for itself; "
            "give --precision in its place"
        )
    chosen = plan(local_device(options.device), options.precision, options.compile)
    how = recipe(options.recipe)
    data = load(size.data, options.folder, options.download)
    model = nin.build(network(size.network), how, options.seed)
    if options.tune:
        first = data.train.first(options.batch_size or size.batch_size)
        images = to_input(torch.tensor(first.images), size.input_size)
        chosen = fastest(model, images, chosen)
    with team(chosen.device) as ranks:
        if ranks.leads:
            print(f"{size.network} on {data.name} Fashion-MNIST, recipe {options.recipe}: {chosen}")
        history = fit(
            model, data, how,
            epochs=size.epochs if options.epochs is None else options.epochs,
            batch_size=size.batch_size if options.batch_size is None else options.batch_size,
            input_size=size.input_size, seed=options.seed, plan=chosen, out=options.out,
            resume="anyway" if options.anyway else "exact",
            notes={"size": options.size, "recipe": options.recipe},
        )  # fmt: skip
        if not ranks.leads:
            return
    if len(history.rows) < history.about["epochs"]:
        return
    loss, accuracy = evaluate(model, data.test, size.input_size, plan=chosen)
    print(f"test images: loss {loss:.3f}, accuracy {accuracy:.3f}")


def take_up(options: argparse.Namespace) -> None:
    """Fill in the options of the unfinished run in the folder that --resume names."""
    from .engine.checkpoint import CheckpointError, load

    checkpoint = load(Path(options.resume))
    if checkpoint is None:
        raise CheckpointError(f"--resume {options.resume}: there is no checkpoint in this folder")
    if checkpoint.state["finished"]:
        raise CheckpointError(f"--resume {options.resume}: this run is finished")
    for name in ("epochs", "batch_size", "out"):
        if getattr(options, name) is not None:
            raise CheckpointError(f"--{name.replace('_', '-')} does not go with --resume")
    about = checkpoint.state["history"]["about"]
    if not {"size", "recipe"} <= set(about["notes"]):
        raise CheckpointError(
            f"--resume {options.resume}: this run was not started by nin train; "
            "it goes on by the call of fit() that began it"
        )
    options.out, options.seed = options.resume, about["seed"]
    options.size, options.recipe = about["notes"]["size"], about["notes"]["recipe"]
    options.epochs, options.batch_size = about["epochs"], about["batch_size"]
    options.precision = options.precision or about["plan"]["precision"]
