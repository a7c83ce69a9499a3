"""Every example runs as a user would run it, with a small budget, and prints what it promises."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
BUDGET = {
    "01_loss_in_your_loop.py": ["--steps", "60"],
    "02_sampler_in_your_dataloader.py": ["--steps", "20"],
    "03_train_with_lightning.py": ["--max-steps", "20"],
    "04_smote_on_device.py": ["--epochs", "1"],
    "05_images.py": ["--max-steps", "60"],
    "06_multilabel.py": ["--max-steps", "150"],
}


def run(name, *arguments):
    command = [sys.executable, str(EXAMPLES / name), *BUDGET[name], *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_every_example_is_run_and_short():
    files = sorted(EXAMPLES.glob("*.py"))
    assert [file.name for file in files] == sorted(BUDGET)
    assert [file.name for file in files if len(file.read_text(encoding="utf-8").splitlines()) > 60] == []


def test_the_loss_example_brings_the_probabilities_back():
    share, trained, corrected = map(float, re.findall(r": +(\d\.\d+)", run("01_loss_in_your_loop.py")))
    assert trained > 10 * share
    assert abs(corrected - share) < 0.25 * share


def test_the_sampler_example_compares_both_loaders():
    scores = re.findall(r"average precision after 20 steps: (\d\.\d+)", run("02_sampler_in_your_dataloader.py"))
    assert len(scores) == 2
    assert all(0 < float(score) <= 1 for score in scores)


@pytest.mark.slow
@pytest.mark.parametrize("accelerator", ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
def test_the_trainer_example_reports_both_parts(accelerator):
    if accelerator == "cuda":
        torch = pytest.importorskip("torch")
        if not torch.cuda.is_available():
            pytest.skip("no CUDA device")
    printed = run("03_train_with_lightning.py", "--accelerator", accelerator)
    figures = dict(re.findall(r"((?:val|test)/\w+) +\S* +(\d\.\d+)", printed))
    assert set(figures) == {"val/ap", "val/calibration_error", "test/ap", "test/calibration_error"}
    assert float(figures["test/ap"]) > 0.05  # three times the share of positives
    assert float(figures["test/calibration_error"]) < 0.05


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
def test_the_smote_example_sets_both_runs_side_by_side(device):
    if device == "cuda":
        torch = pytest.importorskip("torch")
        if not torch.cuda.is_available():
            pytest.skip("no CUDA device")
    printed = run("04_smote_on_device.py", "--device", device)
    runs = re.findall(r"(\w+): average precision (\d\.\d+), mean probability (\d\.\d+), drawing (\d+\.\d+) ms", printed)
    assert [name for name, *_ in runs] == ["plain", "SMOTE"]
    assert all(0 < float(score) <= 1 for _, score, *_ in runs)
    assert float(runs[1][2]) < 0.03  # without the correction it is above 0.1
    assert float(runs[1][3]) > 0


@pytest.mark.slow
def test_the_image_example_sets_both_decisions_side_by_side():
    printed = run("05_images.py")
    runs = re.findall(r"(\w+), (.+?) *: macro AP (\d\.\d+), recall by class (.+)", printed)
    assert [(name, rule) for name, rule, *_ in runs] == [
        (name, rule) for name in ("shuffled", "balanced") for rule in ("likeliest", "p / share")
    ]
    recall = [[float(figure) for figure in figures.split()] for *_, figures in runs]
    assert {len(figures) for figures in recall} == {8}
    assert sum(recall[0][4:]) < sum(recall[3][4:])  # the rare half gains
    assert all(0 < float(ap) <= 1 for *_, ap, _ in runs)


@pytest.mark.slow
def test_the_multilabel_example_prints_a_row_per_label():
    header, *rows = run("06_multilabel.py").splitlines()
    assert header.split()[:4] == ["label", "share", "mean", "p"]
    table = [[float(figure) for figure in row.split()] for row in rows]
    assert [int(row[0]) for row in table] == [0, 1, 2, 3]
    assert table[0][2] == pytest.approx(table[0][1], rel=0.15)  # a focal loss alone gives about 0.4 for a share of 0.3
    assert all(0 <= figure <= 1 for row in table for figure in row[1:])
    assert sum(row[6] for row in table) > sum(row[4] for row in table)  # F1 at the chosen thresholds against 0.5
