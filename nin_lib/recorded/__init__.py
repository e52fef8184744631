"""Recorded results: a trained network, runs and the study of collapses, with provenance."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..history import History, RunInfo

if TYPE_CHECKING:
    from ..torch import NiN

FOLDER = Path(__file__).parent


def trained(name: str = "paper-mnist") -> NiN:
    """Return a trained network of `nin_lib.networks`, in evaluation mode.

    "paper-mnist": N×1×28×28 images of Fashion-MNIST from 0 to 1 → N×10 logits. Needs PyTorch.
    Raises `ValueError`, with the names there are, for another name.
    """
    from safetensors.torch import load_file

    from ..networks import network
    from ..torch import NiN

    path = weights_file(name)
    model = NiN(replace(network(name), last_relu=about(name)["recipe"]["last_relu"]))
    model.load_state_dict({key: value.float() for key, value in load_file(path).items()})
    return model.eval()


def about(name: str = "paper-mnist") -> dict[str, Any]:
    """Return data, recipe, seed, machine and held-out accuracy of the run behind the weights."""
    from safetensors import safe_open

    with safe_open(weights_file(name), framework="numpy") as file:
        facts: dict[str, Any] = json.loads(file.metadata()["about"])
    return facts


def weights_file(name: str) -> Path:
    known = {path.stem: path for path in sorted(FOLDER.glob("*.safetensors"))}
    if name not in known:
        raise ValueError(f"there is no trained network {name!r}; there are {', '.join(known)}")
    return known[name]


@dataclass(frozen=True)
class Recording:
    """A run that was watched, to be looked at again.

    `history`: its rows, and what it was made of and on; `series`: the points of its curves, each an
    epoch and a value, named as `LiveCurves.add` names them; `classes`: their "names", the epochs
    "x" of the judgements, and for each class its "shares" at these; for runs at full size also what
    share of its held-out images had a "positive" logit for it in the end, and what share was
    "right"; `told`: what the collapse monitor said.
    """

    history: History
    series: dict[str, list[tuple[float, float]]]
    classes: dict[str, Any]
    told: list[str]


def run(name: str) -> Recording:
    """Return a recorded run.

    At class size "class-collapse": the published recipe; "class-kaiming": the same with Kaiming's
    first weights; "class-default": the default recipe (tools/record_collapse.py). "full-published"
    and "full-default": these two recipes at 224×224, ten epochs (benchmarks/full_runs.py). All with
    seed 0.
    Raises `ValueError`, with the names there are, for another name.
    """
    known = {path.stem: path for path in sorted(FOLDER.glob("*.json"))}
    if name not in known:
        raise ValueError(f"there is no recorded run {name!r}; there are {', '.join(known)}")
    stored = json.loads(known[name].read_text(encoding="utf-8"))
    history = History(stored["rows"], RunInfo.from_dict(stored["about"]))
    return Recording(history, stored["series"], stored["classes"], stored["told"])


def study() -> list[dict[str, Any]]:
    """Return the runs of benchmarks/collapse_study.py: who failed, and which classes died.

    Of each run its `arm`, `seed`, `last_relu` and `momentum`, whether it `failed`, and lists with
    an entry for each epoch, all of the held-out images: `loss`, `accuracy`, and `dead`, the classes
    of which no image had a positive logit. Lists end early where the loss was no number.
    """
    return lines_of("collapse_study.jsonl")


def full_runs() -> list[dict[str, Any]]:
    """Return the runs of benchmarks/full_runs.py: ten epochs at 224×224.

    The keys are those of `study`, and `test_accuracy`, after the last epoch.
    """
    return lines_of("full_runs.jsonl")


def variants() -> list[dict[str, Any]]:
    """Return the runs of benchmarks/variants.py: the class network with one change, several seeds.

    Of each run its `variant`, `seed`, `parameters` and `multiply_adds` (for one image), the
    `threads` it was made with, and after each epoch the accuracy on the training images
    (`train_accuracy`, dropout on) and on the held-out ones (`val_accuracy`).
    """
    return lines_of("variants.jsonl")


def lifted_bias() -> list[dict[str, Any]]:
    """Return the runs of benchmarks/lifted_bias.py: three ways to go on with dead classes.

    Of each seed the classes that were `dead` after one epoch, and `after`: for "as it is",
    "bias lifted" and "no last ReLU" a row for each further epoch, with `val_accuracy`, and of each
    class's own held-out images the shares with a `positive` logit and right (`recall`).
    """
    return lines_of("lifted_bias.jsonl")


def collapse_in_three() -> list[dict[str, Any]]:
    """Return the runs of benchmarks/collapse_in_three.py: equal weights in three frameworks.

    Of each run its `framework` and `seed`, the `loss` of each step, the classes that were `dead` in
    each window of a thousand training images, and `val_accuracy` after each epoch.
    """
    return lines_of("collapse_in_three.jsonl")


def lines_of(file: str) -> list[dict[str, Any]]:
    """Return the runs in a file of this folder, a line of JSON for each."""
    text = (FOLDER / file).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]
