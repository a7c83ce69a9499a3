"""The report in a real browser: what the first screen shows, and that a phone never scrolls sideways."""

import html
import json
import re
import shutil
import subprocess

import pytest

from imbalance_torch.evaluation import write_report
from tests.evaluation.report_cases import comparison, many_classes

BROWSER = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs Chromium, Debian's package `chromium`")

# A window cannot be as narrow as a phone, a frame in it can; one that holds its page as text may be measured.
FRAME = """<!doctype html><iframe id="frame" style="width:{width}px;height:800px;border:0" srcdoc="{page}"></iframe>
<script>frame.onload = () => {{
  const page = frame.contentDocument, root = page.documentElement, found = {{}};
  for (const id of ["verdict", "threshold", "calibration"]) {{
    const box = page.getElementById(id).getBoundingClientRect();
    found[id] = [box.left, box.top, box.right, box.bottom];
  }}
  const boxes = [...page.querySelectorAll("svg[role=img]")].map(svg => svg.getBoundingClientRect());
  found.drawings = boxes.map(box => [box.width, box.height]);
  found.size = [frame.contentWindow.innerWidth, root.scrollWidth - root.clientWidth];
  const result = document.createElement("pre");
  result.id = "result";
  result.textContent = JSON.stringify(found);
  document.body.append(result);
}}</script>"""


def run(directory, *arguments):
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={directory / 'profile'}"]
    return subprocess.run([BROWSER, *options, *arguments], capture_output=True, text=True, timeout=120, check=True)


def measured(directory, page, width):
    """Return boxes (left, top, right, bottom) of the page in a frame of this width, 800 high."""
    file = directory / f"frame-{width}.html"
    file.write_text(FRAME.format(width=width, page=html.escape(page)), encoding="utf-8")
    shown = run(directory, "--window-size=1400,1000", "--dump-dom", file.as_uri()).stdout
    return json.loads(html.unescape(re.search(r'<pre id="result">(.*?)</pre>', shown).group(1)))


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    file = write_report(comparison(), tmp_path_factory.mktemp("page") / "report.html")
    return file.read_text(encoding="utf-8")


def test_verdict_threshold_and_calibration_are_on_the_first_screen(page, tmp_path):
    found = measured(tmp_path, page, 1280)
    assert found["size"][0] == 1280
    for name in ("verdict", "threshold", "calibration"):
        left, top, right, bottom = found[name]
        assert 0 <= left < right <= 1280
        assert 0 <= top < bottom <= 800
    assert found["threshold"][1] == found["calibration"][1]


def test_the_check_of_the_first_screen_can_fail(page, tmp_path):
    found = measured(tmp_path, page.replace("<h1>", '<h1 style="padding-top:800px">'), 1280)
    assert found["verdict"][1] > 800


@pytest.mark.parametrize("case", ["two", "many"])
def test_a_phone_does_not_scroll_sideways(case, page, tmp_path):
    if case == "many":
        report = comparison()
        many = type(report)("A run", "One model.", [many_classes(30)], settings={"path": "a" * 400})
        page = write_report(many, tmp_path / "many.html").read_text(encoding="utf-8")
    found = measured(tmp_path, page, 375)
    assert found["size"] == [375, 0]
    assert len(found["drawings"]) >= 5
    assert all(300 < width <= 375 and height > 200 for width, height in found["drawings"])


def test_the_check_of_the_phone_can_fail(page, tmp_path):
    assert measured(tmp_path, page.replace("overflow-x: auto", "overflow-x: visible"), 375)["size"][1] > 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_file_opens_in_both_themes(scheme, page, tmp_path):
    from matplotlib.image import imread

    file = tmp_path / "report.html"
    file.write_text(page, encoding="utf-8")
    setting = f"--blink-settings=preferredColorScheme={int(scheme == 'light')}"
    run(tmp_path, "--window-size=1280,800", setting, f"--screenshot={tmp_path / 'shot.png'}", file.as_uri())
    shot = imread(tmp_path / "shot.png")
    assert shot.shape[:2] == (800, 1280)
    corner, spread = shot[2, 2, :3].mean(), shot[..., :3].std()
    assert (corner > 0.9) == (scheme == "light")
    assert (corner < 0.2) == (scheme == "dark")
    assert spread > 0.05


def test_it_prints(page, tmp_path):
    file = tmp_path / "report.html"
    file.write_text(page, encoding="utf-8")
    run(tmp_path, f"--print-to-pdf={tmp_path / 'report.pdf'}", file.as_uri())
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
    assert (tmp_path / "report.pdf").stat().st_size > 50_000
