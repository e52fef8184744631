"""Runs that take a fraction of a second: a tiny net with dropout and momentum on a few images."""

from nin_lib import torch as nin
from nin_lib.data import Dataset, load
from nin_lib.recipe import recipe
from nin_lib.runtime.plan import ExecutionPlan
from nin_lib.spec import Block, Dropout, Network, Pool
from nin_lib.train import fit

NET = Network((Block(3, (6, 8), stride=3), Pool(), Dropout(0.5), Block(3, (10, 10))), input_size=28)
CPU = ExecutionPlan("cpu")
KEPT = ("checkpoint.safetensors", "model.safetensors", "history.json", "history.csv")


def few(train=40, val=24):
    mini = load("mini")
    return Dataset("few", mini.train.first(train), mini.val.first(val), mini.test.first(20))


def run(
    data, out=None, *, net=NET, seed=3, epochs=3, batch_size=8, plan=CPU, how="default", **more
):
    """The model, trained, and the history. 15 steps unless told otherwise: 5 to an epoch."""
    how = recipe(how) if isinstance(how, str) else how
    model = nin.build(net, how, seed) if isinstance(net, Network) else net
    options = {"observers": [], **more}
    history = fit(
        model, data, how,
        epochs=epochs, batch_size=batch_size, seed=seed, plan=plan, out=out, **options,
    )  # fmt: skip
    return model, history


def kept(folder):
    """The bytes of every file that a finished run leaves."""
    return {name: (folder / name).read_bytes() for name in KEPT}
