"""`Predict`: commit to one of several answers, then read why each is right or wrong.

Predict("How many weights has a 1×1 convolution from 3 channels to 4?", [
    Choice("4", False, "Each output has a weight for each of the 3 input channels."),
    Choice("12", True, "3 for each of the 4 outputs."),
])
"""

from __future__ import annotations

from collections.abc import Sequence

from nin_lib.widgets.base import Choice, Question, Widget, frame, static_frame


class Predict(Widget):
    """A question alone: `ask`, plain text, and `choices`, of which one or more are right.

    Raises `ValueError` where a text is empty or no text, two choices say the same, or not at least
    one is right and one wrong.
    """

    name = "choices"

    def __init__(self, ask: str, choices: Sequence[Choice]) -> None:
        refuse_empty("ask", ask)
        refuse_bad(choices)
        super().__init__(config=frame("", Question(ask, tuple(choices))), state={"answer": None})

    def to_text(self) -> str:
        """Return the question and its choices. The answers are in the HTML only, folded."""
        question = self.config["question"]
        return "\n".join([question["ask"], *(f"- {it['say']}" for it in question["choices"])])

    def static_view(self) -> str:
        return static_frame(self.config)


def refuse_bad(choices: Sequence[Choice]) -> None:
    if not isinstance(choices, Sequence):
        raise ValueError(f"choices must be a list of Choice, got {choices!r}")
    for i, choice in enumerate(choices):
        if not isinstance(choice, Choice):
            raise ValueError(f"choices[{i}] must be a Choice, got {choice!r}")
        refuse_empty(f"choices[{i}].say", choice.say)
        refuse_empty(f"choices[{i}].why", choice.why)
        if not isinstance(choice.right, bool):
            raise ValueError(f"choices[{i}].right must be True or False, got {choice.right!r}")
        if choice.say in [earlier.say for earlier in choices[:i]]:
            raise ValueError(f"choices[{i}].say must differ from the others, got {choice.say!r}")
    right = [choice.right for choice in choices]
    if all(right) or not any(right):
        got = f"{sum(right)} right of {len(right)}"
        raise ValueError(f"choices must hold at least one right and one wrong, got {got}")


def refuse_empty(name: str, text: object) -> None:
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"{name} must be a text that is not empty, got {text!r}")
