"""Open the chapter, or test it: `python start.py lab`, `python start.py test`.

Everything is installed into the folder .venv beside this file, the first time it is needed.
This file needs nothing but Python. The Makefile only calls it.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")

PIP = shlex.split("-m pip install --no-input --disable-pip-version-check --progress-bar off")
D2L = "d2l==1.0.3"
PYTEST = shlex.split("-m pytest -q")
NBVAL = shlex.split(
    "--nbval --nbval-current-env --nbval-cell-timeout=600 --timeout=900 -p no:cacheprovider"
)
BOOK = shlex.split(
    "-c 'from jupyter_book.cli.main import main; main()' build ."
    " --config book/_config.yml --toc book/_toc.yml --path-output book -W --keep-going"
)
UV = shlex.split(
    "-m uv pip compile pyproject.toml --all-extras --universal --python-version 3.11"
    " --fork-strategy fewest --no-annotate --no-emit-index-url --no-emit-find-links -q"
    " --custom-compile-command 'python start.py constraints' -o constraints.txt"
)

say = partial(print, flush=True)


class Failed(Exception):
    """Something the reader can put right; the message says how."""


# ---- installing


def version_problem(version: tuple) -> str:
    """What to tell someone whose Python is too old or too new; nothing if it will do."""
    if (3, 11) <= tuple(version[:2]) <= (3, 14):
        return ""
    return (
        "The chapter needs Python 3.11, 3.12, 3.13 or 3.14, and this is Python %d.%d.\n"
        "With one of them installed: python3.12 start.py lab, or make lab PYTHON=python3.12,\n"
        "or on Windows: py -3.12 start.py lab" % tuple(version[:2])
    )


def install(*extras: str) -> None:
    """Install the core and these extras, unless the stamps in .venv say that they are there."""
    wanted = ("core", *extras)
    if PYTHON.exists() and not missing(wanted):
        return
    if "tensorflow" in extras and sys.version_info >= (3, 14):
        raise Failed(
            "The tests want TensorFlow, which has no build for Python 3.14 yet. With Python 3.13\n"
            "or older: delete .venv, then make test PYTHON=python3.13.\n"
            "(Beside the tests, only notebooks 9 and 10 use it.)"
        )
    make_venv()
    names = missing(wanted)  # asked again: in a new .venv everything is missing
    say(f"Installing {', '.join(names)}. All that pip says goes to .venv/install.log")
    if not stamp("core").exists() and cpu_build_is_enough():
        say("No NVIDIA GPU here? PyTorch's CPU build is far smaller: press Ctrl-C and run")
        say("  PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu make lab")
    groups = ",".join(name for name in names if name != "core")
    pip_install("-c", "constraints.txt", "-e", f".[{groups}]" if groups else ".")
    if "d2l" in names:
        pip_install("--no-deps", D2L)  # its pins are stale; no list of requirements can say that
    for name in names:
        stamp(name).write_text(fingerprint())


def missing(names: tuple[str, ...]) -> list[str]:
    current = fingerprint()
    return [n for n in names if not stamp(n).exists() or stamp(n).read_text() != current]


def stamp(name: str) -> Path:
    """The file in .venv that says from what this part was installed."""
    return VENV / ("installed-" + name)


def fingerprint() -> str:
    """Changes with the pinned versions, the list of packages, or the place of this folder."""
    files = [(ROOT / name).read_bytes() for name in ("constraints.txt", "pyproject.toml")]
    return hashlib.sha256(b"\n".join([*files, os.fsencode(ROOT)])).hexdigest()


def make_venv() -> None:
    """Make .venv; make it anew if it is broken or pip was stopped while it wrote there."""
    has_pip = PYTHON.exists() and quietly(str(PYTHON), "-c", "import pip").returncode == 0
    if has_pip and not (VENV / "half-done").exists():
        return
    say(f"Making .venv with Python {platform.python_version()}")
    made = quietly(sys.executable, "-m", "venv", "--clear", str(VENV))
    if made.returncode != 0:
        raise Failed(f"Python could not make .venv:\n{made.stdout}{made.stderr}")


def quietly(*command: str) -> subprocess.CompletedProcess:
    return subprocess.run(command, capture_output=True, text=True)


def cpu_build_is_enough() -> bool:
    """True on Linux on x86 with no NVIDIA GPU, where pip would fetch gigabytes for nothing."""
    linux = sys.platform == "linux" and platform.machine() == "x86_64"
    gpu = shutil.which("nvidia-smi") or os.path.exists("/dev/nvidia0")
    return linux and not gpu and "whl/cpu" not in os.environ.get("PIP_EXTRA_INDEX_URL", "")


def pip_install(*arguments: str) -> None:
    """Run pip, show its big steps, write the rest to .venv/install.log."""
    started = time.monotonic()
    lines = []
    pip = subprocess.Popen(
        [str(PYTHON), *PIP, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    assert pip.stdout
    try:
        with open(VENV / "install.log", "w", encoding="utf-8") as log:
            for line in pip.stdout:
                log.write(line)
                lines.append(line)
                if line.startswith("Installing collected packages"):
                    (VENV / "half-done").touch()
                if big_step(line):
                    say("  " + big_step(line))
    except BaseException:  # Ctrl-C above all
        pip.terminate()
        raise
    finally:
        pip.wait()
    if pip.returncode != 0:
        raise Failed(install_advice(lines))
    (VENV / "half-done").unlink(missing_ok=True)
    say(f"Installed in {time.monotonic() - started:.0f} s")


def big_step(line: str) -> str:
    """What a reader sees of a line of pip's: downloads of 10 MB and more, and the last step."""
    if line.startswith("Installing collected packages"):
        return f"Writing packages: {line.count(',') + 1}"
    file = re.match(r"\s*Downloading (?:\S*/)?([^\s-]+-[^\s-]+)\S* (\(\d\d+\.\d MB\))", line)
    return f"Downloading {file[1]} {file[2]}" if file else ""


