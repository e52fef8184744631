"""The wheel and the sdist: what they hold, and that the library works without its repository."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest
from common import ROOT

BUILD = """
import sys
from setuptools import build_meta
getattr(build_meta, "build_" + sys.argv[1])(sys.argv[2])
"""
SKIPPED = shutil.ignore_patterns("__pycache__", "*.egg-info")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A copy of what is packed, and the two archives made from it."""
    pytest.importorskip("setuptools")
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("built")
    shutil.copytree(ROOT / "nin_lib", source / "nin_lib", ignore=SKIPPED)
    for name in ("pyproject.toml", "README.md", "LICENSE", "LICENSE-TEXT.md"):
        shutil.copy(ROOT / name, source)
    for kind in ("wheel", "sdist"):
        done = subprocess.run(
            [sys.executable, "-c", BUILD, kind, str(target)],
            cwd=source, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
    return source, next(target.glob("*.whl")), next(target.glob("*.tar.gz"))


def test_both_hold_every_file_of_the_library(built):
    source, wheel, sdist = built
    wanted = {
        path.relative_to(source).as_posix()
        for path in (source / "nin_lib").rglob("*")
        if path.is_file()
    }
    assert {"nin_lib/py.typed", "nin_lib/mini/LICENSE", "nin_lib/widgets/base.js"} <= wanted
    with zipfile.ZipFile(wheel) as archive:
        assert wanted <= set(archive.namelist())
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert wanted | {"pyproject.toml", "README.md", "LICENSE"} <= names


@pytest.mark.release
@pytest.mark.timeout(600)
def test_the_core_tests_pass_with_the_installed_wheel(built, tmp_path):
    """In a folder that has the tests and everything else of the repository but no nin_lib."""
    _, wheel, _ = built
    site, project = tmp_path / "site", tmp_path / "project"
    install = ["-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", str(site)]
    subprocess.run([sys.executable, *install, str(wheel)], check=True, capture_output=True)
    project.mkdir()
    for path in ROOT.iterdir():
        if path.name not in ("nin_lib", "node_modules") and not path.name.startswith("."):
            (project / path.name).symlink_to(path)
    (project / "tests").unlink()
    shutil.copytree(ROOT / "tests", project / "tests", ignore=SKIPPED)
    environment = {**os.environ, "PYTHONPATH": str(site), "PYTEST_ADDOPTS": "-p no:cacheprovider"}
    where = "import nin_lib; print(nin_lib.__file__)"
    found, tests = (
        subprocess.run(
            [sys.executable, *command], cwd=project, env=environment, capture_output=True, text=True
        )
        for command in (["-c", where], ["-m", "pytest", "-q", "-m", "not slow", "tests/core"])
    )
    assert found.stdout.startswith(str(site))
    assert tests.returncode == 0, tests.stdout[-3000:] + tests.stderr[-1000:]
