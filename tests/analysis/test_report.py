import json
import re
import subprocess
import sys

import pytest

from analysis.report.write import write_report

HOSTILE = "</script><script>alert(1)</script>"


def test_a_report_is_one_file(realistic):
    written = write_report(realistic)
    assert written == [realistic / "report.html"]
    assert [path.name for path in realistic.iterdir() if path.is_file()] == ["report.html"]


def test_figures_are_written_beside_it(realistic):
    written = write_report(realistic, png=True)
    assert [str(path.relative_to(realistic)) for path in written] == [
        "report.html",
        "figures/accuracy.png",
        "figures/collapse.png",
        "figures/layers.png",
    ]
    assert all(path.read_bytes()[:4] == b"\x89PNG" for path in written[1:])


def test_the_subtitle_counts_everything(realistic):
    write_report(realistic)
    page = (realistic / "report.html").read_text().replace("\u00a0", " ")
    assert "<h1>digits-collapse</h1>" in page
    # 2 models x 5 seeds x 6 curves x 8 densities, of which 2 x 5 x 5 dense ones fold
    assert "480 points · 430 trials · 50 folded · 428 completed · 1 failed · 1 missing · " in page


def test_a_store_without_results_says_what_to_do(builder, tmp_path):
    builder.point("a")
    with pytest.raises(ValueError, match=r"holds no results yet; run `prunesweep run SWEEP` first"):
        write_report(builder.write())
    with pytest.raises(ValueError, match=r"nowhere holds no results yet"):
        write_report(tmp_path / "nowhere")
    assert not (builder.root / "report.html").exists()
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("density", [1.0, 0.1])
def test_one_trial_gives_a_page(builder, density):
    builder.both("a", point={"density": density}, density=density, layers={"in": (10, 1)})
    assert write_report(builder.write(), png=True)[0].exists()


def test_only_failures_give_a_page_that_lists_them(builder):
    builder.both("a", point={}, error=("OutOfMemoryError", "8 <GiB>"))
    page = write_report(builder.write(), png=True)[0].read_text()
    assert "No trial completed" in page
    assert "8 &lt;GiB&gt;" in page


def test_names_cannot_leave_their_place(builder):
    builder.both("a", point={"pruner": HOSTILE, "model": HOSTILE, "sweep": HOSTILE}, layers={HOSTILE: (10, 1)})
    page = write_report(builder.write())[0].read_text()
    assert HOSTILE not in page
    data = re.search(r'<script type="application/json" id="report-data">(.*?)</script>', page, re.DOTALL)
    assert data is not None
    assert json.loads(data[1])["curves"] == [HOSTILE]


def test_analysis_loads_neither_torch_nor_ray():
    code = (
        "import sys\n"
        "import analysis.report.write\n"
        "bad = {'torch', 'ray', 'orchestrator.store.rows'} | {'pruning', 'models', 'training'}\n"
        "print(sorted(bad & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
