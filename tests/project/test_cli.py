"""The commands, as a user types them; and what importing loads."""

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from common import ROOT

import nin_lib
from nin_lib import cli

FRAMEWORKS = ("torch", "tensorflow", "jax", "keras", "flax", "numpy")


def run_python(*arguments, python=sys.executable, **settings):
    return subprocess.run(
        [python, *arguments], cwd=ROOT, capture_output=True, text=True, encoding="utf-8",
        env=os.environ | settings,
    )  # fmt: skip


def pythons():
    """This Python, and the other supported ones that start on this machine."""
    named = [shutil.which(f"python3.{minor}") for minor in (11, 12, 13)]
    managed = sorted(Path.home().glob(".pyenv/versions/3.1[123].*/bin/python"))
    found = [*filter(None, named), *map(str, managed)]
    return [
        sys.executable,
        *(python for python in found if run_python("-c", "", python=python).returncode == 0),
    ]


@pytest.mark.parametrize("python", pythons())
def test_the_core_imports_without_any_framework(python):
    program = (
        "import sys\n"
        f"for name in {FRAMEWORKS!r}: sys.modules[name] = None\n"  # importing one would fail
        "import nin_lib, nin_lib.spec, nin_lib.flow, nin_lib.history, nin_lib.recipe, nin_lib.cli\n"
        "print(nin_lib.totals(nin_lib.network('chapter')).parameters)\n"
    )
    done = run_python("-c", program, python=python)
    assert done.stdout.strip() == "1992166", done.stderr


def test_importing_loads_no_framework():
    program = f"import sys, nin_lib; print([m for m in {FRAMEWORKS!r} if m in sys.modules])"
    assert run_python("-c", program).stdout.strip() == "[]"


@pytest.mark.slow
def test_modules_named_after_frameworks_do_not_shadow_them():
    program = "from nin_lib import torch as nin; import torch; print(torch.__name__, nin.__name__)"
    assert run_python("-c", program).stdout.split() == ["torch", "nin_lib.torch"]


def test_shapes(capsys):
    assert cli.main(["shapes"]) == 0
    out = capsys.readouterr().out
    assert "1,992,166" in out and "762,297,352" in out
    assert cli.main(["shapes", "paper-mnist", "--input", "32"]) == 0
    assert "96×32×32" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["shapes", "resnet"], "no network named 'resnet'"),
        (["shapes", "--input", "40"], "smallest input that works is 67×67"),
        (["shapes", "--input", "0"], "size must be an integer of at least 1, got 0"),
        (["train", "--epochs", "0"], "epochs must be an integer of at least 1, got 0"),
        (["train", "--batch-size", "0"], "batch_size must be an integer of at least 1, got 0"),
        (["train", "--precision", "int8"], "precision must be one of float32, bfloat16"),
        (["train", "--size", "full", "--folder", "nowhere"], "nowhere: no train-images"),
        (["train", "--device", "abacus"], "abacus"),
    ],
)
def test_errors_are_one_line_and_exit_status_2(capsys, arguments, message):
    assert cli.main(arguments) == 2
    err = capsys.readouterr().err
    assert message in err and err.startswith("nin: ") and "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--folder", "/does/not/exist"], "--folder is for --size full"),
        (["--size", "class", "--download"], "--download is for --size full"),
        (["--anyway"], "--anyway needs --resume or --out"),
        (["--overwrite"], "--overwrite needs --out"),
        (["--overwrite", "--anyway", "--out", "run"], "--anyway does not go with --overwrite"),
        (["--tune", "--precision", "float32"], "--precision does not go with --tune"),
    ],
)
def test_a_flag_without_effect_is_refused(capsys, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", *arguments]) == 2
    assert message in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_timing_is_refused_to_several_processes(monkeypatch, capsys):
    """Each would choose a plan of its own."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert cli.main(["train", "--tune"]) == 2
    assert "nin: --tune is for one process" in capsys.readouterr().err


def test_data(capsys):
    assert cli.main(["data"]) == 0
    assert "mini: 6000 training, 1000 held-out, 1000 test" in capsys.readouterr().out


def test_train_from_a_terminal(tmp_path, monkeypatch, capsys):
    """The command itself, on a net small enough to train in a second."""
    from nin_lib import networks, spec

    monkeypatch.setitem(cli.SIZES, "class", replace(cli.SIZES["class"], network="tiny"))
    tiny = spec.Network((spec.Block(3, (4, 10), stride=3),), input_size=28)
    monkeypatch.setitem(networks.NETWORKS, "tiny", networks.Entry(tiny, 90, (9,), "made up"))
    out = tmp_path / "run"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))  # the same on Windows
    arguments = ["train", "--epochs", "2", "--batch-size", "500", "--seed", "1", "--out=~/run"]
    assert cli.main(arguments) == 0
    text = capsys.readouterr().out
    assert "held-out images: loss" in text and "test images" not in text
    about = json.loads((out / "history.json").read_text(encoding="utf-8"))["about"]
    assert (about["seed"], about["epochs"], about["batch_size"]) == (1, 2, 500)
    assert len((out / "history.csv").read_text(encoding="utf-8").splitlines()) == 3
    from safetensors.torch import load_file

    assert sum(w.numel() for w in load_file(out / "model.safetensors").values()) == 90


def test_python_m_nin_lib():
    done = run_python("-m", "nin_lib", "shapes", "lenet")
    assert done.returncode == 0 and "61,706" in done.stdout
    assert run_python("-m", "nin_lib").returncode == 2


@pytest.mark.parametrize("encoding", ["cp1251", "cp437", "ascii"])
def test_it_prints_in_any_encoding(encoding):
    done = run_python("-m", "nin_lib", "shapes", "lenet", PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, "")
    assert "5x5 conv" in done.stdout
    done = run_python("-m", "nin_lib", "shapes", "--input", "40", PYTHONIOENCODING=encoding)
    assert "smallest input that works is 67x67" in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="no pipe of this kind on Windows")
@pytest.mark.parametrize(
    ("command", "unbuffered", "code"),
    [("shapes", "", 141), ("shapes", "1", 141), ("--help", "", 141), ("--help", "1", 0)],
)
def test_a_pipe_whose_reader_ends_first_is_no_error(command, unbuffered, code):
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "nin_lib", command], cwd=ROOT, stdout=writing,
        stderr=subprocess.PIPE, env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
    )  # fmt: skip
    os.close(writing)
    assert (done.returncode, done.stderr) == (code, b"")


def test_the_version_is_that_of_pyproject(capsys, tmp_path, monkeypatch):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert nin_lib.__version__ == project["version"]
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"nin {project['version']}\n"

    package = tmp_path / "nin_lib"  # where no pyproject.toml is near, as in site-packages
    package.mkdir()
    monkeypatch.setattr(nin_lib, "__file__", str(package / "__init__.py"))
    monkeypatch.setattr(importlib.metadata, "version", {"nin-lib": "1.2.3"}.__getitem__)
    assert nin_lib.__version__ == "1.2.3"
