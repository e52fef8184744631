"""The GPU check in its short form on the processor, and that it can fail."""

import json

import pytest
import torch
from common import BENCHMARKS

from nin_lib.runtime.plan import ExecutionPlan


@pytest.fixture
def gpu_check(script):
    return script("gpu_check")


@pytest.fixture
def check(gpu_check):
    return gpu_check.Check("cpu", gpu_check.SHORT)


@pytest.mark.slow
def test_the_short_form_passes_on_the_processor(gpu_check, tmp_path, capsys):
    out = tmp_path / "report.json"
    status = gpu_check.main(["--device", "cpu", "--short", "--out", str(out)])
    report = json.loads(out.read_text())
    ends = {name: row["result"] for name, row in report["sections"].items()}
    assert ends.pop("memory") == "not possible here"
    assert set(ends.values()) == {"ok"} and len(ends) == 6, report
    assert status == 0 and "not possible here: PyTorch counts" in capsys.readouterr().out
    assert report["about"]["torch"] == torch.__version__
    assert not (BENCHMARKS / "gpu_check.json").exists()


def test_a_fused_step_with_float16_is_found(gpu_check, check, monkeypatch):
    """The fault it was written for: PyTorch's fused SGD takes momentum from unset memory."""
    monkeypatch.setattr(ExecutionPlan, "fused", property(lambda _: True))
    empty_like = torch.empty_like
    # Unset memory may hold anything, zeros included: here it holds NaN.
    monkeypatch.setattr(
        torch, "empty_like", lambda *a, **k: empty_like(*a, **k).fill_(float("nan"))
    )
    row = gpu_check.run_section(gpu_check.skipped_step, check)
    assert row["result"] == "failed" and "NaN" in row["reason"].replace("nan", "NaN")


@pytest.mark.parametrize(
    ("first", "weights", "reason"),
    [
        (1, b"same", "began with step 1"),
        (13, b"other", "model.safetensors differs"),
    ],
)
def test_a_resume_that_is_not_exact_is_found(gpu_check, check, monkeypatch, first, weights, reason):
    def child(option, folder, *more, fine=True, **_):
        if "--kill-at" in more:
            folder.mkdir()
            (folder / "checkpoint.safetensors").touch()
            return -9
        folder.mkdir(exist_ok=True)
        for name in gpu_check.checkpointer.RESULTS:
            (folder / name).write_bytes(weights if folder.name == "broken" else b"same")
        (folder / "first_step.txt").write_text(f"1\n{first}\n")
        return 0

    monkeypatch.setattr(gpu_check, "child", child)
    row = gpu_check.run_section(gpu_check.killed_and_resumed, check)
    assert row["result"] == "failed" and reason in row["reason"]


def test_a_section_that_breaks_does_not_stop_the_others(gpu_check, tmp_path, monkeypatch, capsys):
    def broken(check):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(gpu_check, "SECTIONS", {"first": broken, "second": lambda check: {"n": 1}})
    out = tmp_path / "report.json"
    status = gpu_check.main(["--device", "cpu", "--out", str(out)])
    sections = json.loads(out.read_text())["sections"]
    assert status == 1 and sections["second"] == {"result": "ok", "found": {"n": 1}, "seconds": 0.0}
    assert sections["first"]["reason"].startswith("RuntimeError: CUDA error")
    assert "failed: RuntimeError" in capsys.readouterr().out


def test_without_a_gpu_it_says_how_to_run(gpu_check, capsys, monkeypatch):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(SystemExit):
        gpu_check.main([])
    assert "--device cpu --short" in capsys.readouterr().err
