"""Runs that are killed in the middle, again and again: `python killed_runs.py FOLDER ROUNDS`.

One process imports PyTorch, computes nothing (so that forking it is safe), and forks a child for
each life of a run. Prints one line of JSON for each round.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import tiny_runs
import torch

from nin_lib.history import Started, Step
from nin_lib.runtime import checkpoint, checkpointer
from nin_lib.train import Run

STEPS = 15
PLACES = ("after a step", "in forward", "in backward", "evaluating", "writing", "renaming")
PLACES += ("at any time",)


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def live(folder, data, every, place=None, count=0, told=None):
    """One life: a run of 15 steps, checkpoint after every few, killed at one place or not at all.

    `count`: at which step, or at which time that this place is reached."""
    seen = []

    def countdown(*_):
        seen.append(1)
        if len(seen) == count:
            die()

    def observe(event):
        if isinstance(event, Started):
            log(folder, "starts.txt", event.step)
        if isinstance(event, Step) and place == "after a step" and event.step == count:
            die()
        if isinstance(event, Step) and told is not None:
            os.write(told, b".")

    def take_step(run, index):
        log(folder, "samples.txt", [run.step, index.tolist()])
        return before(run, index)

    before, Run.take_step = Run.take_step, take_step
    checkpointer.Checkpointer.after_step = lambda checkpointer: (
        checkpointer.run.step % every or checkpointer.save()
    )
    net = tiny_runs.nin.build(tiny_runs.NET, tiny_runs.recipe("default"), 3)
    if place in ("in forward", "evaluating"):
        evaluating = place == "evaluating"
        net.register_forward_hook(lambda m, *_: m.training != evaluating and countdown() or None)
    elif place == "in backward":
        next(net.parameters()).register_hook(countdown)
    elif place == "writing":
        checkpoint.open = lambda *a: HalfWritten(open(*a), countdown)
    elif place == "renaming":
        rename = os.replace
        checkpoint.os.replace = lambda *a: (countdown(), rename(*a))
    tiny_runs.run(data, folder, net=net, observers=[observe])


class HalfWritten:
    """A file of which half is on the disk when the end comes."""

    def __init__(self, file, countdown):
        self.file, self.countdown = file, countdown

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def __getattr__(self, name):
        return getattr(self.file, name)

    def write(self, content):
        self.file.write(content[: len(content) // 2])
        self.file.flush()
        self.countdown()
        self.file.write(content[len(content) // 2 :])


def log(folder, name, value):
    with open(folder / name, "a", encoding="utf-8") as file:
        file.write(json.dumps(value) + "\n")


def in_a_child(folder, data, every, place, draw):
    """Whether the child was killed, and where it should have been."""
    most = {"after a step": STEPS, "in forward": STEPS, "in backward": STEPS, "evaluating": 3}
    count = draw.randint(2, most.get(place, 18 // every))
    folder.mkdir(exist_ok=True)
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(told)
            live(folder, data, every, place, count, tell)
            status = 0
        finally:
            os._exit(status)
    os.close(tell)
    if place == "at any time":
        heard = len(os.read(told, 1))
        while heard and heard < min(count, STEPS - 1):
            got = len(os.read(told, 1))
            heard = heard + got if got else 0
        time.sleep(draw.uniform(0, 0.01))
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    os.close(told)
    if not os.WIFSIGNALED(status) and os.WEXITSTATUS(status):
        raise SystemExit(f"a run failed in {folder}")
    return {"place": place, "count": count, "killed": os.WIFSIGNALED(status)}


def main(folder, rounds):
    torch.set_num_threads(1)
    torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))])  # loads what every child would load
    folder, data = Path(folder), tiny_runs.few()
    in_a_child(folder / "whole", data, 1, None, random.Random(0))
    for number in range(rounds):
        draw = random.Random(number)
        place, every = PLACES[number % len(PLACES)], draw.choice((1, 1, 2, 4))
        here = folder / str(number)
        lives = [in_a_child(here, data, every, place, draw)]
        if draw.random() < 0.5 and lives[-1]["killed"]:  # while it goes on, too
            lives.append(in_a_child(here, data, every, draw.choice(PLACES), draw))
        if lives[-1]["killed"]:
            lives.append(in_a_child(here, data, every, None, draw))
        print(json.dumps({"folder": str(here), "every": every, "lives": lives}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
