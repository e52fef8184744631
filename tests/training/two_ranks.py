"""What two processes do together: `torchrun --nproc-per-node 2 two_ranks.py FOLDER`.

Also run by one process alone, to compare with; each writes what it found into FOLDER.
"""

import builtins
import contextlib
import io
import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import tiny_runs
import torch
from filelock import FileLock
from torch import nn

from nin_lib import cli, networks
from nin_lib import torch as nin
from nin_lib.history import Ended, Started, Step
from nin_lib.runtime import checkpointer
from nin_lib.runtime.checkpoint import CheckpointError
from nin_lib.runtime.plan import ExecutionPlan
from nin_lib.spec import Dropout
from nin_lib.train import fit

RANK, SIZE = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
PLAIN = replace(tiny_runs.NET, stages=[s for s in tiny_runs.NET.stages if type(s) is not Dropout])

# training images, held-out images, batch size: what does not divide by two, and last batches that
# are smaller than the number of ranks. Looked at in batches of at most 4 · batch size.
CASES = ((40, 24, 8), (33, 25, 8), (37, 57, 7), (25, 1, 12), (5, 33, 1))


class Double(nn.Module):
    """The net in float64, so that sums in another order agree to many digits."""

    def __init__(self):
        super().__init__()
        self.net = nin.build(PLAIN, tiny_runs.recipe("default"), 3).double()

    def forward(self, images):
        return self.net(images.double())


def compare(folder):
    """The same training by as many processes as there are: final weights and rows."""
    for number, (train, val, batch_size) in enumerate(CASES):
        for how in ("default", "published"):
            data = tiny_runs.few(train, val)
            steps = []
            model, history = tiny_runs.run(
                data, net=Double(), epochs=2, batch_size=batch_size, how=how,
                observers=[lambda event, told=steps.append: told(figures(event))],
            )  # fmt: skip
            weights = {name: value.tolist() for name, value in model.state_dict().items()}
            result = {"weights": weights, "rows": history.rows}
            write(folder / f"{number} {how} {SIZE} {RANK}.json", result)
            write(folder / f"{number} {how} {SIZE} {RANK} events.json", [s for s in steps if s])


def figures(event):
    """What a step tells of its batch."""
    if isinstance(event, Step):
        told = event.images, float(event.loss), int(event.correct), event.labels.tolist()
        return [*told, event.logits.tolist()]


def one_gradient(folder):
    """Of one step with the learning rate 1 and no clipping: first weights minus last weights."""
    how = tiny_runs.recipe("published")
    how = replace(how, learning_rate=1.0)
    model = Double()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fit(
        model,
        tiny_runs.few(13, 4),
        how,
        epochs=1,
        batch_size=13,
        plan=ExecutionPlan("cpu"),
        observers=[],
    )
    after = model.state_dict()
    write(
        folder / f"gradient {SIZE} {RANK}.json", {k: (before[k] - after[k]).tolist() for k in after}
    )


def stop_and_go_on(folder):
    """Two ranks, dropout on: interrupted in the rank that does not lead, twice; and unbroken."""
    data = tiny_runs.few(37, 57)
    plan = ExecutionPlan("cpu:0" if RANK == 0 else "cpu")  # as each rank has a GPU of its own

    def stop_in_rank_1(model, step):
        taken = []

        def stop(model, *_):
            taken.append(model.training)
            tried = 1  # once, before the first step
            if step and RANK == 1 and model.training and sum(taken) == tried + step:
                os.kill(os.getpid(), signal.SIGINT)

        model.register_forward_hook(stop)

    def broken(out, step):
        events = []
        model = nin.build(tiny_runs.NET, tiny_runs.recipe("default"), 3)
        stop_in_rank_1(model, step)
        _, history = tiny_runs.run(data, out, net=model, plan=plan, observers=[events.append])
        return len(history.rows), [type(event).__name__ for event in events], events

    found = {}
    with spied() as (said, opened):
        broken(folder / "whole", 0)
        for step in (2, 3):  # of 5 in an epoch; the other rank hears of it after the next step
            rows, kinds, events = broken(folder / "broken", step)
            started = [e.step for e in events if isinstance(e, Started)]
            steps = [e.step for e in events if isinstance(e, Step)]
            ends = [e.interrupted for e in events if isinstance(e, Ended)]
            found[step] = {"rows": rows, "started": started, "steps": steps, "ends": ends}
        tiny_runs.run(data, folder / "broken", plan=plan, observers=[])
        broken(folder / "unfinished", 6)
    with FileLock(folder / "whole" / checkpointer.LOCK) if RANK == 0 else contextlib.nullcontext():
        try:
            tiny_runs.run(data, folder / "whole", plan=plan)
        except CheckpointError as error:
            found["refused"] = str(error)
    found |= {"said": said.getvalue(), "opened": opened}
    write(folder / f"stopped {RANK}.json", found)


def command(folder):
    """`nin train` itself."""
    cli.SIZES["class"] = replace(cli.SIZES["class"], network="tiny", batch_size=8, epochs=2)
    networks.NETWORKS["tiny"] = networks.Entry(tiny_runs.NET, 0, (), "made up")
    import nin_lib.data

    nin_lib.data.load = lambda *_: tiny_runs.few()
    with spied() as (said, opened):
        status = cli.main(["train", "--device", "cpu", "--test", "--out", str(folder / "command")])
    result = {"status": status, "said": said.getvalue(), "opened": opened}
    write(folder / f"command {RANK}.json", result)


@contextlib.contextmanager
def spied():
    """What is printed, and the files that are opened to be written."""
    opened, before = [], builtins.open

    def spy(file, mode="r", *more, **options):
        if set(mode) & set("wax+"):
            opened.append(str(file))
        return before(file, mode, *more, **options)

    builtins.open = spy
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            yield said, opened
    finally:
        builtins.open = before


def write(path, value):
    path.write_text(json.dumps(value), encoding="utf-8")


if __name__ == "__main__":
    torch.set_num_threads(1)
    compare(Path(sys.argv[1]))
    one_gradient(Path(sys.argv[1]))
    if SIZE > 1:
        stop_and_go_on(Path(sys.argv[1]))
        command(Path(sys.argv[1]))
