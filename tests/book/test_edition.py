"""The date at the foot of the book's pages: a commit's, never the clock's."""

import re
import subprocess
import sys

import pytest
from common import ROOT


@pytest.fixture
def edition(monkeypatch):
    """The extension of the book that finds the date."""
    monkeypatch.syspath_prepend(str(ROOT / "book" / "_ext"))
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    sys.modules.pop("edition", None)
    return pytest.importorskip("edition")


def test_the_date_is_that_of_the_last_commit(edition, monkeypatch):
    command = ["git", "log", "-1", "--format=%cs"]
    monkeypatch.setattr(
        edition.subprocess, "run",
        lambda asked, **_: subprocess.CompletedProcess(asked, asked != command, "2026-11-30\n"),
    )  # fmt: skip
    assert edition.edition_date() == "2026-11-30"


def test_a_given_date_comes_first(edition, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    assert edition.edition_date() == "2001-09-09"


def test_without_a_repository_or_git_there_is_no_date(edition, monkeypatch, tmp_path):
    monkeypatch.setattr(edition, "ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert edition.edition_date() == ""
    monkeypatch.setenv("PATH", "")
    assert edition.edition_date() == ""


def test_this_repository_has_a_date(edition):
    assert re.fullmatch(r"(\d{4}-\d\d-\d\d)?", edition.edition_date())