def install_advice(lines: list[str]) -> str:
    errors = [line for line in lines if "error" in line.lower()] or lines
    free = shutil.disk_usage(ROOT).free / 1e9
    return (
        "Installing failed. From .venv/install.log:\n\n"
        + "".join("    " + line.lstrip() for line in errors[-8:])
        + "\nRun the same command again: what was downloaded is kept. If it fails again, look at\n"
        "  network     pip must reach its package index (behind a proxy: set HTTPS_PROXY)\n"
        f"  disk space  the core takes some GB, with CUDA about 6; {free:.1f} GB are free"
    )


# ---- running


def run(*arguments: str) -> int:
    """Run .venv's Python in this folder. Ctrl-C reaches it too: let it end in its own way."""
    path = os.pathsep.join([str(BIN), os.environ.get("PATH", "")])
    process = subprocess.Popen(
        [str(PYTHON), *arguments], cwd=ROOT, env={**os.environ, "PATH": path}
    )
    interrupted = False
    while process.poll() is None:
        try:
            process.wait()
        except KeyboardInterrupt:
            interrupted = True
    if interrupted and process.returncode != 0:
        raise KeyboardInterrupt
    return process.returncode


def run_all(parts: dict[str, list[str]]) -> int:
    """Run every part, even after one has failed, and end with a table."""
    rows = []
    for name, arguments in parts.items():
        say(f"\n=== {name}")
        started = time.monotonic()
        passed = run(*arguments) == 0
        rows.append((name, time.monotonic() - started, passed))
    say()
    for name, seconds, passed in rows:
        say(f"{name:<26} {seconds:7.1f} s   {'passed' if passed else 'FAILED'}")
    failures = sum(not passed for _, _, passed in rows)
    say(f"{len(rows) - failures} passed, {failures} failed")
    return 1 if failures else 0


def copy_notebooks(originals: Path, copies: Path) -> list[str]:
    """Copy the notebooks that have no copy yet, unpaired from their .py; never change a copy."""
    files = [*originals.glob("*.ipynb"), *originals.glob("exercises/*.ipynb")]
    names = sorted(file.relative_to(originals).as_posix() for file in files)
    new = [name for name in names if not (copies / name).exists()]
    for name in new:
        notebook = json.loads((originals / name).read_text(encoding="utf-8"))
        notebook["metadata"].pop("jupytext", None)
        draft = copies / (name + ".part")  # so that no half-written copy is ever kept
        draft.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps(notebook, indent=1, ensure_ascii=False), encoding="utf-8")
        draft.replace(copies / name)
    return new


def keep_lab_quiet() -> None:
    """Or JupyterLab greets a newcomer with a question about news. A user's choice outranks it."""
    file = VENV / "share/jupyter/lab/settings/overrides.json"
    if not file.exists():
        quiet = {"fetchNews": "false", "checkForUpdates": False}
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"@jupyterlab/apputils-extension:notification": quiet}))


