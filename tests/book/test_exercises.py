"""The exercises: a blank is open, a solution is right, and likely mistakes are told from both."""

import math
import shutil
from dataclasses import replace
from pathlib import Path
from statistics import mean, median

import jupytext
import nbformat
import numpy as np
import pytest
import torch
from common import ROOT
from nbformat import NotebookNode
from test_numbers_in_prose import uncovered
from torch import nn

from nin_lib import Block, Dropout, Network, Pool, network, shape_flow, totals
from nin_lib.check import CHECKS, check, grade
from tools import exercises, notebooks

SOURCES = sorted(exercises.FOLDER.glob("[0-9][0-9]_*.py"))
MADE = {path.stem: exercises.versions(path) for path in SOURCES}
STUDENTS, READERS = 0, 1
OPEN = ": put your answer in the place of each ... above"


def stem_of(path: Path) -> str:
    return path.stem


def said_by_checks(nb: NotebookNode) -> dict[str, str]:
    """Run the notebook's cells in this process; what each check says, by the exercise's number."""
    said: dict[str, str] = {}
    names = {"print": lambda *words, **options: None, "__name__": "exercises"}
    for cell in nb.cells:
        if cell.cell_type == "code":
            exec(cell.source, names)
            names["check"] = lambda number, *answers: said.update({number: grade(number, *answers)})
    return said


# ---- stubs, solutions, mistakes


@pytest.mark.parametrize("stem", MADE)
def test_every_exercise_is_open_in_the_students_version(stem):
    said = said_by_checks(MADE[stem][STUDENTS][0])
    assert said and all(OPEN in words for words in said.values()), said


@pytest.mark.parametrize("stem", MADE)
def test_every_solution_is_right(stem):
    """As the page shows it. That its cells print this again is what nbval compares."""
    nb = nbformat.read(ROOT / "exercises" / f"{stem}.ipynb", as_version=4)
    printed = [output.get("text", "") for cell in nb.cells for output in cell.get("outputs", ())]
    said = [text.strip() for text in printed if text.startswith("Exercise ")]
    numbers = [number for number in CHECKS if number.split(".")[0] == str(int(stem[:2]))]
    assert said == [f"Exercise {number}: right." for number in numbers]


def test_every_check_belongs_to_an_exercise():
    assert {number.split(".")[0] for number in CHECKS} == {str(int(stem[:2])) for stem in MADE}
    assert set(WRONG) == set(CHECKS)


@pytest.mark.parametrize("number", CHECKS)
def test_nothing_is_no_answer(number):
    count = len(WRONG[number][0][0])
    for nothing in (None, ...):
        assert OPEN in grade(number, *[nothing] * count)


def test_an_unknown_number_is_named():
    with pytest.raises(ValueError, match=r"no exercise '7\.77'; there are 1\.1, 1\.2"):
        check("7.77", 1)


def conv1x1(x, weight, bias):
    return torch.nn.functional.conv2d(x, weight[:, :, None, None], bias)


def rows_without_moving_the_channels(x, weight, bias):
    n, c, h, w = x.shape
    return (x.reshape(n * h * w, c) @ weight.T + bias).reshape(n, -1, h, w)


def rows_half_mended(x, weight, bias):
    n, c, h, w = x.shape
    rows = x.permute(0, 2, 3, 1).reshape(n * h * w, c)
    return (rows @ weight.T + bias).reshape(n, -1, h, w)


def one_by_one(weight):
    layer = nn.Conv2d(len(weight[0]), len(weight), 1, bias=False)
    layer.weight.data = torch.tensor(weight)[:, :, None, None]
    return layer


def magnitudes(signs):
    return nn.Sequential(
        one_by_one([[1.0, -1.0], [-1.0, 1.0], [1.0, 1.0], [-1.0, -1.0]]),
        nn.ReLU(),
        one_by_one([[a / 2 for a in row] for row in signs]),
    )


def lifted(by):
    """Sorts as long as no number is below -`by`: b goes through the ReLU as b + `by`."""
    first, last = nn.Conv2d(2, 3, 1), nn.Conv2d(3, 2, 1)
    rows, out = [[1.0, -1.0], [-1.0, 1.0], [0.0, 1.0]], [[1.0, 0.0, 1.0], [0.0, -1.0, 1.0]]
    first.weight.data = torch.tensor(rows)[:, :, None, None]
    last.weight.data = torch.tensor(out)[:, :, None, None]
    first.bias.data, last.bias.data = torch.tensor([0.0, 0.0, by]), torch.tensor([-by, -by])
    return nn.Sequential(first, nn.ReLU(), last)


class Sorted(nn.Module):
    def forward(self, x):
        return x.sort(dim=1, descending=True).values


class SortedBesideALayer(Sorted):
    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(2, 2, 1)


def zeroed_first(x, weight, bias):
    return torch.einsum("oc,nchw->nohw", weight, x.zero_()) + bias[:, None, None]


def for_three_widths(channels, side, widths):
    a, b, c = widths
    return channels * side**2 * a + a + a * b + b + b * c + c


def with_own_tensors(A, a, B, b):
    W = B @ torch.eye(len(A)) @ A
    return W, B @ a + b * torch.ones(len(b))


def relus(*convolutions):
    return nn.Sequential(*(layer for conv in convolutions for layer in (conv, nn.ReLU())))


