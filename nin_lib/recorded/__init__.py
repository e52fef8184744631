"""Results of real runs that come with the package, each with what it was made from and how."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..torch import NiN

FOLDER = Path(__file__).parent


def trained(name: str = "paper-mnist") -> NiN:
    """A trained network of `nin_lib.networks`, in evaluation mode.

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
    """Data, recipe, seed, machine and held-out accuracy of the run that gave these weights."""
    from safetensors import safe_open

    with safe_open(weights_file(name), framework="numpy") as file:
        facts: dict[str, Any] = json.loads(file.metadata()["about"])
    return facts


def weights_file(name: str) -> Path:
    known = {path.stem: path for path in sorted(FOLDER.glob("*.safetensors"))}
    if name not in known:
        raise ValueError(f"there is no trained network {name!r}; there are {', '.join(known)}")
    return known[name]