def open_lab(folder: Path, arguments: tuple[str, ...]) -> int:
    """Open JupyterLab on the folder's first notebook, with LAB_ARGS from the environment."""
    first = min(folder.glob("*.ipynb"), default=None)
    if first is None:
        raise Failed(f"There is no notebook in {folder.name}/ yet.")
    keep_lab_quiet()
    more = shlex.split(os.environ.get("LAB_ARGS", ""), posix=os.name == "posix")
    return run("-m", "jupyterlab", str(first), f"--ServerApp.root_dir={ROOT}", *more, *arguments)


# ---- commands: each takes what follows its name and returns an exit code


def lab(*arguments: str) -> int:
    """open the chapter in JupyterLab, in your own copy (my_notebooks/)"""
    install()
    for name in copy_notebooks(ROOT / "notebooks", ROOT / "my_notebooks"):
        say(f"New: my_notebooks/{name}")
    return open_lab(ROOT / "my_notebooks", arguments)


def test(*arguments: str) -> int:
    """run all tests: units, notebooks, their pairs, the book"""
    install("book", "test", "tensorflow", "jax", "d2l")
    return run_all(
        {
            "unit and property tests": [*PYTEST, "--hypothesis-profile=ci", "tests", *arguments],
            "notebooks": [*PYTEST, *NBVAL, "notebooks", "exercises"],
            "pairs of notebooks": ["tools/notebooks.py", "check"],
            "exercises": ["-m", "tools.exercises", "check"],
            "book": BOOK,
        }
    )


def book(*arguments: str) -> int:
    """build the book, a website in book/_build/html"""
    install("book")
    code = run(*BOOK, *arguments)
    if code == 0:
        say(f"Open {(ROOT / 'book/_build/html/index.html').as_uri()}")
    return code


def site(*arguments: str) -> int:
    """build the book and serve it on this machine (site 9000: at that port)"""
    code = book()
    port = arguments[0] if arguments else "8000"
    say(f"Serving it at http://127.0.0.1:{port}/ until Ctrl-C")
    folder = str(ROOT / "book/_build/html")
    return code or run("-m", "http.server", port, "--bind", "127.0.0.1", "--directory", folder)


def notebooks(*arguments: str) -> int:
    """make each .ipynb from its .py: write, execute, freeze"""
    install("test")
    made = run("tools/notebooks.py", "build", *arguments)
    return made or run("-m", "tools.exercises", "build", *arguments)


def train(*arguments: str) -> int:
    """train a network in this terminal (train --help shows how)"""
    install()
    return run("-m", "nin_lib", "train", *arguments)


def edit(*arguments: str) -> int:
    """open the original notebooks, to change the chapter itself"""
    install()
    return open_lab(ROOT / "notebooks", arguments)


def lint(*arguments: str) -> int:
    """check style and types with ruff and mypy"""
    install("lint")
    return run_all(
        {
            "ruff check": ["-m", "ruff", "check", ".", *arguments],
            "ruff format": ["-m", "ruff", "format", "--check", "."],
            "mypy": ["-m", "mypy"],
        }
    )


def constraints(*arguments: str) -> int:
    """pin new requirements in constraints.txt (with --upgrade: all of them anew)"""
    make_venv()
    pip_install("uv")
    return run(*UV, *arguments)


def help(*arguments: str) -> int:
    """show this list"""
    say("python start.py COMMAND, or make COMMAND:\n")
    for name, command in COMMANDS.items():
        say(f"  {name:<12} {command.__doc__}")
    return 0


ORDER = [lab, test, book, site, notebooks, train, edit, lint, constraints, help]
COMMANDS = {command.__name__: command for command in ORDER}


def main(name: str = "help", *arguments: str) -> int:
    try:
        if name not in COMMANDS:
            raise Failed(f"There is no command {name!r}; python start.py help lists them.")
        if name != "help" and version_problem(sys.version_info):
            raise Failed(version_problem(sys.version_info))
        return COMMANDS[name](*arguments)
    except Failed as problem:
        say(problem)
        return 1
    except KeyboardInterrupt:
        say("\nStopped.")
        return 130


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]  # Windows consoles
    sys.exit(main(*sys.argv[1:]))
