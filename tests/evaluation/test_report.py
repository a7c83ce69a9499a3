"""The page as a document: nothing loaded, headings and texts for everyone, contrast, and no way in for labels."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest

from imbalance_torch.evaluation import Report, write_report
from imbalance_torch.evaluation import _report as module
from imbalance_torch.evaluation._axes import PALETTE
from imbalance_torch.evaluation._report_text import calibration_text, class_table, group_table, threshold_text
from tests.evaluation.report_cases import comparison, many_classes, two_classes

HOSTILE = "<script>alert(1)</script>\"'&{{ 7 * 7 }}$^{_"
VOID = {"meta", "br", "hr", "img", "link", "input"}


class Page(HTMLParser):
    """Every tag with its attributes and its text, in order."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.open = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs), []))
        if tag not in VOID:
            self.open.append(self.tags[-1])

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs), []))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        for _, _, texts in self.open:
            texts.append(data)

    def find(self, *names):
        return [found for found in self.tags if found[0] in names]

    def text(self, identifier):
        return next("".join(texts) for _, attributes, texts in self.tags if attributes.get("id") == identifier)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write_report(comparison(), tmp_path_factory.mktemp("report") / "deep" / "report.html")


@pytest.fixture(scope="module")
def source(written):
    return written.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    file = tmp_path_factory.mktemp("many") / "report.html"
    return write_report(Report("A run", "One model.", [many_classes(20)]), file).read_text(encoding="utf-8")


@pytest.fixture(params=["two", "many"])
def page(request, source, many):
    return Page(source if request.param == "two" else many)


def references(page):
    """Return what the page would load or link to."""
    names = ("src", "href", "xlink:href", "data", "action", "srcset", "poster", "background")
    return [values[name] for _, values, _ in page.tags for name in names if values.get(name)]


def test_nothing_is_run_and_nothing_is_loaded(page):
    assert (
        page.find("script", "iframe", "object", "embed", "link", "img", "image", "base", "form", "foreignobject") == []
    )
    assert [value for value in references(page) if not value.startswith("#")] == []
    assert len(references(page)) > 10
    assert [name for _, values, _ in page.tags for name in values if name.startswith("on")] == []


def test_no_address_stands_anywhere(source, many):
    for text in (source, many):
        assert not re.search(r"https?:|//\w|@import|data:|url\((?!#)", text)


def test_inner_references_have_one_target_each(page):
    ids = [values["id"] for _, values, _ in page.tags if "id" in values]
    assert len(ids) == len(set(ids))
    used = {value[1:] for value in references(page)}
    used |= {
        name for _, values, _ in page.tags for name in re.findall(r"url\(#(\w+)\)", " ".join(map(str, values.values())))
    }
    used |= {values["aria-labelledby"] for _, values, _ in page.tags if "aria-labelledby" in values}
    assert used
    assert used <= set(ids)


