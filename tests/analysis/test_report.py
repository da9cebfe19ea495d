import json
import math
import re
import subprocess
import sys
from decimal import Decimal

import altair as alt
import polars as pl
import pytest

from analysis.inline_data import inline
from analysis.report import page as page_room
from analysis.report.collected import collect
from analysis.report.panels import MOST_PANELS, slim
from analysis.report.watch import watch_report
from analysis.report.write import write_report
from analysis.settings import DEFAULTS
from orchestrator.store.rows import config_columns
from tests.analysis.conftest import StoreBuilder
from training.config import (
    DatasetConfig,
    LevelsConfig,
    ModelConfig,
    PrunerConfig,
    Seeds,
    TrainingConfig,
    TrialConfig,
)

HOSTILE = "</script><script>alert(1)</script>"


def test_a_report_is_one_file(realistic):
    written = write_report(realistic)
    assert written == [realistic / "report.html"]
    assert [path.name for path in realistic.iterdir() if path.is_file()] == ["report.html"]


def figures_on(page):
    """Names of the figures that a page draws, in its order: a chart's anchor is its figure's and a number."""
    anchors = re.findall(r'<div class="chart" id="(.*?)-\d+"', page.read_text())
    return list(dict.fromkeys(anchors))


def test_figures_are_written_beside_it(realistic):
    written = write_report(realistic, also=["png"])
    names = figures_on(written[0])
    assert [str(path.relative_to(realistic)) for path in written] == [
        "report.html",
        *(f"figures/{name}.png" for name in names),
    ]
    assert {"accuracy", "collapse", "layers", "pareto"} <= set(names)
    assert not {"curves", "stability", "overlap", "speedup"} & set(names)  # no epochs, masks or seconds to draw
    assert all(path.read_bytes()[:4] == b"\x89PNG" for path in written[1:])


def test_the_subtitle_counts_everything(realistic):
    write_report(realistic)
    page = (realistic / "report.html").read_text().replace("\u00a0", " ")
    assert "<h1>digits-collapse</h1>" in page
    # 2 models x 5 seeds x 6 curves x 8 densities, of which 2 x 5 x 5 dense ones fold
    assert "480 points · 430 trials · 50 folded · 428 completed · 1 failed · 1 missing · " in page


def test_a_store_without_results_says_what_to_do(builder, tmp_path):
    builder.point("a")
    with pytest.raises(ValueError, match=r"no results yet; run `prunesweep run SWEEP` first"):
        write_report(builder.write())
    with pytest.raises(ValueError, match=r"nowhere: no results yet"):
        write_report(tmp_path / "nowhere")
    assert not (builder.root / "report.html").exists()
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("density", [1.0, 0.1])
def test_one_trial_gives_a_page(builder, density):
    builder.both("a", point={"density": density}, density=density, layers={"in": (10, 1)})
    assert write_report(builder.write(), also=["png", "svg", "csv", "notebook"])[0].exists()


def test_only_failures_give_a_page_that_lists_them(builder):
    builder.both("a", point={}, error=("OutOfMemoryError", "8 <GiB>"))
    page = write_report(builder.write(), also=["png", "svg", "csv", "notebook"])[0].read_text()
    assert "No trial completed" in page
    assert "8 &lt;GiB&gt;" in page


def test_names_cannot_leave_their_place(builder):
    builder.both("a", point={"pruner": HOSTILE, "model": HOSTILE, "sweep": HOSTILE}, layers={HOSTILE: (10, 1)})
    page = write_report(builder.write())[0].read_text()
    assert HOSTILE not in page
    data = re.search(r'<script type="application/json" id="report-data">(.*?)</script>', page, re.DOTALL)
    assert data is not None
    assert json.loads(data[1])["curves"] == [HOSTILE]


