"""The shape flow explorer without a browser: what Python sets, reads, shows and refuses."""

import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("anywidget")
from nin_lib.flow import ShapeError, shape_flow
from nin_lib.networks import NETWORKS, network
from nin_lib.spec import Block, Network, Pool
from nin_lib.tables import html_table, text_table
from nin_lib.widgets import base
from nin_lib.widgets.shape_flow import QUESTION, ShapeFlow

TINY = Network((Block(3, (4, 2)), Pool(2, 2)), input_size=9, dense=(5, 3))


@pytest.mark.parametrize("name", NETWORKS)
def test_every_named_network_comes_back_as_it_went_in(name):
    explorer = ShapeFlow(name)
    assert explorer.spec == network(name)
    assert explorer.rows == shape_flow(network(name))
    assert explorer.state["start"] == name


def test_a_network_of_ones_own():
    explorer = ShapeFlow(TINY)
    assert explorer.spec == TINY
    assert explorer.state["start"] == "your network"
    assert Network.from_json(json.dumps(explorer.config["networks"]["your network"])) == TINY


def test_the_readers_edits_become_a_network_that_can_be_built():
    torch = pytest.importorskip("torch")
    from nin_lib import torch as nin

    explorer = ShapeFlow(TINY)
    spec = json.loads(json.dumps(explorer.state["spec"]))  # what the page sends
    spec["stages"][0]["widths"] = [6, 7]
    explorer.change(spec=spec, size=[12, 12])
    assert explorer.spec == replace(TINY, stages=(Block(3, (6, 7)), Pool(2, 2)), input_size=12)
    model = nin.NiN(explorer.spec)  # with dense layers for 12×12, not for 9×9
    assert model(torch.zeros(1, 1, 12, 12)).shape == (1, 3)


def test_spec_and_size_can_be_set():
    explorer = ShapeFlow("chapter", size=226)
    assert explorer.size == explorer.spec.input_size == 226
    explorer.size = (200, 224)
    assert explorer.size == (200, 224)
    assert explorer.spec.input_size == 224  # its own: no square was set
    assert explorer.rows == shape_flow(network("chapter"), (200, 224))
    explorer.spec = TINY
    assert explorer.spec == TINY
    assert explorer.size == 9
    assert explorer.state["start"] == "chapter"  # what it is compared with


def test_the_question_is_asked_about_the_network_and_size_that_it_names():
    for explorer in (ShapeFlow(), ShapeFlow(network("chapter")), ShapeFlow("chapter", (224, 224))):
        assert explorer.config["question"]["ask"] == QUESTION.ask
    for explorer in (ShapeFlow("lenet"), ShapeFlow(TINY), ShapeFlow("chapter", size=200)):
        assert explorer.config["question"] is None and "Predict" not in explorer.static_view()
    own = replace(QUESTION, ask="How many parameters does LeNet have?")
    assert ShapeFlow("lenet", question=own).config["question"]["ask"] == own.ask


def test_a_widget_gets_its_own_javascript_only(tmp_path, monkeypatch):
    for file in ("base", "shape", "shape_flow", "shape_flow_sums"):
        (tmp_path / f"{file}.js").write_text(f"{file}!")
    monkeypatch.setattr(base, "FOLDER", tmp_path)
    assert base.delivered("shape").split() == ["base!", "shape!"]
    assert base.delivered("shape_flow").split() == ["base!", "shape_flow_sums!", "shape_flow!"]


def test_every_javascript_file_belongs_to_one_widget():
    widgets = {path.stem for path in base.FOLDER.glob("*.js") if path.with_suffix(".py").exists()}
    parts = [part for own in base.PARTS.values() for part in own]
    assert base.PARTS.keys() <= widgets
    every = sorted(path.stem for path in base.FOLDER.glob("*.js"))
    assert every == sorted([*widgets, *parts])


def test_an_impossible_network_is_a_network_without_rows():
    explorer = ShapeFlow("chapter", size=66)
    assert explorer.spec.input_size == 66
    words = "pool 3: kernel_size 3 does not fit a 2×2 input .* smallest input that works is 67×67"
    with pytest.raises(ShapeError, match=words):
        _ = explorer.rows
    assert explorer.to_text().startswith("pool 3: kernel_size 3 does not fit")
    assert "pool 3: kernel_size 3 does not fit" in explorer.static_view()


def test_a_broken_rule_is_told_by_both():
    explorer = ShapeFlow("chapter")
    spec = explorer.state["spec"]
    spec = {**spec, "stages": [{**spec["stages"][0], "stride": 0}, *spec["stages"][1:]]}
    explorer.change(spec=spec)
    words = "^stage 1: Block.stride must be an integer of at least 1, got 0$"
    with pytest.raises(ValueError, match=words):
        _ = explorer.spec
    with pytest.raises(ShapeError, match=words):
        _ = explorer.rows
    assert explorer.to_text() == "stage 1: Block.stride must be an integer of at least 1, got 0"


def test_what_it_refuses():
    explorer = ShapeFlow()
    for act, words in [
        (lambda: ShapeFlow("nin"), "there is no network named 'nin'"),
        (lambda: ShapeFlow(7), "start must be a name or a Network, got 7"),
        (lambda: ShapeFlow("chapter", size=0), "size must be an integer of at least 1, got 0"),
        (lambda: ShapeFlow("chapter", size=(1, 2, 3)), "size must be an integer or"),
        (lambda: setattr(explorer, "size", 2.5), "size must be an integer of at least 1, got 2.5"),
        (lambda: setattr(explorer, "spec", "chapter"), "spec must be a Network, got 'chapter'"),
    ]:
        with pytest.raises(ValueError, match=words):
            act()
    assert explorer.spec == network("chapter")


def test_text_and_still_are_the_tables_of_flow():
    explorer = ShapeFlow("paper-mnist", size=(28, 40))
    assert explorer.to_text() == text_table(network("paper-mnist"), (28, 40))
    assert html_table(network("paper-mnist"), (28, 40)) in explorer.static_view()
    data, _ = explorer._repr_mimebundle_()
    assert data["text/plain"] == explorer.to_text()
    assert data["text/html"].startswith("<nin-shape-flow ")
    assert "application/vnd.jupyter.widget-view+json" in data


def test_the_answers_are_so():
    """Each number in the question's answers, by the arithmetic."""
    net = network("chapter")
    last = [shape_flow(net, n)[-2].shape[1] for n in (194, 195, 200, 224, 226, 227)]
    assert last == [4, 5, 5, 5, 5, 6]
    assert [choice.right for choice in QUESTION.choices] == [False, False, True, False]


def test_what_is_sent_is_small():
    assert len(ShapeFlow().to_html()) < 32_000  # fifteen networks in full


def test_sizes_of_any_integer_type_reach_the_page_as_plain_ones():
    explorer = ShapeFlow("lenet", np.int64(28))
    explorer.size = (np.uint8(30), np.int16(31))
    assert json.loads(json.dumps(explorer.state))["size"] == [30, 31]
    assert json.loads(json.dumps(explorer.config))["first"]["size"] == [28, 28]
