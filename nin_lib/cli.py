"""The commands `nin shapes`, `nin data` and `nin train`, also `python -m nin_lib`.

A framework is loaded only by the command that trains.
"""

from __future__ import annotations

import argparse
import codecs
import io
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from . import __version__
from .flow import totals
from .networks import NETWORKS, network
from .recipe import RECIPES, SIZES, recipe
from .tables import text_table

PLAIN = {"×": "x", "→": "->", "–": "-", "—": "-", "…": "..."}  # for encodings without them
OF_THE_RUN = (  # options that cannot change when a run is resumed
    "size", "recipe", "epochs", "batch_size", "seed", "compile", "tune", "out", "overwrite",
)  # fmt: skip
INTERRUPTED = 130  # the exit status after Ctrl-C: 128 and the number of SIGINT


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit status: 0; 2 when what was asked for can't be done; 130 after an interrupt; 141
        when the output was piped to a program that ended first (`nin shapes | head -1`), as with
        other Unix commands.
    """
    print_in_any_encoding()
    try:
        try:
            options = parser().parse_args(arguments)
            status: int | None = options.run(options)
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
    except KeyboardInterrupt:
        print("nin: interrupted", file=sys.stderr)
        return INTERRUPTED
    return status or 0


def print_in_any_encoding() -> None:
    """Let the standard streams replace characters that their encoding lacks: × becomes x."""
    codecs.register_error("nin-plain", plain_characters)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="nin-plain")


def plain_characters(error: UnicodeError) -> tuple[str, int]:
    """Handle an encoding error: return the text to print instead, and where to continue."""
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
    data.add_argument("--folder", type=path, help="where its four files are, or are to go")
    data.set_defaults(run=show_data)

    train = commands.add_parser("train", help="train the network")
    train.add_argument("--size", choices=SIZES, help="class, a minute or so (the default); or full")
    train.add_argument("--recipe", choices=RECIPES, help="default when left out")
    train.add_argument("--epochs", type=int, help="3 for class, 10 for full")
    train.add_argument("--batch-size", type=int, help="64 for class, 128 for full")
    train.add_argument("--seed", type=int, help="0 when left out")
    train.add_argument("--device", help="cpu, cuda, cuda:1, mps; by rule when left out")
    train.add_argument("--precision", help="float32, bfloat16 or float16; by rule when left out")
    train.add_argument("--folder", type=path, help="the full set's four files")
    train.add_argument("--download", action="store_true", help="fetch the full set if need be")
    train.add_argument("--compile", action="store_true", help="torch.compile the network")
    train.add_argument("--tune", action="store_true", help="try precisions and layouts first")
    train.add_argument("--test", action="store_true", help="evaluate on the test images at the end")
    out = "keep checkpoints, history and weights in RUN; the same command resumes the run"
    train.add_argument("--out", type=path, metavar="RUN", help=out)
    train.add_argument("--overwrite", action="store_true", help="replace the run that is in --out")
    train.add_argument("--resume", type=path, metavar="RUN", help="resume the run in RUN")
    train.add_argument("--anyway", action="store_true", help="resume even if that is not exact")
    train.set_defaults(run=run_training)
    return top


def path(text: str) -> Path:
    """Return a path from the command line with ~ expanded, which a shell leaves in --out=~/runs."""
    if not text:
        raise argparse.ArgumentTypeError("must be a folder, got ''")
    return Path(os.path.expanduser(text))


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
    from .download import download_full

    found = download_full(options.folder) if options.download else find_full(options.folder)
    for name in ("mini", "full") if found else ("mini",):
        data = load(name, found if name == "full" else None)
        counts = f"{len(data.train)} training, {len(data.val)} held-out, {len(data.test)} test"
        print(f"{name}: {counts}")
    print(f"full set: {found or 'not on this machine; nin data --download fetches it'}")


def run_training(options: argparse.Namespace) -> int:
    """Train, and return the exit status."""
    kept = kept_plan(options)
    refuse_unused(options)
    size, how = SIZES[options.size or "class"], recipe(options.recipe or "default")
    seed = 0 if options.seed is None else options.seed
    import torch

    from . import progress
    from . import torch as nin
    from .data import load
    from .runtime.dataset import to_input
    from .runtime.plan import choose_plan, fastest
    from .runtime.workers import join_workers, launched, local_device
    from .train import evaluate, fit

    if options.tune and launched():
        raise ValueError(
            "--tune is for one process: several would time, and choose, each for itself; "
            "give --precision in its place"
        )
    chosen = choose_plan(local_device(options.device), options.precision, options.compile)
    chosen = replace(chosen, **kept)
    data = load(size.data, options.folder, options.download)
    model = nin.build(network(size.network), how, seed)
    if options.tune and not kept:
        first = data.train.first(options.batch_size or size.batch_size)
        images = to_input(torch.tensor(first.images), size.input_size)
        chosen = fastest(model, images, chosen)
    notes = {"size": options.size or "class", "recipe": options.recipe or "default"}
    if options.folder:
        notes["folder"] = str(options.folder.absolute())
    resume: Literal["exact", "anyway", "never"] = "anyway" if options.anyway else "exact"
    if options.overwrite:
        resume = "never"
    with join_workers(chosen.device) as workers:
        if workers.leads:
            what = f"{size.network} on {data.name} Fashion-MNIST"
            print(f"{what}, recipe {notes['recipe']}: {chosen}")
        history = fit(
            model, data, how,
            epochs=size.epochs if options.epochs is None else options.epochs,
            batch_size=size.batch_size if options.batch_size is None else options.batch_size,
            input_size=size.input_size, seed=seed, plan=chosen, out=options.out,
            resume=resume, notes=notes, observers=[progress.default()],
        )  # fmt: skip
    if len(history.rows) < history.about.epochs:
        return INTERRUPTED
    if workers.leads:
        row = history.last
        print(f"held-out images: loss {row['val_loss']:.3f}, accuracy {row['val_accuracy']:.3f}")
    if workers.leads and options.test:
        loss, accuracy = evaluate(model, data.test, size.input_size, plan=chosen)
        print(f"test images: loss {loss:.3f}, accuracy {accuracy:.3f}")
    return 0


def refuse_unused(options: argparse.Namespace) -> None:
    """Raise `ValueError` for a flag that would have no effect with the others."""
    is_full = options.size == "full"
    keeps = options.out or options.resume
    rules = (
        ("--folder", options.folder and not is_full, "is for --size full; the class set is here"),
        ("--download", options.download and not is_full, "is for --size full"),
        ("--overwrite", options.overwrite and not options.out, "needs --out"),
        ("--anyway", options.anyway and not keeps, "needs --resume or --out"),
        ("--anyway", options.anyway and options.overwrite, "does not go with --overwrite"),
        ("--precision", options.precision and options.tune, "does not go with --tune"),
    )
    for flag, unused, rule in rules:
        if unused:
            raise ValueError(f"{flag} {rule}")


def kept_plan(options: argparse.Namespace) -> dict[str, Any]:
    """Fill in `options` from the run that --resume names (in place).

    Returns:
        The part of the run's plan that no flag sets: the memory layout that --tune chose. A run in
        --out that was tuned is not tuned again.
    """
    from .runtime.checkpoint import load_checkpoint

    if options.resume:
        return restore_options(options)
    if not (options.tune and options.out) or options.overwrite:
        return {}
    checkpoint = load_checkpoint(options.out)
    if not checkpoint:
        return {}
    print(f"{options.out} holds a run: its precision and layout are used, without --tune.")
    plan = checkpoint.state["history"]["about"]["plan"]
    return {key: plan[key] for key in ("precision", "channels_last")}


def restore_options(options: argparse.Namespace) -> dict[str, Any]:
    """Fill in the options of the unfinished run that --resume names, and return its layout."""
    from .runtime.checkpoint import CheckpointError, load_checkpoint

    checkpoint = load_checkpoint(options.resume)
    if checkpoint is None:
        raise CheckpointError(f"--resume {options.resume}: there is no checkpoint in this folder")
    if checkpoint.state["finished"]:
        raise CheckpointError(f"--resume {options.resume}: this run is finished")
    for name in OF_THE_RUN:
        value = getattr(options, name)
        if value is not None and value is not False:  # 0 is a seed
            flag = f"--{name.replace('_', '-')}"
            raise CheckpointError(f"{flag} does not go with --resume: the run keeps its own")
    about = checkpoint.state["history"]["about"]
    notes = about["notes"]
    if not {"size", "recipe"} <= set(notes):
        raise CheckpointError(
            f"--resume {options.resume}: this run was not started by nin train; "
            "it goes on by the call of fit() that began it"
        )
    options.out, options.seed = options.resume, about["seed"]
    options.size, options.recipe = notes["size"], notes["recipe"]
    options.epochs, options.batch_size = about["epochs"], about["batch_size"]
    if "folder" in notes:
        options.folder = options.folder or Path(notes["folder"])
    plan = about["plan"]
    options.device = options.device or plan["device"]
    options.precision = options.precision or plan["precision"]
    options.compile = plan["compile"]
    return {"channels_last": plan["channels_last"]}
