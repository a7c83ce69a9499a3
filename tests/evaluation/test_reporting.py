"""Reports from directories: a comparison's and a run's, again from what they left, never from half of it."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score

from imbalance_torch.data.datasets import load_nyc_flights
from imbalance_torch.evaluation import compare_into, load_comparison, report
from imbalance_torch.evaluation._reporting import report_of_comparison, report_of_run
from imbalance_torch.training import DataOptions, Settings, TabularDataModule, TabularModel, Technique, train

SETTINGS = Settings(network="mlp", batch_size=128, max_steps=20)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "flights.parquet"
    load_nyc_flights().frame.iloc[::60].to_parquet(path)
    return path


@pytest.fixture(scope="module")
def compared(file, tmp_path_factory):
    directory = tmp_path_factory.mktemp("compared") / "runs"
    data = TabularDataModule(str(file), "cancelled", time="scheduled_departure", group="carrier", audit=False)
    techniques = ["smote", "random_forest"]
    keywords = {"techniques": techniques, "settings": SETTINGS, "budgets": [5, 10], "num_repeats": 2, "splits": "fixed"}
    return *compare_into(directory, data, **keywords), directory


@pytest.fixture(scope="module")
def run(file, tmp_path_factory):
    directory = tmp_path_factory.mktemp("run") / "smote"
    options = DataOptions(str(file), "cancelled", "scheduled_departure", audit=False)
    train(options, replace(SETTINGS, technique=Technique(resampler="smote")), directory)
    return directory


def test_what_a_comparison_leaves(compared):
    comparison, page, directory = compared
    assert {path.name for path in directory.iterdir()} - {".lock"} == {
        "comparison.json",
        "model",
        "models",
        "report.html",
        "results.parquet",
        "summary.json",
    }
    assert page == directory / "report.html"
    assert json.loads((directory / "summary.json").read_text()) == json.loads(json.dumps(comparison.to_dict()))
    assert TabularModel.load(directory / "model").threshold == comparison.scored["baseline"].threshold


def test_the_report_again_from_the_directory_is_the_same(compared, tmp_path):
    comparison, page, directory = compared
    again = report(directory, tmp_path / "again.html")
    assert again.read_text(encoding="utf-8") == page.read_text(encoding="utf-8")
    loaded = load_comparison(directory)
    pd.testing.assert_frame_equal(loaded.results, comparison.results)
    assert loaded.effects == comparison.effects
    assert loaded.to_dict() == comparison.to_dict()


def test_the_page_of_a_comparison(compared):
    comparison, _, _ = compared
    page = report_of_comparison(comparison)
    assert [scored.name for scored in page.scored] == ["baseline", "smote", "random_forest"]
    assert page.verdict.startswith("Keep the plain baseline")
    assert [table.caption for table in page.tables] == ["10 steps, 2 repeats", "5 steps, 2 repeats"]
    for row in page.tables[0].rows:
        assert row[1] == f"{comparison.means(10).loc[row[0], 'ap']:.3f}"
    baseline = comparison.scored["baseline"]
    assert len(baseline.time) == len(baseline.group) == len(baseline.target)
    assert np.issubdtype(baseline.time.dtype, np.datetime64)


def test_the_page_of_a_run(run):
    page = report_of_run(run)
    (scored,) = page.scored
    model = TabularModel.load(run / "model")
    assert scored.threshold == model.threshold
    assert scored.realism["synthetic_rows"] == 500
    assert scored.train_shares == pytest.approx([0.8, 0.2], abs=0.01)
    figures = json.loads((run / "metrics.json").read_text())
    assert average_precision_score(scored.target, scored.corrected[:, 1]) == pytest.approx(figures["ap"], rel=1e-9)
    assert f"{figures['ap']:.3f}" in page.verdict
    assert report(run).read_text(encoding="utf-8").startswith("<!doctype html>")


def test_three_classes(tmp_path):
    generator = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], [400, 120, 80])
    frame = pd.DataFrame(generator.normal(size=(600, 3)) + y[:, None], columns=list("abc")).assign(y=y)
    data = TabularDataModule(frame, "y", audit=False)
    comparison, page = compare_into(
        tmp_path / "c", data, techniques=["logit_adjusted"], settings=SETTINGS, budgets=[10], num_repeats=2
    )
    assert len(comparison.scored["baseline"].threshold) == 3
    assert page.is_file()
    frame.to_parquet(tmp_path / "t.parquet")
    train(DataOptions(str(tmp_path / "t.parquet"), "y", audit=False), SETTINGS, tmp_path / "r")
    assert report(tmp_path / "r") == tmp_path / "r" / "report.html"


def test_where_there_is_nothing_or_half_of_it(run, compared, tmp_path, file):
    with pytest.raises(FileNotFoundError, match="neither a run nor a comparison"):
        report(tmp_path)
    (tmp_path / "run.json").write_text((run / "run.json").read_text())
    with pytest.raises(FileNotFoundError, match=r"not finished\. Go on with `resume`"):
        report(tmp_path)
    half = tmp_path / "half"
    (half / "fits").mkdir(parents=True)
    (half / "comparison.json").write_text((compared[2] / "comparison.json").read_text())
    with pytest.raises(FileNotFoundError, match=r"not finished\. Run the same `compare` again"):
        report(half)
    for text in ("{", "{}", "[]", "null"):
        (half / "comparison.json").write_text(text)
        with pytest.raises(ValueError, match=r"comparison\.json is damaged"):
            report(half)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("results.parquet", b"PAR1 and no more", r"results\.parquet is damaged .* Delete it"),
        ("results.parquet", None, "not finished"),
        ("models/smote-10/model.json", b"{}", r"Or delete .*smote-10"),
    ],
)
def test_damaged_files_are_named(compared, tmp_path, name, content, told):
    copy = tmp_path / "copy"
    shutil.copytree(compared[2], copy)
    (copy / name).unlink()
    if content is not None:
        (copy / name).write_bytes(content)
    with pytest.raises((FileNotFoundError, ValueError), match=told):
        report(copy)


def test_changed_data_are_not_reported_on(run, file, tmp_path):
    for name in ("run.json", "metrics.json"):
        record = (run / name).read_text().replace(str(file), str(tmp_path / "changed.parquet"))
        (tmp_path / name).write_text(record)
    pd.read_parquet(file).iloc[1:].to_parquet(tmp_path / "changed.parquet")
    with pytest.raises(ValueError, match="has changed since the run began"):
        report(tmp_path)