def test_headings_have_no_gaps(page):
    levels = [int(tag[1]) for tag, _, _ in page.find("h1", "h2", "h3", "h4", "h5", "h6")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_landmark_language_title(page):
    assert page.find("html")[0][1]["lang"] == "en"
    assert len(page.find("main")) == 1
    assert page.find("title")[0][2]
    assert page.tags[2][0:2] == ("meta", {"charset": "utf-8"})


def test_every_drawing_has_a_text_alternative_of_its_own(page):
    drawings = page.find("svg")
    texts = [values["aria-label"] for _, values, _ in drawings]
    assert len(drawings) == len(page.find("figure")) == len(page.find("figcaption")) >= 6
    assert all(values["role"] == "img" for _, values, _ in drawings)
    assert all(len(text) > 40 and " against " in text for text in texts)
    assert len(set(texts)) == len(texts)
    assert any("AP 0." in text for text in texts)


def test_tables_have_captions_and_scopes(page):
    tables = page.find("table")
    assert len(tables) == len(page.find("caption")) >= 1
    assert all(values["scope"] in ("col", "row") for _, values, _ in page.find("th"))
    scrolled = [values for tag, values, _ in page.find("div") if values.get("class") == "scroll"]
    assert len(scrolled) == len(tables)
    assert all(values["tabindex"] == "0" and values["role"] == "region" and values["aria-label"] for values in scrolled)


def luminance(color):
    channels = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(first, second):
    low, high = sorted(map(luminance, (first, second)))
    return (high + 0.05) / (low + 0.05)


def themes(source):
    """Return the colours of the light, the dark and the printed page."""
    blocks = re.findall(r":root \{(.*?)\}", source, re.DOTALL)
    assert len(blocks) == 3
    return {
        name: dict(re.findall(r"--([\w-]+): (#\w{6})", block))
        for name, block in zip(("light", "dark", "print"), blocks, strict=True)
    }


@pytest.mark.parametrize("theme", ["light", "dark", "print"])
def test_contrast(theme, source):
    colors = themes(source)[theme]
    for ground in ("paper", "card"):
        assert contrast(colors["ink"], colors[ground]) >= 7
        assert contrast(colors["muted"], colors[ground]) >= 4.5
    for position in range(len(PALETTE)):
        assert contrast(colors[f"series-{position}"], colors["paper"]) >= 3
    # The darkest cell of a confusion matrix, with text on it.
    base, paper = colors["series-0"], colors["paper"]
    mixed = [0.55 * int(base[i : i + 2], 16) + 0.45 * int(paper[i : i + 2], 16) for i in (1, 3, 5)]
    assert contrast(colors["ink"], "#" + "".join(f"{round(value):02x}" for value in mixed)) >= 4.5


def test_contrast_is_computed_as_the_guidelines_say():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


def test_the_light_theme_has_the_colours_of_the_plots_and_no_colour_is_left_out(source):
    colors = themes(source)
    assert [colors["light"][f"series-{position}"] for position in range(len(PALETTE))] == list(PALETTE)
    assert set(colors["light"]) == set(colors["dark"]) == set(colors["print"])
    assert set(re.findall(r"var\(--([\w-]+)\)", source)) <= set(colors["light"])
    drawn = "".join(re.findall(r"<svg.*?</svg>", source, re.DOTALL))
    assert set(re.findall(r"#[0-9a-f]{6}\b", drawn)) == set()
    assert "currentColor" in drawn


def test_verdict_first_then_threshold_then_calibration(source):
    page = Page(source)
    ids = [values["id"] for _, values, _ in page.tags if "id" in values]
    first = ["summary", "verdict", "threshold", "calibration", "techniques", "ranking", "probabilities"]
    order = [*first, "decisions", "classes", "drift", "training", "settings"]
    assert [name for name in ids if name in order] == order
    assert page.text("verdict") == comparison().verdict
    assert "0.3" in page.text("threshold")
    assert "Map: temperature. On held-out folds" in page.text("calibration")


def test_a_run_leaves_out_what_does_not_apply(many):
    page = Page(many)
    ids = {values["id"] for _, values, _ in page.tags if "id" in values}
    assert not ids & {"techniques", "drift", "settings"}
    assert "cost" not in many.lower().replace("costs", "")
    assert len(page.find("tr")) == 21


def test_the_threshold_says_what_the_test_rows_say():
    scored = two_classes()
    flagged = scored.corrected[:, 1] >= 0.3
    found = int((flagged & (scored.target == 1)).sum())
    rule, text = threshold_text(scored)
    assert rule == "0.3"
    assert f"{flagged.sum()} alerts" in text
    assert f"precision {found / flagged.sum():.3f}" in text
    assert f"recall {found / scored.target.sum():.3f}" in text
    assert f"{flagged.sum() / 84:.3g} a day over 84 days" in text
    assert "a day" not in threshold_text(replace(scored, time=None))[1]
    assert "0 alerts" in threshold_text(replace(scored, threshold=np.inf))[1]


def test_more_classes_are_decided_by_the_likeliest():
    scored = many_classes(3)
    assert "likeliest" in threshold_text(scored)[0]
    assert f"{100 * (scored.decided == scored.target).mean():.1f} %" in threshold_text(scored)[1]
    assert "/ threshold" in threshold_text(replace(scored, threshold=[0.5, 0.3, 0.2]))[0]


def test_calibration_is_expected_over_observed():
    scored = two_classes()
    numbers, text = calibration_text(scored)
    observed = scored.target.sum()
    assert numbers == f"{scored.raw[:, 1].sum() / observed:.2f} → {scored.corrected[:, 1].sum() / observed:.2f}"
    assert f"hold {observed}" in text
    assert "cover 2" in calibration_text(many_classes(3))[1]


def test_tables_hold_every_class_and_the_groups():
    scored = many_classes(5)
    table = class_table(scored)
    assert [row[0] for row in table.rows] == scored.classes
    assert sum(int(row[1].replace(",", "")) for row in table.rows) == len(scored.target)
    groups = np.array(["b", "a", "b", None] * 500, dtype=object)
    rows = group_table(replace(scored, group=groups)).rows
    assert [row[:2] for row in rows] == [["b", "1,000"], ["a", "500"], ["none", "500"]]
    assert len(group_table(replace(scored, group=np.arange(2000) % 80)).rows) == 50


def test_a_group_without_positives_or_alerts_has_dashes():
    scored = two_classes(rows=200)
    group = np.where(np.arange(200) < 2, "rest", "zero")
    target = np.where(group == "zero", 0, scored.target)
    row = group_table(replace(scored, target=target, group=group, threshold=np.inf)).rows[0]
    assert row[0] == "zero"
    assert row[4:] == ["–"] * 4


def test_labels_and_names_stay_text(tmp_path):
    scored = replace(
        two_classes(rows=300),
        name=HOSTILE,
        classes=["ok", HOSTILE],
        calibration=HOSTILE,
        calibration_reason=HOSTILE,
        group=np.array([HOSTILE] * 300),
        realism={HOSTILE: 0.5},
    )
    report = Report(
        HOSTILE, HOSTILE, [scored], {HOSTILE: HOSTILE}, [], [HOSTILE], {HOSTILE: HOSTILE}, {HOSTILE: HOSTILE}
    )
    source = write_report(report, tmp_path / "report.html").read_text(encoding="utf-8")
    page = Page(source)
    assert "<script" not in source
    assert page.find("script") == []
    assert "".join(page.find("h1")[0][2]) == page.text("verdict") == HOSTILE
    drawn = [values["aria-label"] for _, values, _ in page.find("svg")]
    assert sum(HOSTILE in text for text in drawn) >= 5
    assert "49" not in page.text("verdict")
    labels = ["".join(texts) for tag, _, texts in page.tags if tag == "text"]
    assert any(HOSTILE in label for label in labels)


def test_labels_in_other_scripts_are_drawn_without_a_warning(tmp_path):
    scored = replace(two_classes(rows=300), classes=["正常", "詐欺"], name="モデル")
    source = write_report(Report("報告", "良い", [scored]), tmp_path / "report.html").read_text(encoding="utf-8")
    assert any("詐欺" in "".join(texts) for tag, _, texts in Page(source).tags if tag == "text")


def test_the_page_is_small_and_the_same_twice(written, source, tmp_path):
    assert len(source) < 1_500_000
    assert write_report(comparison(), tmp_path / "again.html").read_bytes() == written.read_bytes()


@pytest.mark.slow
def test_a_page_of_many_rows_is_small(tmp_path):
    models = [replace(two_classes(rows=300_000, seed=seed), name=f"model {seed}") for seed in range(4)]
    file = write_report(Report("Many rows", "Four models.", models), tmp_path / "report.html")
    assert file.stat().st_size < 1_500_000


@pytest.mark.parametrize("p", [[0.1, 0.9], [0.5, 0.5], [1.0, 0.0]], ids=["right", "tied", "wrong"])
def test_two_rows_make_a_page(p, tmp_path):
    both = np.stack([1 - np.array(p), p], 1)
    scored = replace(
        two_classes(rows=2),
        target=np.array([0, 1]),
        corrected=both,
        raw=both,
        time=np.array([1, 1]),
    )
    assert write_report(Report("t", "v", [scored]), tmp_path / "report.html").stat().st_size > 10_000


def test_the_file_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("drawing failed")

    file = write_report(Report("t", "v", [two_classes(rows=100)]), tmp_path / "report.html")
    before = file.read_bytes()
    monkeypatch.setattr(module, "draw", fail)
    with pytest.raises(RuntimeError, match="drawing failed"):
        write_report(comparison(), file)
    assert file.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == ["report.html"]


def test_models_of_other_classes_are_refused():
    with pytest.raises(ValueError, match="same classes"):
        Report("t", "v", [two_classes(), many_classes()])
    with pytest.raises(ValueError, match="at least one"):
        Report("t", "v", [])