def test_tables_are_written_as_csv(realistic, tmp_path):
    written = write_report(realistic, into=tmp_path, also=["csv"])
    names = {path.name for path in written[1:]}
    assert {"accuracy.csv", "collapse.csv", "failures.csv", "settings.csv"} <= names
    assert {path.parent.name for path in written[1:]} == {"tables"}
    rows = pl.read_csv(tmp_path / "tables" / "accuracy.csv")
    assert rows.height == 2 * 6 * 8  # models, curves, densities
    again = collect(realistic).tables["accuracy"]
    assert rows["mean_accuracy"].to_list() == again["mean_accuracy"].to_list()


def test_figures_are_written_as_svg(realistic, tmp_path):
    written = write_report(realistic, into=tmp_path, also=["svg"])
    assert [path.name for path in written[1:]] == [f"{name}.svg" for name in figures_on(written[0])]
    assert all(path.read_text().startswith("<svg") for path in written[1:])


@pytest.mark.parametrize("stores", [1, 2])
def test_the_notebook_runs_and_its_figures_can_be_drawn(tmp_path, stores):
    places = [_with_one_trial(tmp_path / f"store-{number}") for number in range(stores)]
    published = tmp_path / "published.csv"
    published.write_text("pruner,compression_exponent,top1_accuracy\nsynflow,1,90\n")
    *_, path = write_report(*places, also=["notebook"], published=published)
    content = json.loads(path.read_text())
    assert (content["nbformat"], content["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in content["cells"]}) == len(content["cells"])
    code = [cell["source"] for cell in content["cells"] if cell["cell_type"] == "code"]
    # as a kernel would: every cell in one namespace, the last expression is what is shown
    command = [sys.executable, "-c", RUN_CELLS]
    done = subprocess.run(command, input=json.dumps(code), stdout=subprocess.PIPE, text=True, check=True, cwd=tmp_path)
    shown = json.loads(done.stdout.splitlines()[-1])
    assert {"accuracy", "collapse", "reference"} <= {cell["cell"] for cell in shown["charts"]}
    assert shown["frames"] >= 4


RUN_CELLS = """
import ast, json, sys
import altair as alt, polars as pl, vl_convert
names, charts, frames = {}, [], 0
for source in json.load(sys.stdin):
    tree = ast.parse(source)
    last = ast.Expression(tree.body.pop().value) if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    value = eval(compile(last, "cell", "eval"), names) if last else None
    if isinstance(value, alt.TopLevelMixin):
        assert "<svg" in vl_convert.vegalite_to_svg(value.to_dict(), vl_version="6.4")
        charts.append({"cell": source.split(" import ")[0].split(".")[-1]})
    frames += isinstance(value, pl.DataFrame)
print(json.dumps({"charts": charts, "frames": frames}))
"""


def _with_one_trial(root):
    builder = StoreBuilder(root)
    builder.both("a", point={}, layers={"in": (10, 1)})
    return builder.write()


def test_a_nan_accuracy_reaches_neither_a_mean_nor_the_page_as_nan(builder):
    builder.both("a", point={"seed": 0}, final_test_accuracy=0.5)
    builder.both("b", point={"seed": 1}, final_test_accuracy=math.nan, final_test_loss=math.nan)
    page = write_report(builder.write())[0].read_text()
    assert ">50.0<" in page
    assert "n=1, 1 diverged" in page
    data = re.search(r'id="report-data">(.*?)</script>', page, re.DOTALL)
    assert data is not None
    assert "NaN" not in data[1]


def test_versions_of_the_numerics_are_not_averaged(builder):
    builder.both("old", point={"seed": 0}, numerics_version=1, final_test_accuracy=0.5)
    builder.both("new", point={"seed": 1}, numerics_version=2, final_test_accuracy=0.9)
    builder.point("missing", seed=2)
    collected = collect(builder.write())
    rows = collected.tables["accuracy"].select("curve", "n", "mean_accuracy", "num_missing").rows()
    assert rows == [("synflow · numerics 1", 1, 0.5, 0), ("synflow · numerics 2", 1, 0.9, 1)]
    assert collected.notices[1].startswith("Trials of numerics versions 1, 2 answer this grid.")


def test_many_panels_leave_the_page_small_and_say_what_is_left_out(builder):
    for number in range(MOST_PANELS + 5):
        builder.both(f"t{number}", point={"model": f"model-{number:02}"}, layers={"in": (10, 1)})
    page = write_report(builder.write())[0]
    assert "5 more panels are left out here" in page.read_text()
    assert page.stat().st_size < 8_000_000


def test_a_page_too_large_is_made_smaller_and_says_what_is_left_out(realistic, monkeypatch):
    collected = collect(realistic)
    whole = page_room.html(collected)
    assert len(whole.encode()) < page_room.MOST_PAGE_BYTES == 8_000_000
    assert "left out here" not in whole
    monkeypatch.setattr(page_room, "MOST_PAGE_BYTES", len(whole.encode()))
    smaller = page_room.html(collected)
    assert len(smaller) < len(whole)
    assert "1 more panel is left out here: prunesweep report --svg draws all." in smaller
    assert 'id="accuracy-0"' in smaller
    assert 'id="accuracy-1"' not in smaller


def test_a_chart_carries_only_the_fields_it_names():
    rows = pl.DataFrame({"x": [1 / 3, 2.0], "unused": ["text", "more"], "y": [math.nan, 1.0]})
    chart = alt.Chart(inline(rows)).mark_point().encode(x="x:Q", y="y:Q")
    (carried,) = slim(chart.to_dict())["datasets"].values()
    assert carried == "x,y\n0.33333,\n2.0,1.0\n"


def test_settings_that_are_everywhere_the_default_fold_away(builder):
    builder.both("a", point={"lr": 0.1, "weight_decay": 0.0005})
    page = write_report(builder.write())[0].read_text()
    settings, _, folded = page.partition("<details>")
    assert "<dt>lr</dt><dd>0.1</dd>" in settings
    assert "<dt>weight decay</dt><dd>0.0005</dd>" in settings
    assert "<dt>momentum</dt><dd>0.9</dd>" not in settings
    assert "<dt>momentum</dt><dd>0.9</dd>" in folded


def test_defaults_are_those_of_the_configuration():
    levels, pruner = LevelsConfig(), PrunerConfig(name="synflow")
    config = TrialConfig(
        dataset=DatasetConfig(name="digits"),
        model=ModelConfig(name="mlp"),
        pruner=pruner,
        density=Decimal(1),
        seeds=Seeds(init=0, data=0, prune=0),
        training=TrainingConfig(epochs=1),
        levels=levels,
    )
    columns = pl.DataFrame([config_columns(config)], schema=dict.fromkeys(config_columns(config)))
    texts = columns.select(pl.col(list(DEFAULTS)).cast(pl.String)).row(0, named=True)
    assert texts == DEFAULTS


def test_watching_ends_when_nothing_is_missing(builder):
    builder.both("a", point={"seed": 0})
    builder.point("b", seed=1)
    root = builder.write()
    reloads = []

    def sleep(seconds):
        reloads.append('"reload_seconds":7' in (root / "report.html").read_text())
        builder.trial("b")
        builder.write()

    counts = list(watch_report(root, every_seconds=7, sleep=sleep))
    assert [one["num_missing"] for one in counts] == [1, 0]
    assert reloads == [True]
    assert '"reload_seconds":0' in (root / "report.html").read_text()


def test_watching_waits_for_the_first_result(builder):
    builder.point("a")
    root = builder.write()

    def sleep(seconds):
        builder.trial("a")
        builder.write()

    assert [one and one["num_completed"] for one in watch_report(root, every_seconds=1, sleep=sleep)] == [None, 1]


def test_an_interrupted_watch_leaves_a_page_that_stays(builder):
    builder.both("a", point={"seed": 0})
    builder.point("b", seed=1)
    root = builder.write()

    def interrupt(seconds):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(watch_report(root, every_seconds=7, sleep=interrupt))
    assert '"reload_seconds":0' in (root / "report.html").read_text()


def test_analysis_loads_neither_torch_nor_ray():
    code = (
        "import sys\n"
        "import analysis.report.write\n"
        "bad = {'torch', 'ray', 'orchestrator.store.rows'} | {'pruning', 'models', 'training'}\n"
        "print(sorted(bad & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
