"""The book's page on speed against the stored figures, and the scripts' own arithmetic.

Nothing is measured here.
"""

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from common import BENCHMARKS
from tiny_runs import NET

from nin_lib import recorded
from nin_lib.data import Dataset, load
from nin_lib.history import Step
from nin_lib.networks import NETWORKS, Entry
from nin_lib.recipe import SIZES
from nin_lib.runtime.interrupt import Interrupted
from nin_lib.widgets import LiveCurves

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def page(script):
    return script("page")


# ---- the page


def test_the_page_and_its_charts_are_what_the_script_makes(page):
    assert page.PAGE.read_text(encoding="utf-8") == page.page(), "run benchmarks/page.py"
    for theme, file in page.CHARTS.items():
        chart = page.chart(page.read("training"), theme)
        assert file.read_text(encoding="utf-8") == chart, "run benchmarks/page.py"


def test_what_the_page_says_in_words(page):
    """Sentences of page.md that no figure is filled into: where one fails, write it anew."""
    new, old = page.read("training"), page.read("training-AVX2")
    assert page.faster(new).keys() == {"keras"}
    assert page.faster(old) == {}
    amx = page.read("training-AMX")
    assert amx["about"]["hardware"]["flags"]["amx_bf16"] and amx["about"]["finished"]
    assert page.faster(amx) == {} and page.end_to_end(amx, "ours", "keras-fast") < 1.05
    assert "bfloat16, channels last, memory kept" in amx["peers"]["ours"]["about"]
    assert new["about"]["finished"] and old["about"]["finished"]
    assert not new["about"]["hardware"]["flags"]["amx_bf16"] and not new["skipped"]
    for name in ("pytorch-fast", "keras-fast", "flax-fast"):
        full = name.replace("-fast", "-channels-last" if name.startswith("py") else "")
        assert page.end_to_end(new, name, full) < 1  # bfloat16 does not pay there
    assert "float32, channels last, memory kept" in new["peers"]["ours"]["about"]
    peaks = {name: record["medians"]["peak_mb"] for name, record in new["peers"].items()}
    assert peaks["ours"] > sorted(peaks.values())[len(peaks) // 2]
    learned = page.learning()
    assert float(learned["apart"]) < float(learned["scatter"]) and learned["seeds"] == "5"
    shares = {part: float(share[:-2]) for part, share in page.profile().items()}
    assert shares["convolutions"] > 70 and shares["enlarging"] + shares["optimiser"] < 1


def test_figures_on_the_page(page):
    """A few, computed another way."""
    text = page.page()
    rounds = page.read("training")["peers"]["keras"]["rounds"]
    ours = page.read("training")["peers"]["ours"]["rounds"]
    speed = [[r["end_to_end"]["images_per_second"] for r in rows] for rows in (rounds, ours)]
    ratios = sorted(keras / own for keras, own in zip(*speed, strict=True))
    assert f"Keras on TensorFlow is {ratios[2]:.2f} times as fast" in text
    assert f"| Keras on TensorFlow | 62.9 | 15,859 | {sorted(speed[0])[2]:.1f} |" in text
    assert "79 % is in convolutions" in text
    assert "{" not in text.replace("```{image}", "")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_bars_are_as_long_as_the_figures_beside_them(page, theme):
    root = ET.fromstring(page.chart(page.read("training"), theme))
    bars = [float(bar.get("width")) for bar in root.iter(f"{SVG}rect")]
    figures = [t for t in root.iter(f"{SVG}text") if t.get("class", "").startswith("figure")]
    speeds = [float(figure.text.split()[0]) for figure in figures]
    assert len(bars) == len(page.read("training")["peers"]) == len(speeds)
    assert speeds == sorted(speeds, reverse=True)
    for bar, speed in zip(bars, speeds, strict=True):
        assert bar / bars[0] == pytest.approx(speed / speeds[0], abs=0.005)
    ends = [float(f.get("x")) + 9.3 * len(f.text) for f in figures]  # 9.3: wide, for 16 px
    assert max(ends) <= page.WIDTH


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_of_the_chart_differ_also_in_grey(page, theme):
    def luminance(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    def contrast(one, other):
        low, high = sorted(map(luminance, (one, other)))
        return (high + 0.05) / (low + 0.05)

    colours, back = page.COLOURS[theme], {"light": "#ffffff", "dark": "#121212"}[theme]
    assert contrast(colours["text"], back) > 7
    assert contrast(colours["bar"], colours["ours"]) > 2.5
    assert contrast(colours["ours"], back) > 4.5 and contrast(colours["bar"], back) > 1.9


# ---- the scripts


@pytest.mark.parametrize(
    ("script", "line"),
    [
        (["training.py"], "| **ours**, `nin_lib.train.fit` | 57.3 |"),
        (["training.py", "--limit", "AVX2"], "| **ours**, `nin_lib.train.fit` | 33.0 |"),
        (["class_run.py"], "| none | 5 | 32 (31 to 33) | 1059 (962 to 1129) MiB |"),
        (["same_learning.py"], "| plain float32 | 5 | 0.559 (0.461 to 0.640) |"),
        (["full_run_memory.py"], "| batch size | runs | peak in training |"),
        (["d2l_memory.py"], "| jax | 128 | 2,133 MB |"),
        (["three_frameworks.py"], "| framework | seeds | after epoch 1 | 2 | 3 |"),
        (["crowded.py"], "| a second run | 0.342 | 0.134 | 2.4 (2.0 to 11.1) |"),
        (["d2l_loaders.py"], "| loader | framework | before | peak |"),
    ],
)
def test_tables_of_what_is_stored(script, line):
    command = [sys.executable, BENCHMARKS / script[0], *script[1:], "--table"]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert line in done.stdout


def test_d2l_with_our_images_stays_under_3_gb(script):
    runs, memory = script("runs"), script("d2l_memory")
    rows = runs.stored(memory.RESULTS)
    assert {row["framework"] for row in rows} == set(memory.PACKAGES)
    assert all(row["peak_mb"] < 3000 for row in rows if row["batch_size"] == 128)


def test_no_framework_collapses_at_class_size(script):
    """As far as runs are stored: each learns well above chance, which is 0.1, from each seed."""
    runs, three = script("runs"), script("three_frameworks")
    rows = runs.stored(three.RESULTS)
    assert rows and all(row["val_accuracy"][-1] > 0.6 for row in rows)
    table = three.table(
        [{"framework": "jax", "val_accuracy": [0.1, 0.2, share]} for share in (0.5, 0.7, 0.9)]
    )
    end = "| jax | 3 | 0.100 (0.100 to 0.100) | 0.200 (0.200 to 0.200) | 0.700 (0.500 to 0.900) |"
    assert table.endswith(end)


def test_what_the_book_says_of_a_crowded_processor(script):
    crowded = script("crowded")
    rounds = json.loads(crowded.RESULTS.read_text(encoding="utf-8"))["rounds"]
    beside, alone = (crowded.ratios(rounds, company) for company in ("a second run", "none"))
    words = (BENCHMARKS.parent / "book" / "troubleshooting.md").read_text(encoding="utf-8")
    assert f"took {min(beside):.0f} to {max(beside):.0f} times as long" in words
    assert f"there a step took {1 / sorted(alone)[1]:.1f} times as long" in words
    assert len(rounds) == 3 and "three rounds" in words


def test_every_script_is_in_the_readme():
    text = (BENCHMARKS / "README.md").read_text(encoding="utf-8")
    for path in BENCHMARKS.glob("*.py"):
        assert f"`{path.name}`" in text, path.name


def test_runs_are_kept_as_they_end_and_never_made_twice(tmp_path, script):
    runs = script("runs")
    file, made = tmp_path / "runs.jsonl", []

    def run(seed):
        if seed == 2:
            raise KeyboardInterrupt
        made.append(seed)
        return {"loss": 0.5 * seed}

    with pytest.raises(KeyboardInterrupt):
        runs.make(file, [{"seed": seed} for seed in (0, 1, 2)], run)
    runs.make(file, [{"seed": seed} for seed in (0, 1, 3)], run)
    assert made == [0, 1, 3]
    assert runs.stored(file) == [{"seed": seed, "loss": 0.5 * seed} for seed in made]
    assert runs.stored(tmp_path / "none.jsonl") == []
    assert runs.spread([3, 1, 2], ".0f") == "2 (1 to 3)"


def test_a_run_is_repeated_by_its_settings(tmp_path, monkeypatch, capsys, script):
    runs = script("runs")
    wanted = [{"name": name, "seed": seed} for name in ("a b", "c") for seed in (1, 10)]
    assert runs.chosen(wanted, ["name=a b", "seed=1"]) == wanted[:1]
    assert runs.chosen(wanted, ["seed=10"]) == [wanted[1], wanted[3]]
    with pytest.raises(SystemExit, match="no run with name=d"):
        runs.chosen(wanted, ["name=d"])
    monkeypatch.setattr("sys.argv", ["x", "--again", "name=c", "seed=1"])
    kept = tmp_path / "none.jsonl"
    runs.main("About.", kept, wanted, lambda name, seed: {"loss": 2}, None)
    assert json.loads(capsys.readouterr().out) == {"name": "c", "seed": 1, "loss": 2}
    assert not kept.exists()


@pytest.mark.slow
def test_a_full_run_can_be_stopped_and_goes_on(tmp_path, monkeypatch, capsys, script):
    """With a tiny network and few images: the row is that of a run which was not stopped."""
    full = script("full_runs")
    monkeypatch.setitem(NETWORKS, "tiny", Entry(NET, 0, (), "made up"))
    mini = load("mini")
    few = Dataset("few", mini.train.first(640), mini.val.first(80), mini.test.first(80))
    monkeypatch.setattr(full, "load", lambda name: few)
    monkeypatch.setattr(
        full, "SIZE", replace(SIZES["class"], network="tiny", epochs=2, batch_size=32)
    )

    def ignore(event): ...

    def stop(event):
        if isinstance(event, Step) and event.step == 27:  # in the second epoch, between two points
            raise Interrupted

    for name, observer in {"at once": ignore, "stopped": stop, "on": ignore}.items():
        monkeypatch.setattr(full, "RESULTS", tmp_path / f"{name}.jsonl")
        monkeypatch.setattr(full, "progress", lambda observer=observer: observer)
        keep = tmp_path / name.replace("on", "stopped")
        monkeypatch.setattr("sys.argv", ["", "--arm=default", "--seed=0", f"--keep={keep}"])
        if observer is stop:
            with pytest.raises(SystemExit, match="goes on"):
                full.main()
        else:
            full.main()
    assert not (tmp_path / "stopped.jsonl").exists()
    (once,), (on,) = (full.stored(tmp_path / f"{name}.jsonl") for name in ("at once", "on"))
    assert once["epochs"] == on["epochs"] and len(once["epochs"][-1]["recall"]) == 10
    assert [row["step"] for row in on["steps"]] == [20, 40]
    assert on["steps"][0] == once["steps"][0]  # the window of the stop is a shorter one
    assert (once["arm"], once["seed"], once["test_accuracy"]) == ("default", 0, on["test_accuracy"])
    assert "test_accuracy" not in capsys.readouterr().out
    (tmp_path / "on.jsonl").unlink()  # as if it had been cut off before its line was written
    full.main()
    assert full.stored(tmp_path / "on.jsonl") == [on]
    capsys.readouterr()
    full.main()
    said = capsys.readouterr().out
    assert said.splitlines()[0].startswith("| arm |")  # the run is there: only the table
    assert "test accuracy" not in said and "test accuracy" in full.table([on], test=True)
    monkeypatch.setattr("sys.argv", ["", "--again", "--arm=default", "--seed=0", f"--keep={keep}"])
    full.main()
    again = json.loads(capsys.readouterr().out)
    assert again["epochs"] == on["epochs"] and not {"test_accuracy", "steps"} & again.keys()
    assert full.stored(tmp_path / "on.jsonl") == [on]
    monkeypatch.setattr(full, "RECORDED", tmp_path)
    monkeypatch.setattr(recorded, "FOLDER", tmp_path)
    full.record([on])
    assert recorded.full_runs()[0]["test_accuracy"] == on["test_accuracy"]
    run = recorded.run("full-default")
    assert LiveCurves.replay(run).config["series"]["train_loss"][-1] == (2, on["steps"][-1]["loss"])
    assert run.history.last["val_accuracy"] == on["epochs"][-1]["val_accuracy"]
    assert len(run.classes["shares"]) == len(run.classes["names"]) == 10


@pytest.mark.parametrize(("given", "rule"), [
    (["--seed=1"], "--keep FOLDER is needed"),
    (["--seed=7", "--keep=x"], "--seed: 7 is not in [0, 1, 2]; --again takes any seed"),
    (["--again", "--seed=7", "--keep=x"], "--again needs --arm and --seed"),
])  # fmt: skip
def test_a_full_run_that_is_not_well_described_is_refused(monkeypatch, capsys, given, rule, script):
    full = script("full_runs")
    monkeypatch.setattr("sys.argv", ["", *given])
    with pytest.raises(SystemExit):
        full.main()
    assert rule in capsys.readouterr().err


def test_a_ratio_is_the_median_of_the_ratios_within_the_rounds(script):
    training = script("training")

    def record(*speeds):
        row = ({"images_per_second": speed} for speed in speeds)
        return {"rounds": [{"round": n, "step": value} for n, value in enumerate(row)]}

    assert training.ratio(record(10, 40, 30), record(10, 20, 10), "step") == 2
    assert training.ratio(record(10, 40), record(5, 40, 1), "step") == 1.5
    assert training.ratio({"rounds": []}, record(1), "step") is None
    assert training.rotated([1, 2, 3], 4) == [2, 3, 1] and training.rotated([], 1) == []


def test_a_peer_that_is_another_network_or_does_not_learn_is_refused(monkeypatch, script):
    np = pytest.importorskip("numpy")
    serving = script("serving", "benchmarks/peers")
    monkeypatch.setattr(serving, "PARAMETERS", 3)

    class Peer:
        about = "a peer"

        def __init__(self, size=3, moves=1.0, loss=2.0):
            self.array, self.moves, self.now = np.zeros(size, np.float32), moves, loss

        def weights(self):
            return [self.array]

        def loss(self):
            return self.now

        def end_to_end(self, clock):
            for _ in serving.Ticking([1], clock):
                self.array += self.moves

    assert serving.prove(Peer()) > 0
    for peer, message in (
        (Peer(size=4), "4 parameters in place of 3"),
        (Peer(moves=0.0), "no training"),
        (Peer(loss=float("nan")), "the loss is nan"),
    ):
        with pytest.raises(AssertionError, match=message):
            serving.prove(peer)


def test_memory_is_looked_at_in_training_and_after_evaluation(monkeypatch, script):
    """With a net and images that take a second."""
    from nin_lib import recipe

    memory = script("full_run_memory")
    small = replace(recipe.SIZES["full"], network="paper-mnist", input_size=None)
    monkeypatch.setitem(recipe.SIZES, "full", small)
    monkeypatch.setattr(memory, "HELD_OUT", 8)
    row = memory.peaks(batch_size=2, number=0)
    assert (row["steps"], row["held_out"], row["plan"]["device"]) == (memory.STEPS, 8, "cpu")
    assert json.loads(json.dumps(row)) == row
    if row["training_mb"] is None:
        pytest.skip("a process's peak of memory can't be asked for here")
    assert 50 < row["training_mb"] <= row["with_evaluation_mb"]
    assert "| 2 | 1 |" in memory.table([{"batch_size": 2, **row}])
