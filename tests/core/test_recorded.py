"""What comes with the package: a trained network, as good as is on record, and runs to replay."""

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from nin_lib import recorded
from nin_lib.class_maps import class_maps, means
from nin_lib.data import load
from nin_lib.flow import totals
from nin_lib.networks import network
from nin_lib.recipe import recipe
from nin_lib.widgets import LiveCurves
from nin_lib.widgets.curve_recorder import LANE_LIMIT


@pytest.mark.slow
def test_the_trained_network_is_as_good_on_held_out_images_as_on_record():
    model, facts = recorded.trained(), recorded.about()
    val = load("mini").val  # drawn from the 5,000 images that the run held out
    right = (means(class_maps(model, val.images)).argmax(axis=1) == val.labels).mean()
    assert facts["val_accuracy"] > 0.88
    assert right == pytest.approx(facts["val_accuracy"], abs=0.03)  # 3 standard errors of 1,000


def test_it_is_the_network_of_its_name_as_its_recipe_wants_it():
    model, facts = recorded.trained("paper-mnist"), recorded.about("paper-mnist")
    assert not model.training
    assert model.spec.stages == network("paper-mnist").stages
    assert model.spec.last_relu is facts["recipe"]["last_relu"] is False
    assert sum(p.numel() for p in model.parameters()) == 349_674
    assert all(p.dtype == torch.float32 and p.isfinite().all() for p in model.parameters())
    assert facts["rows"][-1]["epoch"] == facts["epochs"]


def test_it_is_small_and_other_names_are_refused():
    assert recorded.weights_file("paper-mnist").stat().st_size < 750_000
    with pytest.raises(ValueError, match="no trained network 'vgg'; there are paper-mnist"):
        recorded.trained("vgg")


def test_two_loads_are_equal_and_apart():
    first, second = recorded.trained(), recorded.trained()
    with torch.no_grad():
        next(first.parameters()).zero_()
    assert np.abs(next(second.parameters()).detach().numpy()).max() > 0


# ---- runs that are replayed


RUNS = ("class-collapse", "class-default", "class-kaiming")
FULL = ("full-default", "full-published")


@pytest.mark.parametrize("name", (*RUNS, *FULL))
def test_a_recorded_run_says_what_it_was_made_of_and_on(name):
    run = recorded.run(name)
    about = run.history.about
    assert len(run.history.rows) == about.epochs
    assert network(about.network) and about.seed == 0
    assert about.data == ("full" if name in FULL else "mini")
    assert {"processor", "threads", "instruction_set", "torch", "numpy"} <= set(about.plan)
    assert (recorded.FOLDER / f"{name}.json").stat().st_size < (40_000 if name in FULL else 15_000)


def test_they_are_the_runs_that_their_names_say():
    collapse, default, kaiming = map(recorded.run, RUNS)
    published = recipe("published")
    assert collapse.history.about.recipe == asdict(published)
    assert default.history.about.recipe == asdict(recipe("default"))
    assert kaiming.history.about.recipe == asdict(replace(published, init="kaiming"))
    assert collapse.history.last["val_accuracy"] < 0.60 < default.history.last["val_accuracy"]
    assert any(0 in lane for lane in collapse.classes["shares"])
    assert any("dead: " in words for words in collapse.told) and not default.told


@pytest.mark.parametrize("name", FULL)
def test_a_full_run_has_the_recipe_of_its_name(name):
    about = recorded.run(name).history.about
    assert about.recipe == asdict(recipe(name.removeprefix("full-")))
    assert [about.network, about.epochs, about.images] == ["chapter", 10, 55_000]


def test_what_is_recorded_of_the_full_runs_is_made_from_their_results(
    tmp_path, monkeypatch, script
):
    made = script("full_runs")
    monkeypatch.setattr(made, "RECORDED", tmp_path)
    made.record(made.stored(made.RESULTS))
    files = {file.name: file.read_text(encoding="utf-8") for file in tmp_path.iterdir()}
    assert files.keys() == {file.name for file in recorded.FOLDER.glob("full*")}
    for name, text in files.items():
        kept = (recorded.FOLDER / name).read_text(encoding="utf-8")
        assert kept == text, "run full_runs.py --record"


@pytest.mark.parametrize("name", (*RUNS, *FULL))
def test_a_replay_shows_the_points_that_were_recorded(name, capsys):
    run = recorded.run(name)
    curves = LiveCurves.replay(run, "again", below={"the same": run})
    assert curves.config["series"] == {
        key: [tuple(point) for point in points] for key, points in run.series.items()
    }
    shown = curves.config["classes"]
    assert shown["names"] == run.classes["names"]
    if len(run.classes["x"]) <= LANE_LIMIT:
        assert [shown["x"], shown["shares"]] == [run.classes["x"], run.classes["shares"]]
    else:  # neighbours are joined
        assert name in FULL and len(shown["x"]) <= LANE_LIMIT
        assert shown["x"][-1] > run.classes["x"][-3] and len(shown["shares"]) == 10
    assert curves.config["status"] == "finished" and curves.config["kept"][0]["name"] == "the same"
    assert f"{run.history.last['val_accuracy']:.3f}" in curves.to_text()
    assert capsys.readouterr().out == ""


def test_other_runs_are_refused():
    with pytest.raises(ValueError, match="no recorded run 'x'; there are class-collapse, class-d"):
        recorded.run("x")


# ---- the summaries of the study, and of the runs at full size


def test_the_summary_is_what_the_study_makes_of_its_results(script):
    study = script("collapse_study")
    made = study.summarise(study.stored(study.RESULTS))
    assert study.SUMMARY.read_text(encoding="utf-8") == made, "run collapse_study.py --summary"


@pytest.mark.parametrize(("file", "epochs", "line"), [("study", 6, 0.60), ("full_runs", 10, 0.83)])
def test_a_summary_can_be_read(file, epochs, line):
    runs = getattr(recorded, file)()
    assert len({(run["arm"], run["seed"]) for run in runs}) == len(runs) > 0
    for run in runs:
        assert len(run["loss"]) == len(run["accuracy"]) == len(run["dead"]) <= epochs
        assert all(set(dead) <= set(range(10)) for dead in run["dead"])
        assert run["failed"] == (len(run["loss"]) < epochs or run["accuracy"][-1] < line)


# ---- the variants


def test_the_variants_were_run_as_they_are_described(script):
    described = script("variants")
    runs = recorded.variants()
    assert len({(run["variant"], run["seed"]) for run in runs}) == len(runs) > 0
    for run in runs:
        spec, _ = described.VARIANTS[run["variant"]]
        assert run["parameters"] == totals(spec).parameters
        assert run["multiply_adds"] == totals(spec).multiply_adds
        assert len(run["val_accuracy"]) == len(run["train_accuracy"]) == 3
    ten = {(variant, seed) for variant in described.VARIANTS for seed in range(10)}
    assert {(run["variant"], run["seed"]) for run in runs} == ten


def test_a_variant_changes_one_thing(script):
    described = script("variants")
    spec_as_it_is, rate_as_it_is = described.VARIANTS["as it is"]
    for name, (spec, rate) in described.VARIANTS.items():
        changed = (spec != spec_as_it_is) + (rate != rate_as_it_is)
        assert changed == (0 if name == "as it is" else 2 if ", learning rate" in name else 1), name
