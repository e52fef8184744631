"""Buttons for Colab and Binder, and where the code is, once the settings name a repository."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from common import ROOT

import start
from nin_lib import __version__

OFF = 'repository_url: ""\n'
REPOSITORY = "https://github.com/some-owner/some-name"
COLAB = "https://colab.research.google.com/github/some-owner/some-name/blob/main"
BINDER = "https://mybinder.org/v2/gh/some-owner/some-name/main?urlpath=lab/tree"
pytestmark = pytest.mark.slow
PAGES = ["book/index.md", "notebooks/03_nin_block.ipynb", "exercises/03_nin_block.ipynb"]


@pytest.fixture(scope="module", params=[REPOSITORY, ""])
def built(request, tmp_path_factory):
    """The repository's address, and three pages built with it: of text, a notebook, exercises."""
    folder = tmp_path_factory.mktemp("book")
    for name in ("_ext", "_static", "_templates", "references.bib"):
        copy = shutil.copytree if (ROOT / "book" / name).is_dir() else shutil.copy
        (folder / "book").mkdir(exist_ok=True)
        copy(ROOT / "book" / name, folder / "book" / name)
    for page in PAGES:
        (folder / page).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / page, folder / page)
    root, *chapters = [Path(page).with_suffix("").as_posix() for page in PAGES]
    toc = f"format: jb-article\nroot: {root}\nsections:\n"
    (folder / "toc.yml").write_text(toc + "".join(f"- file: {it}\n" for it in chapters))
    settings = (ROOT / "book" / "_config.yml").read_text(encoding="utf-8")
    assert settings.count(OFF) == 1  # as delivered
    settings = settings.replace(OFF, f'repository_url: "{request.param}"\n')
    (folder / "book" / "_config.yml").write_text(settings, encoding="utf-8")
    places = {"book/_toc.yml": "toc.yml", "book": "out"}
    command = [places.get(part, part) for part in start.BOOK if part != "-W"]
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, capture_output=True, text=True, timeout=100,
        env=os.environ | {"SOURCE_DATE_EPOCH": "1000000000"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return request.param, folder / "out" / "_build" / "html"


def soup(html: Path, page: str) -> BeautifulSoup:
    text = (html / page).with_suffix(".html").read_text(encoding="utf-8")
    return BeautifulSoup(text, "html.parser")


def launchers(html: Path, page: str) -> set[str]:
    links = {link["href"] for link in soup(html, page).select("a[href]")}
    return {link for link in links if "colab" in link or "mybinder" in link}


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_the_buttons_open_the_students_notebooks(built):
    repository, html = built
    text, notebook, exercises = PAGES
    assert launchers(html, text) == set()
    for page, opened in ((notebook, notebook), (exercises, f"notebooks/{exercises}")):
        assert (ROOT / opened).is_file()
        wanted = {f"{COLAB}/{opened}", f"{BINDER}/{opened}"} if repository else set()
        assert launchers(html, page) == wanted


@pytest.mark.timeout(200)
def test_their_pictures_come_from_the_site(built):
    repository, html = built
    folder = (html / PAGES[1]).parent
    pictures = soup(html, PAGES[1]).select(".dropdown-launch-buttons img")
    assert len(pictures) == (2 if repository else 0)
    assert all((folder / picture["src"].split("?")[0]).is_file() for picture in pictures)
    assert all(picture["alt"] for picture in pictures)


@pytest.mark.timeout(200)
def test_the_front_page_says_where_the_code_is(built):
    repository, html = built
    texts = soup(html, PAGES[0]).select("article p")
    (how,) = [text for text in texts if "get the code" in text.get_text()]
    assert [link["href"] for link in how.select("a")] == [repository] * bool(repository)


def test_every_page_names_the_version_and_its_date(built):
    _, html = built
    for page in [*PAGES, "search.html"]:
        (edition,) = soup(html, page).select("footer .edition")
        assert edition.get_text() == f"Version {__version__}, 2001-09-09"
