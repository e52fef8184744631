"""A prediction among choices without a browser: what it shows, keeps back and refuses."""

import html
import json
import re

import pytest
from bs4 import BeautifulSoup

pytest.importorskip("anywidget")
from nin_lib.widgets import Choice, Predict

ASK = "How many weights has a 1×1 convolution from 3 channels to 4?"
CHOICES = (
    Choice("4 & no more", False, "Each output has a weight for each of the <3> inputs."),
    Choice("it's 12", True, "3 for each of the 4 outputs."),
    Choice("36", False, "That would be nine for each: a 3×3 kernel."),
)


def test_the_text_asks_and_does_not_tell():
    text = Predict(ASK, CHOICES).to_text()
    assert text.splitlines() == [ASK, "- 4 & no more", "- it's 12", "- 36"]
    assert not any(choice.why in text for choice in CHOICES)


def test_what_stands_still_keeps_the_answers_folded():
    soup = BeautifulSoup(Predict(ASK, CHOICES).static_view(), "html.parser")
    folded = soup.select_one("details").extract()
    assert [item.get_text() for item in folded.select("li")] == [
        "4 & no more: not so. Each output has a weight for each of the <3> inputs.",
        "it's 12: right. 3 for each of the 4 outputs.",
        "36: not so. That would be nine for each: a 3×3 kernel.",
    ]
    assert soup.p.get_text() == f"Predict: {ASK}"
    assert [item.get_text() for item in soup.select("li")] == [choice.say for choice in CHOICES]


def test_the_page_gets_the_question_once_as_data():
    predict = Predict(ASK, list(CHOICES))
    data, _ = predict._repr_mimebundle_()
    assert data["text/plain"] == predict.to_text()
    assert "application/vnd.jupyter.widget-view+json" in data
    quoted = re.match(r"<nin-choices data-config='([^']*)'>", data["text/html"])[1]
    config = json.loads(html.unescape(quoted))
    assert config["question"]["ask"] == ASK
    assert [Choice(**choice) for choice in config["question"]["choices"]] == list(CHOICES)
    assert config["answer"] is None
    assert len(data["text/html"]) < 1500


def test_several_may_be_right():
    question = Predict(ASK, [*CHOICES, Choice("a dozen", True, "The same.")])
    assert question.static_view().count(": right.") == 2


@pytest.mark.parametrize(
    ("ask", "choices", "words"),
    [
        ("", CHOICES, "ask must be a text that is not empty, got ''"),
        (7, CHOICES, "ask must be a text that is not empty, got 7"),
        (ASK, 7, "choices must be a list of Choice, got 7"),
        (ASK, [], "choices must hold at least one right and one wrong, got 0 right of 0"),
        (ASK, CHOICES[:1], "choices must hold at least .*, got 0 right of 1"),
        (ASK, CHOICES[1:2], "choices must hold at least .*, got 1 right of 1"),
        (ASK, "ab", "choices[0] must be a Choice, got 'a'"),
        (ASK, [*CHOICES, CHOICES[0]], "choices[3].say must differ from the others, got '4 & no"),
        (ASK, [Choice(12, True, "w")], "choices[0].say must be a text that is not empty, got 12"),
        (ASK, [Choice("a", True, " ")], "choices[0].why must be a text that is not empty, got ' '"),
        (ASK, [Choice("a", "no", "w")], "choices[0].right must be True or False, got 'no'"),
    ],
)
def test_what_it_refuses(ask, choices, words):
    pattern = ".*".join(map(re.escape, words.split(".*")))
    with pytest.raises(ValueError, match=pattern):
        Predict(ask, choices)
