"""Two real gloo ranks against one process."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.ddp


def _run(file: Path, devices: int, steps: int, output: Path) -> list[dict[str, float]]:
    script = Path(__file__).with_name("ddp_run.py")
    command = [sys.executable, str(script), str(file), str(devices), str(steps), str(output)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return [json.loads(Path(f"{output}.{rank}").read_text()) for rank in range(devices)]


def test_two_ranks_evaluate_an_odd_number_of_rows_as_one_process_does(flights, tmp_path):
    file = tmp_path / "odd.parquet"
    flights.iloc[:-1].to_parquet(file)
    (one,), two = _run(file, 1, 0, tmp_path / "one"), _run(file, 2, 0, tmp_path / "two")
    rows = one.pop("rows")
    assert rows % 2 == 1
    assert len(one) == 40
    for name, value in one.items():  # every loader serves the same rows
        assert one[name[name.index("val/") :]] == pytest.approx(value, abs=1e-6)
    for figures in two:
        assert figures == pytest.approx({**one, "rows": rows}, abs=1e-6)


def test_two_ranks_train_one_model_with_one_prior(flights_csv, tmp_path):
    two = _run(flights_csv, 2, 10, tmp_path / "fit")
    assert [figures["rank"] for figures in two] == [0, 1]
    for name in ("prior", "train_prior", "weights"):
        assert two[0][name] == two[1][name]
    assert two[0]["train_prior"][1] == pytest.approx(1 / 3)