def chapter(**changes):
    """The chapter's network with other widths, another kernel in block 2, or other fields."""
    k = changes.pop("kernel_size", 5)
    a, b, c = changes.pop("widths", (96, 256, 384))
    last = changes.pop("last", Block(3, (10, 10, 10), padding=1))
    blocks = (
        Block(11, (a,) * 3, stride=4),
        Block(k, (b,) * 3, padding=k // 2),
        Block(3, (c,) * 3, padding=1),
    )
    stages = [stage for block in blocks for stage in (block, Pool())]
    return replace(network("chapter"), stages=(*stages, Dropout(), last), **changes)


def family(n, width=32, kernels=3, end=None, size=64, pools=1, pool=Pool()):  # noqa: B008
    stages = [Block(kernels, (width,) * 3, padding=kernels // 2)] * n + [pool] * pools
    return Network((*stages, Block(3, (end or width, 32, 10), padding=1)), input_size=size)


def strided_family(n):
    """The first block of each stage makes the maps smaller, too."""
    stages = []
    for width in (32, 64):
        first = Block(3, (width,) * 2, stride=2, padding=1)
        stages += [first, *[replace(first, stride=1)] * (n - 1), Pool()]
    return Network((*stages, Block(3, (64, 10), padding=1)), input_size=64)


def bytes_of(parameters, activations):
    """Training memory, wrong in one of its parts."""

    def training(spec, batch, copies):
        sums = totals(spec)
        return parameters(copies) * sums.parameters + activations(batch) * sums.activations

    return training


def right_training(spec, batch, copies):
    return bytes_of(lambda copies: 4 * copies, lambda batch: 4 * batch)(spec, batch, copies)


def largest_pair(maps, most=max):
    return most(a + b for a, b in zip(maps, maps[1:], strict=False))


def with_pair(pair):
    """Prediction memory, where `pair` takes what is needed from the image and all maps."""

    def prediction(spec):
        maps = [spec.in_channels * spec.input_size**2]
        maps += [row.activations for row in shape_flow(spec) if row.activations]
        return 4 * (totals(spec).parameters + pair(maps))

    return prediction


right_prediction = with_pair(largest_pair)


def largest_and_next(maps):
    at = maps.index(max(maps))
    return maps[at] + maps[at + 1]


def ahead_by_place(a, b):
    pairs = list(zip(a.values(), b.values(), strict=False))
    return sum(mine > other for mine, other in pairs), len(pairs)


def ahead_with_ties(a, b):
    both = a.keys() & b.keys()
    return sum(a[seed] >= b[seed] for seed in both), len(both)


def choice(middle, key="val_accuracy", at=lambda epochs: epochs[-1]):
    """The rate with the highest middle of its runs."""

    def choose(runs):
        def value(rate):
            return middle([at(run[key]) for run in runs if run["rate"] == rate])

        return max({run["rate"] for run in runs}, key=value)

    return choose


def scaled(axes, size=torch.abs):
    return lambda maps: maps / size(maps).amax(axes, keepdim=True)


def averaging(spread, scale=lambda height, width: height * width):
    return lambda weight, height, width: spread(weight, height * width) / scale(height, width)


def each_cell(weight, cells):
    return weight.repeat_interleave(cells, dim=1)


def why(loss, logits, guessing=None, spread=lambda logits: logits.std(axis=0).max()):
    if abs(loss - (guessing or math.log(logits.shape[1]))) > 0.05:
        return "elsewhere"
    if not logits.any():
        return "all dead"
    return "constant" if spread(logits) < 0.001 else "slow"


def dead(logits, labels):
    return [c for c in set(labels) if (logits[labels == c, c] <= 0).all()]


def floor(logits, labels):
    return np.isin(labels, dead(logits, labels)).mean() * math.log(logits.shape[1])


def kernel_to_keras(kernel):
    return np.transpose(kernel, (2, 3, 1, 0))


def as_keras(weight, channels, height, width):
    return kernel_to_keras(weight.reshape(-1, channels, height, width)).reshape(-1, len(weight))


def same_zeros(n, kernel, stride, least=0):
    zeros = max(least, (math.ceil(n / stride) - 1) * stride + kernel - n)
    return zeros // 2, zeros - zeros // 2


def first_spread(framework, c_in, c_out, k):
    n, m = c_in * k * k, c_out * k * k
    return {"pytorch": 3 * n, "keras": (n + m) / 2, "flax": n}[framework] ** -0.5


rng_any = np.random.default_rng(0)


def cut_into(order, size):
    return [order[i : i + size] for i in range(0, len(order), size)]


def shuffle_images(count, size, seed, epoch):
    return cut_into(np.random.default_rng((seed, epoch)).permutation(count), size)


def shuffle_batches(count, size, seed, epoch):
    *cut, last = cut_into(np.arange(count), size)
    return [cut[i] for i in np.random.default_rng((seed, epoch)).permutation(len(cut))] + [last]


def enlarge(images, size, times):
    for i in range(0, len(images), size):
        batch = images[i : i + size].astype(np.float32) / 255
        yield batch.repeat(times, axis=1).repeat(times, axis=2)


def enlarged_before_the_loop(images, size, times):
    (everything,) = enlarge(images, len(images), times)
    for i in range(0, len(images), size):
        yield everything[i : i + size]


def narrow_3x3(c):
    return 17 * c * c // 16


def split_3x3(c):
    return c * c + 9 * c


def rank_of(kernels):
    return torch.linalg.matrix_rank(kernels.flatten(1))


def which_split(weight):
    return [max(map(rank_of, weight.unbind(axis))) <= 1 for axis in (1, 0)]


# For each exercise three plausible wrong answers, and a part of what the student is told.
WRONG = {
    "1.1": [
        ([lambda c, s, w: c * s * s * w[0] + w[0]], "is too small"),
        (
            [lambda c, s, w: sum(a * b for a, b in zip([c * s * s, *w], w, strict=False))],
            "no biases",
        ),
        (
            [lambda c, s, w: sum((a + 1) * b for a, b in zip([c * s, *w], w, strict=False))],
            "a map has side × side numbers",
        ),
    ],
    "1.2": [
        ((4, 1, 4), "first_dense: the side of the last maps does not simply double"),
        ((6, 2, 4), "convolutions: an image that is larger needs no larger kernel"),
        ((6, 1, 2), "work: the image grows in height and in width"),
    ],
    "1.3": [
        ([979], "With a layer of 979 the network has 10,000,347 parameters: too many"),
        ([977], "With a layer of 977 it has 9,987,525 parameters: a wider one fits"),
        ([6276022 / 6411], "a whole number of at least 1, not 978"),
    ],
    "2.1": [
        ([rows_without_moving_the_channels], "right shape"),
        ([rows_half_mended], "wrong numbers"),
        ([conv1x1], "do without a convolution"),
    ],
    "2.2a": [
        ([torch.eye(4)], "Output channel 1"),
        ([torch.eye(4)[[3, 1, 2, 0]]], "Output channel 0"),
        ([[[0, 1], [1, 0]]], "shape (2, 2); it should be (4, 4)"),
    ],
    "2.2b": [
        ([lambda A, a, B, b: (A @ B, B @ a + b)], "stops with RuntimeError: mat1 and mat2 shapes"),
        ([lambda A, a, B, b: (B @ A, a + b)], "stops with RuntimeError: The size of tensor"),
        ([lambda A, a, B, b: (B @ A, b)], "c for"),
    ],
    "2.3": [
        ([magnitudes([[1, 1, 1, -1], [1, 1, 1, -1]])], "Channel 1, the smaller number,"),
        ([magnitudes([[1, 1, 1, 0], [-1, -1, 1, 0]])], "Channel 0, the larger number,"),
        ([nn.Sequential(Sorted())], "only Conv2d, ReLU are wanted"),
    ],
    "3.1": [
        ([{"a", "b", "d", "e", "f"}], "Named, although the maps become smaller: 1."),
        ([{"a", "b"}], "What you name keeps the shape; still missing: 2."),
        (["abefh"], "There is no change 'h'"),
    ],
    "3.2": [
        ([lambda c, w, k: (c * k * k + 1) * w[0]], "this is the first convolution alone"),
        (
            [lambda c, w, k: c * k * k * w[0] + sum(a * b for a, b in zip(w, w[1:], strict=False))],
            "no biases",
        ),
        (
            [lambda c, w, k: (c * k * k + 1) * w[0] + (w[0] ** 2 + w[0]) * (len(w) - 1)],
            "channels in, widths",
        ),
    ],
    "3.3": [
        ([relus(nn.Conv2d(96, 256, 5, padding=2))], "614,656 parameters"),
        ([relus(nn.Conv2d(96, 64, 1), nn.Conv2d(64, 256, 3, padding=1))], "over 3×3 pixels"),
        (
            [relus(nn.Conv2d(96, 64, 1), nn.Conv2d(64, 64, 5), nn.Conv2d(64, 256, 1))],
            "It makes (1, 256,",
        ),
    ],
    "4.1": [
        ([nn.Sequential(nn.AvgPool2d(5), nn.Flatten())], "the result has the shape"),
        ([nn.AdaptiveAvgPool2d(1)], "1, 1); it should be"),
        ([nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten())], "wrong numbers"),
    ],
    "4.2": [
        ((34560 + 100 + 100, 3850, 335306), "as_it_is: these are all the weights, and no biases"),
        ((34790, 34570, 335306), "at_once: this is a 3×3 convolution alone"),
        ((34790, 3850, 331872 + 2 * 96 * 32), "in_steps: 338,016 is too large"),
    ],
    "4.3": [
        ([lambda n: family(2)], "each should have more than the one before"),
        ([lambda n: family(n, width=32 * n)], "only the depth should change"),
        ([lambda n: family(n, width=256, kernels=5)], "it should have fewer than 2,000,000"),
    ],
    "5.1": [
        ([ahead_by_place], "Numbers in the same place need not be of the same seed"),
        ([ahead_with_ties], "Equal accuracies are not ahead"),
        (
            [lambda a, b: (sum(a[s] > b.get(s, 0) for s in a), len(a))],
            "A seed that b does not have says nothing here",
        ),
    ],
    "5.2": [
        ([choice(max)], "One run that is very good may be luck"),
        ([choice(median, "test_accuracy")], "It looks at the test images"),
        ([choice(median, at=max)], "not the best on the way"),
    ],
    "5.3": [
        (
            ([349674 - 6208, 338826, 337610], [47087040, 48592320, 50113280]),
            "block 1, parameters: the layer behind now has other inputs",
        ),
        (
            ([345002, 338826, 349674 - 970], [47087040, 48592320, 50113280]),
            "block 3, parameters: the last width of the block should stay",
        ),
        (
            ([345002, 338826, 337610], [47087040, 50699712 - 10752 * 784, 50113280]),
            "block 2, multiply_adds: the maps are smaller in this block",
        ),
    ],
    "6.1": [
        ((2500, 56147978, 29, 7), "small: these are all the weights, and no biases"),
        ((110, 56147978, 29, 7), "small: a map has many places"),
        ((2510, 251 * 4096 + 4097 * 4106, 29, 7), "full: it reads the maps that block 4 read"),
        ((2510, 56147978, 29, 2800), "more_work: work does not grow as parameters do"),
    ],
    "6.2": [
        ([scaled((2, 3))], "Each map still has a scale of its own"),
        ([scaled((0, 1, 2, 3))], "All images of the batch share one scale"),
        ([scaled((1, 2, 3), size=lambda maps: maps)], "goes below −1"),
    ],
    "6.3": [
        ([averaging(lambda weight, cells: weight.repeat(1, cells))], "all cells of map 0 come"),
        ([averaging(each_cell, lambda height, width: 1)], "the sum of each map, not its mean"),
        ([averaging(each_cell, lambda height, width: height**2)], "height times width"),
    ],
    "7.1": [
        (
            [lambda loss, z: why(loss, z, spread=lambda z: z.std(axis=1).max())],
            "do the logits differ between images",
        ),
        ([lambda loss, z: why(loss, z, guessing=math.log(10))], "Not every network has ten"),
        ([lambda loss, z: why(math.log(len(z[0])), z)], "A loss far from guessing has none"),
        (
            [lambda loss, z: why(loss, z, spread=lambda z: z.std(axis=0).mean())],
            "It is enough that the logits of one class differ",
        ),
        (
            [lambda loss, z: why(loss, z, spread=lambda z: z.std(axis=0).sum())],
            "larger than the spread of any class",
        ),
        (
            [lambda loss, z: why(loss, z, spread=lambda z: np.ptp(z, axis=0).max())],
            "not yet. ",
        ),
        (
            [lambda loss, z: why(loss, z, spread=lambda z: np.linalg.norm(z.std(axis=0)))],
            "not yet. ",
        ),
    ],
    "7.2": [
        (
            (lambda z, y: [c for c in range(len(z[0])) if (z[:, c] <= 0).all()], floor),
            "It is still judged by all the images",
        ),
        (
            (lambda z, y: [c for c in range(len(z[0])) if not (z[y == c, c] > 0).any()], floor),
            "Of a class without images nothing can be said",
        ),
        (
            (dead, lambda z, y: len(dead(z, y)) / len(z[0]) * math.log(len(z[0]))),
            "The classes do not have equally many images here",
        ),
    ],
    "7.3": [
        ([lambda share: round(3 / share)], "does not exclude"),
        ([lambda share: math.ceil(1.96**2 * (1 - share) / share) + 1], "fewer runs than"),
        ([lambda share: 1.96**2 * (1 - share) / share], "A whole number of runs is wanted"),
    ],
    "8.1": [
        (
            (bytes_of(lambda copies: 4 * copies, lambda batch: 4), right_prediction),
            "this is for one image only",
        ),
        (
            (bytes_of(lambda copies: copies, lambda batch: batch), right_prediction),
            "these are numbers, not bytes",
        ),
        ((right_training, with_pair(lambda maps: largest_pair(maps, sum))), "prediction, "),
    ],
    "8.2": [
        (
            (3 * 1992166 - 2 * 1769112, 1039534420, 3212774),
            "parameters: each block has one 1×1 convolution too few",
        ),
        (
            (2661328, 947122064, 3212774),
            "multiply_adds: each block has one 1×1 convolution too few",
        ),
        ((2661328, 1039534420, 5 * 1687160), "activations: 8,435,800 is too large"),
    ],
    "8.3": [
        ([chapter(widths=(24, 96, 256))], "It has 23 % of NiN's parameters; 90 to 110"),
        ([chapter(widths=(96, 128, 512))], "of NiN's activations; at most half"),
        ([chapter(widths=(24, 96, 640), dense=(10,), last_relu=False)], "without dense layers"),
    ],
    "9.1": [
        ([np.transpose, as_keras], "the kernel: height and width have changed places"),
        (
            [lambda kernel: kernel.reshape(*kernel.shape[2:], *kernel.shape[1::-1]), as_keras],
            "reshape moves no axis",
        ),
        ([kernel_to_keras, lambda weight, *shape: weight.T], "channel by channel"),
        ([kernel_to_keras, lambda weight, *shape: weight], "the dense layer has the shape"),
        ([lambda kernel: kernel.transpose(2, 3, 0, 1), as_keras], "the kernel has the shape"),
    ],
    "9.2": [
        ([lambda n, k, s: same_zeros(n, k, s)[::-1]], "The odd zero stands behind"),
        ([lambda n, k, s: ((k - 1) // 2, k // 2)], "right for stride 1 only"),
        ([lambda n, k, s: same_zeros(n, k, s, least=-99)], "never fewer zeros than none"),
        ([lambda n, k, s: sum(same_zeros(n, k, s))], "should return two numbers, not "),
    ],
    "9.3": [
        ([lambda name, c_in, c_out, k: first_spread(name, c_in, c_out, 1), 8], "has places"),
        ([lambda name, c_in, c_out, k: first_spread(name, c_out, c_in, k), 8], "changed places"),
        ([lambda name, c_in, c_out, k: (c_in * k * k) ** -0.5, 8], "the end of the interval"),
        ([lambda *it: first_spread(*it) ** 2, 8], "this is the variance"),
        ([first_spread, 12], "alike: not all of them have as many channels out as in"),
    ],
    "10.1": [
        ([shuffle_batches], "the same images stand together again"),
        ([lambda n, size, seed, epoch: shuffle_images(n, size, seed, 0)], "Two epochs of the same"),
        ([lambda n, size, seed, epoch: shuffle_images(n, size, seed + epoch, 0)], "seed s + 1"),
        ([lambda n, size, seed, epoch: shuffle_images(n - 1, size, seed, epoch)], "in no batch"),
        ([lambda n, size, *seed: [rng_any.permutation(n)]], "the sizes are"),
        (
            [lambda n, size, *seed: cut_into(rng_any.permutation(n), size)],
            "Called twice for the same seed and epoch",
        ),
        (
            [lambda n, size, seed, epoch: cut_into(np.roll(range(n), 5 * seed + 2 * epoch), size)],
            "neighbouring numbers",
        ),
    ],
    "10.2": [
        ([lambda images, size, times: list(enlarge(images, size, times))], "by yield, not"),
        ([enlarged_before_the_loop], "it was enlarged before its turn came"),
        ([lambda images, size, times: (255 * x for x in enlarge(images, size, times))], "largest"),
        ([lambda images, size, times: (x * 1.0 for x in enlarge(images, size, 1))], "the shape"),
        ([lambda *it: (x.astype(float) for x in enlarge(*it))], "numbers are float64"),
        ([lambda *it: iter([])], "only 0 come out"),
    ],
    "11.1": [
        ([lambda c: c * c // 2 + 9 * c * c, split_3x3, 148], "works at the narrow width"),
        ([narrow_3x3, lambda c: 10 * c * c, 148], "reads one channel"),
        ([narrow_3x3, split_3x3, 144], "there they have equally many"),
        ([narrow_3x3, split_3x3, 145], "a multiple of 4 is wanted"),
    ],
    "11.2": [
        ([lambda P, D: torch.einsum("oc,oij->coij", P, D)], "a row for each output"),
        (
            [lambda P, D: torch.einsum("oc,cij->ocij", P, D[: P.shape[1]])],
            "right with the depthwise convolution first",
        ),
        ([lambda P, D: D[:, None]], "has the shape"),
    ],
    "11.3": [
        ([lambda weight: which_split(weight)[::-1]], "changed places"),
        ([lambda weight: which_split(weight[:1, :1])], "is not right"),
        ([lambda weight: which_split(weight)[0]], "two truth values, not "),
        (
            [lambda weight: (rank_of(weight[:, 0]) <= 1, rank_of(weight[0]) <= 1)],
            "not only the first",
        ),
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("number", WRONG)
def test_a_wrong_answer_is_told_what_is_wrong(number):
    assert len(WRONG[number]) >= 3
    for answers, part in WRONG[number]:
        for _ in range(5):  # the input is random
            said = grade(number, *answers)
            assert said.startswith(f"Exercise {number}: not yet. "), said
            assert part in said


def returns_nothing(*inputs):
    pass


LEFT_OUT, DONE = [345002, 338826, 337610], [47087040, 48592320, 50113280]  # in 5.3


# What is no answer of the kind that was asked for.
ODD = {
    "a text for a number": ("1.2", ("six", 1, 4), "a number is wanted, not 'six'"),
    "a truth for a number": ("4.2", (True, 1, 1), "a number is wanted, not True"),
    "a number for a function": ("1.1", (5,), "A function is wanted here, not 5"),
    "no return": ("1.1", (returns_nothing,), "returns_nothing returns nothing"),
    "an error": ("1.1", (lambda c, s, w: 1 / 0,), "stops with ZeroDivisionError: division by zero"),
    "a number for a tensor": ("2.1", (lambda x, w, b: 3,), "a tensor is wanted, not 3"),
    "one of two": ("2.2b", (lambda A, a, B, b: B @ A,), "collapse should return W and c"),
    "words for rows": ("2.2a", ("swap",), "Four rows of four numbers are wanted"),
    "a larger kernel": ("2.3", (nn.Sequential(nn.Conv2d(2, 2, 3)),), "is no 1×1 convolution"),
    "other maps": ("2.3", (nn.Sequential(one_by_one([[1.0, 1.0]])),), "It makes ("),
    "a number for a module": ("2.3", (3,), "An nn.Sequential is wanted here, not 3"),
    "a module of one's own": ("2.3", (SortedBesideALayer(),), "An nn.Sequential is wanted here"),
    "a tensor for a function": ("4.1", (torch.rand(9, 9),), "of type Tensor and shape (9, 9)."),
    "an error about an ellipsis": ("2.1", (lambda x, w, b: torch.einsum("ab", x),), "stops with"),
    "a large tensor for two": (
        "2.2b",
        (lambda A, a, B, b: torch.rand(9, 9),),
        "collapse should return W and c, not something of type Tensor and shape (9, 9).",
    ),
    "stages for a network": (
        "4.3",
        (lambda n: [Block(3, (10, 10), padding=1)] * 9,),
        "A nin_lib.Network is wanted, not something of type list.",
    ),
    "a truth for a width": ("1.3", (True,), "a whole number of at least 1, not True"),
    "no width at all": ("1.3", (math.inf,), "a whole number of at least 1, not inf"),
    "a number for letters": ("3.1", (3,), "A set of letters is wanted, not 3"),
    "one number for two": ("5.1", (lambda a, b: 3,), "ahead should return two numbers, not 3"),
    "comparisons for a number": (
        "5.1",
        (lambda a, b: ([a[s] > b[s] for s in a.keys() & b.keys()], 4),),
        "ahead should return two numbers, not ",
    ),
    "an array for a number": (
        "5.1",
        (lambda a, b: (np.arange(5) > 2, 5),),
        "ahead should return two numbers, not something of type ndarray and shape (5,)",
    ),
    "rates for one": (
        "5.2",
        (lambda runs: np.array([run["rate"] for run in runs] * 9),),
        "choose should return one rate, not something of type ndarray and shape (",
    ),
    "words for one": (
        "7.1",
        (lambda loss, logits: np.where(logits.std(axis=0) < 0.001, "constant", "slow"),),
        "why should return one of the four words, not ",
    ),
    "no class that there is": (
        "7.2",
        (lambda z, y: [math.inf], floor),
        "dead should return a list of classes, not [inf]",
    ),
    "no dead class": ("7.2", (lambda z, y: [], floor), "No class is found dead, and some are"),
    "two answers of three": ("1.2", (6, 1), "Answers wanted: 3, not 2."),
    "five answers for four": ("6.1", (2510, 56147978, 29, 7, 7), "Answers wanted: 4, not 5."),
    "no answer": ("2.1", (), "Answers wanted: 1, not 0."),
    "a factor not rounded": ("1.2", (5.76, 1, 4), "first_dense: give a whole number, rounded."),
    "work not rounded": ("1.2", (6, 1, 4.15), "work: give a whole number, rounded."),
    "percent not rounded": (
        "6.1",
        (2510, 56147978, 29, 7.4),
        "more_work: give a whole number, rounded.",
    ),
    "no number of parameters": ("4.2", (math.inf, 1, 1), "as_it_is: give a whole number"),
    "a rate of another run": ("5.2", (choice(mean),), "This is the mean"),
    "one number for three": ("5.3", (3, [1, 2, 3]), "parameters: three numbers are wanted, not 3"),
    "another word": ("7.1", (lambda loss, logits: "dead",), "'dead' is not right"),
    "a number for classes": ("7.2", (lambda z, y: 3, floor), "a list of classes, not 3"),
    "words for a floor": ("7.2", (dead, lambda z, y: "ln 2"), "floor should return a number"),
    "a missing ReLU": ("3.3", (nn.Sequential(nn.Conv2d(96, 256, 1)),), "A ReLU should follow each"),
    "a model for a network": ("8.3", (nn.ReLU(),), "A nin_lib.Network is wanted"),
    "colour images": ("8.3", (network("imagenet"),), "It takes 3 channels"),
    "no 1×1": ("8.3", (chapter(last=Block(3, (10,), padding=1)),), "Block 4 is no NiN block"),
    "too small": ("4.3", (lambda n: chapter(input_size=64),), "Images of 64×64 do not fit"),
    "more work": (
        "8.3",
        (chapter(widths=(24, 96, 440), kernel_size=21),),
        "It does 1.08 times NiN's work; no more than NiN's is wanted",
    ),
}


NO_ANSWERS = [
    *(math.inf, math.nan, -1, 1j, "", "0", [], {}, [1, 2], [[1]] * 4, (1, [2], None), {1: 2}),
    *(
        np.zeros(()),
        np.zeros(3),
        np.zeros((2, 0)),
        torch.zeros(()),
        torch.zeros(2, 3),
        np.str_("a"),
    ),
    *(nn.Sequential(), nn.Sequential(nn.LazyConv2d(2, 1), nn.ReLU()), Pool(), network("chapter")),
]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("number", CHECKS)
def test_nothing_that_is_given_stops_a_check(number):
    several = len(WRONG[number][0][0]) > 1
    for answers, _ in WRONG[number] if several else WRONG[number][:1]:
        for place in range(len(answers)):
            for it in NO_ANSWERS:
                for given in (it, lambda *inputs, it=it: it, lambda *inputs, it=it: (it, it)):
                    said = grade(number, *answers[:place], given, *answers[place + 1 :])
                    assert "right." not in said or said.endswith(" is not right."), said


def test_what_is_still_open_is_named_and_the_rest_is_judged():
    assert OPEN in grade("6.1", ..., ..., ..., ...)
    assert "6.1 is still open in full, times: " in grade("6.1", 2510, ..., None, 7)
    assert "small: a map has many places" in grade("6.1", 110, ..., ..., ...)
    assert "more_work: by how many" in grade("6.1", ..., ..., ..., 107)
    assert "at_once: this is" in grade("4.2", ..., 34570, ...)
    assert "5.3 is still open in multiply_adds: " in grade("5.3", LEFT_OUT, ...)
    assert "5.3 is still open in parameters: " in grade("5.3", [LEFT_OUT[0], ..., ...], DONE)
    assert "block 1, parameters: 1 is too small" in grade("5.3", [1, ..., ...], DONE)
    assert "7.2 is still open in floor: " in grade("7.2", dead, lambda logits, labels: ...)
    assert "7.2 is still open in dead: " in grade("7.2", ..., floor)


@pytest.mark.parametrize("case", ODD)
def test_an_answer_of_another_kind_is_told_so(case):
    number, answers, part = ODD[case]
    said = grade(number, *answers)
    assert "not yet" in said and part in said, said


# Right by chance, or in some cases only: the exercise, the answers, a part of what is said.
NEARLY = {
    "three widths and no others": ("1.1", (for_three_widths,), "not enough values to unpack"),
    "an input that it changed": ("2.1", (zeroed_first,), "wrong numbers"),
    **{
        f"a lift of {by:.0e}": ("2.3", (lifted(by),), "with numbers around 1")
        for by in (1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e12, 1e14)
    },
    "one grouped layer": (
        "3.3",
        (relus(nn.Conv2d(96, 256, 5, padding=2, groups=16)),),
        "There is no 1×1 convolution among them",
    ),
    "groups throughout": (
        "3.3",
        (relus(nn.Conv2d(96, 96, 5, padding=2, groups=96), nn.Conv2d(96, 256, 1, groups=16)),),
        "groups stay apart",
    ),
    "a single image": (
        "4.1",
        (lambda maps: nn.AdaptiveAvgPool2d(1)(maps).squeeze(),),
        "; it should be (1, ",
    ),
    "maps of one place": (
        "4.1",
        (lambda maps: maps.mean((2, 3)) if maps.shape[2:].numel() > 1 else maps,),
        ", 1, 1) the result",
    ),
    "one layer without biases": (
        "4.2",
        (34790 - 10, 3850, 335306),
        "as_it_is: the biases of some layers are missing",
    ),
    "two layers without biases": (
        "4.2",
        (34790, 3850, 335306 - 42),
        "in_steps: the biases of some layers are missing",
    ),
    "1×1 throughout": ("4.3", (lambda n: family(n, kernels=1),), "convolution sees one pixel"),
    "no pooling": ("4.3", (lambda n: family(n, pools=0),), "They have [0, 0, 0] Pools"),
    "more pools": ("4.3", (lambda n: family(n, pools=n),), "They have [1, 2, 3] Pools"),
    "a pool for nothing": (
        "4.3",
        (lambda n: family(n, pool=Pool(1, 1)),),
        "family(1): pool 1 makes no map smaller",
    ),
    "a first pool for nothing": (
        "4.3",
        (lambda n: replace(family(n), stages=(Pool(3, 1, 1), *family(n).stages)),),
        "family(1): pool 1 makes no map smaller",
    ),
    "kernels that grow": (
        "4.3",
        (lambda n: family(n, kernels=2 * n + 1),),
        "Their blocks differ in kernel size or widths",
    ),
    "widths that grow below a wider end": (
        "4.3",
        (lambda n: family(n, width=32 * n, end=96),),
        "Their blocks differ in kernel size or widths",
    ),
    "no input size": ("4.3", (lambda n: family(n, size=224),), "Its input_size is 224"),
    "a fixed pair": (
        "8.1",
        (right_training, with_pair(lambda maps: maps[1] + maps[2])),
        "the largest pair may be anywhere",
    ),
    "no image": (
        "8.1",
        (right_training, with_pair(lambda maps: largest_pair(maps[1:]))),
        "the image is a map, too",
    ),
    "the largest and its next": (
        "8.1",
        (right_training, with_pair(largest_and_next)),
        "the largest may pair with the one before",
    ),
    "always two copies": (
        "8.1",
        (bytes_of(lambda copies: 8, lambda batch: 4 * batch), right_prediction),
        "copies need not be 2",
    ),
    "always three copies": (
        "8.1",
        (bytes_of(lambda copies: 12, lambda batch: 4 * batch), right_prediction),
        "copies 2: ",
    ),
}


@pytest.mark.parametrize("case", NEARLY)
def test_what_is_only_nearly_right_never_passes(case):
    number, answers, part = NEARLY[case]
    for _ in range(5):  # the input is random
        said = grade(number, *answers)
        assert said.startswith(f"Exercise {number}: not yet. ") and part in said, said


def same_shares(height, width):
    return torch.ones(height, width) / (height * width)


SHARED, OUT = nn.ReLU(), nn.Conv2d(32, 256, 1)

# Right, and not the way that our solution goes.
OTHER_WAYS = [
    ("1.3", 978.0),
    ("1.3", np.int64(978)),
    ("2.1", lambda x, w, b: torch.einsum("oc,nchw->nohw", w, x) + b[:, None, None]),
    ("2.1", lambda x, w, b: nn.functional.linear(x.movedim(1, -1), w, b).movedim(-1, 1)),
    ("2.2a", torch.eye(4)[[0, 3, 2, 1]]),
    ("2.2b", lambda A, a, B, b: [torch.einsum("oh,hi->oi", B, A), B.matmul(a) + b]),
    ("2.2b", with_own_tensors),
    ("2.3", magnitudes([[1, 1, 1, -1], [-1, -1, 1, -1]])),
    ("3.1", "feba"),
    ("3.1", "ABEF"),
    ("3.1", "a,b, e,f"),
    ("3.1", ["A", "b", "e", "f"]),
    ("3.3", relus(nn.Conv2d(96, 96, 5, padding=2, groups=96), nn.Conv2d(96, 256, 1))),
    ("3.3", relus(nn.Conv2d(96, 32, 1), *[nn.Conv2d(32, 32, 3, padding=1)] * 2, OUT)),
    ("3.3", relus(nn.Conv2d(96, 32, 1), nn.Conv2d(32, 32, 3, padding=2, dilation=2), OUT)),
    ("3.3", nn.Sequential(nn.Conv2d(96, 32, 5, padding=2), SHARED, OUT, SHARED)),
    ("4.1", lambda maps: maps.flatten(2).mean(-1)),
    ("4.1", lambda maps: torch.einsum("nchw,hw->nc", maps, same_shares(*maps.shape[2:]))),
    ("3.3", relus(nn.LazyConv2d(64, 1), nn.LazyConv2d(64, 5, padding=2), nn.LazyConv2d(256, 1))),
    ("4.3", family),
    ("4.3", strided_family),
    ("5.1", lambda a, b: [sum(a[s] > b[s] for s in a if s in b), len(set(a) & set(b))]),
    ("5.2", choice(np.median)),
    ("6.2", scaled((-1, -2, -3))),
    ("6.3", averaging(lambda weight, cells: torch.kron(weight, torch.ones(1, cells)))),
    ("7.1", why),
    ("7.3", lambda share: math.floor(1.96**2 * (1 - share) / share) + 1),
    ("11.2", lambda P, D: P[:, :, None, None] * D[:, None]),
    ("11.3", which_split),
]


@pytest.mark.parametrize(("number", "answer"), OTHER_WAYS)
def test_another_way_is_right_too(number, answer):
    assert grade(number, answer) == f"Exercise {number}: right."


def test_checks_leave_the_random_state_of_the_student_alone():
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    grade("2.1", conv1x1)
    grade("4.1", lambda maps: maps.mean(dim=(2, 3)))
    assert torch.equal(torch.random.get_rng_state(), before)


# ---- what is made from the sources


@pytest.mark.parametrize("path", SOURCES, ids=stem_of)
def test_what_is_made_is_in_step(path):
    assert exercises.problems(path) == []


@pytest.mark.slow
def test_making_twice_changes_nothing_and_spoiling_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(exercises, "FOLDER", tmp_path / "exercises")
    source = tmp_path / "exercises" / "03_nin_block.py"
    source.parent.mkdir()
    shutil.copy(ROOT / "exercises" / "03_nin_block.py", source)
    assert exercises.build(source) == "written for students, written for the book"
    assert exercises.build(source) == "unchanged for students, unchanged for the book"
    assert exercises.main(["check"]) == 0

    student = tmp_path / "notebooks" / "exercises" / "03_nin_block.ipynb"
    committed = ROOT / "notebooks" / "exercises" / "03_nin_block.ipynb"
    assert student.read_bytes() == committed.read_bytes().replace(b"\r\n", b"\n")
    student.write_text(student.read_text().replace("Predict", "Guess"))
    assert any("out of step" in found for found in exercises.problems(source))
    student.unlink()
    assert exercises.main(["check"]) == 1


@pytest.mark.parametrize("stem", MADE)
def test_students_get_no_solution_and_a_hint_for_each_exercise(stem):
    nb, _ = MADE[stem][STUDENTS]
    source = jupytext.read(exercises.FOLDER / f"{stem}.py", fmt="py:percent")
    text = "\n".join(cell.source for cell in nb.cells)
    for cell in source.cells:
        if exercises.is_solution(cell):
            assert cell.source not in text
        for blank in exercises.BLANK.finditer(cell.source):
            assert blank[1] in text + "\n" and "..." in blank[1]
            assert blank[2] not in text
    checks = text.count('\ncheck("')
    assert text.count("<summary>Hint</summary>") == checks
    assert text.count("## Exercise") <= 2 and text.count("## To stretch, exercise") == 1


@pytest.mark.parametrize("stem", MADE)
def test_readers_get_each_solution_in_a_fold(stem):
    nb, _ = MADE[stem][READERS]
    depth = 0
    for cell in nb.cells:
        depth += cell.source == "<details><summary>Solution</summary>"
        if exercises.is_solution(cell) or (cell.cell_type == "code" and "check(" in cell.source):
            assert depth == 1, cell.source
        depth -= cell.source == "</details>"
    assert depth == 0


def test_a_marker_without_its_fellows_is_named(tmp_path):
    source = tmp_path / "exercises" / "99_bad.py"
    source.parent.mkdir()
    source.write_text("# %% [markdown]\n# # Bad\n\n# %%\n# solution\nx = 1\n# end\n")
    with pytest.raises(notebooks.NotebookError, match="'# solution' has no counterpart"):
        exercises.versions(source)


@pytest.mark.parametrize("stem", MADE)
def test_a_cell_shows_every_figure_of_the_text(stem):
    _, page = MADE[stem][READERS]
    assert uncovered(nbformat.read(page, as_version=4)) == set()


def test_lines_of_code_fit_a_page():
    for path in SOURCES:
        for line in path.read_text(encoding="utf-8").splitlines():
            assert len(line) <= 78 or line.startswith("#"), f"{path.name}: {line}"


def test_a_source_in_another_encoding_is_named(tmp_path):
    source = tmp_path / "exercises" / "99_bad.py"
    source.parent.mkdir()
    source.write_bytes(b"\xef\xbb\xbf# %%\nx = 1\n")
    (problem,) = exercises.problems(source)
    assert "99_bad.py: begins with a byte order mark" in problem
