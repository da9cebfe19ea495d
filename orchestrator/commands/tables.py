"""Commands that hand a store's rows on: one SQL statement, or everything as one table."""

from __future__ import annotations

import math
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.commands.arguments import AsJson
from orchestrator.commands.consoles import err, out, print_json
from orchestrator.commands.stores import existing_store, naming_damaged_files
from orchestrator.errors import BadInput, did_you_mean

if TYPE_CHECKING:
    import polars as pl

    from analysis.scan import Trials

MOST_ROWS = 100
"""That are printed as a table; files and CSV get all of them."""
LARGEST_GROUP = 64 * 1024
"""Rows that a writer of Parquet holds at a time."""

Arguments = list[str]
Writer = Callable[["pl.LazyFrame", Path], None]


def query(
    arguments: Annotated[
        Arguments, typer.Argument(metavar="DIR... SQL", help="Results folders, then one statement in quotes.")
    ],
    tables: Annotated[bool, typer.Option("--tables", help="List tables and columns; then there is no SQL.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print all rows as CSV.")] = False,
    parquet: Annotated[Path | None, typer.Option(metavar="FILE", help="Write all rows to a Parquet file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Answer one SQL statement over trials, epochs, layers, rounds, masks, points and results."""
    from analysis import query as sql

    if csv + as_json + (parquet is not None) > 1:
        raise BadInput("--csv, --json and --parquet are three ways to hand over the same rows: choose one")
    if tables:
        with opened(arguments) as store:
            _show_columns(sql.columns(store), as_json)
        return
    if len(arguments) < 2:
        raise BadInput(f'expected DIR and a statement, got {arguments[0]!r} alone: prunesweep query DIR "SELECT ..."')
    *directories, statement = arguments
    with opened(directories) as store:
        rows = sql.query(store, statement)
        with naming_mistakes(store):
            if csv:
                _print_csv(rows)
            elif parquet is not None:
                _publish(parquet, rows, _write_parquet)
            elif as_json:
                _print_json(rows)
            else:
                _show(rows)


def export(
    arguments: Annotated[
        Arguments, typer.Argument(metavar="DIR... FILE", help="Results folders, then a .parquet or .csv file.")
    ],
) -> None:
    """Write everything as one tidy table: a row for each point and the trial that answers it."""
    from analysis import tidy

    if len(arguments) < 2:
        raise BadInput(f"expected DIR and FILE, got {arguments[0]!r} alone: prunesweep export DIR results.parquet")
    *directories, name = arguments
    file = Path(name)
    if file.suffix not in WRITERS:
        raise BadInput(f"{name}: {did_you_mean(file.suffix, WRITERS)}, by which the file's name must end")
    with opened(directories) as store:
        _publish(file, tidy.table(store.results), WRITERS[file.suffix])


@contextmanager
def opened(directories: Arguments) -> Iterator[Trials]:
    """The stores as one; a file that cannot be read is named, whenever that shows."""
    from analysis.scan import scan

    with ExitStack() as stack:
        for directory in directories:
            stack.enter_context(naming_damaged_files(existing_store(directory)))
        yield scan(*directories)


@contextmanager
def naming_mistakes(store: Trials) -> Iterator[None]:
    """What Polars finds wrong with a statement once it sees rows is the user's to mend, if the files are whole."""
    import polars as pl

    from analysis.query import problem
    from orchestrator.store.layout import Store
    from orchestrator.store.read import damaged_files

    try:
        yield
    except pl.exceptions.PolarsError as error:
        if any(damaged_files(Store(one)) for one in store.stores):
            raise
        raise problem(store, error) from None


def _show_columns(columns: dict[str, dict[str, str]], as_json: bool) -> None:
    from rich.table import Table

    if as_json:
        print_json(columns)
        return
    for table, types in columns.items():
        grid = Table(title=table, title_justify="left", box=None, show_header=False)
        for name, kind in types.items():
            grid.add_row(name, kind)
        out.print(grid)
        out.print()
    out.print("What they mean: docs/columns.md; results: docs/analysis.md", highlight=False)


def _show(rows: pl.LazyFrame) -> None:
    """The first rows as a table, or, where that is wider than the console, one below the other."""
    from rich.table import Table
    from rich.text import Text

    from analysis.tidy import flat

    frame = flat(rows).head(MOST_ROWS + 1).collect(engine="streaming")
    shown = [[_text(value) for value in row] for row in frame.head(MOST_ROWS).iter_rows()]
    widths = [max(map(len, (name, *column))) for name, *column in zip(frame.columns, *shown, strict=True)]
    numeric = [kind.is_numeric() for kind in frame.dtypes]
    if sum(widths) + 2 * len(widths) <= out.width or not shown:
        grid = Table(box=None, header_style="dim")
        for name, is_number in zip(frame.columns, numeric, strict=True):
            grid.add_column(Text(name), justify="right" if is_number else "left", no_wrap=True)
        for row in shown:
            grid.add_row(*map(Text, row))
        out.print(grid)
    else:
        for number, row in enumerate(shown, start=1):
            grid = Table(title=f"row {number}", title_justify="left", box=None, show_header=False)
            grid.add_column(style="dim", no_wrap=True)
            for name, value in zip(frame.columns, row, strict=True):
                grid.add_row(Text(name), Text(value))
            out.print(grid)
    more = f"; there are more: --csv and --parquet FILE give all, {MOST_ROWS} are shown" * (frame.height > MOST_ROWS)
    err.print(f"{len(shown):,} row{'' if len(shown) == 1 else 's'}{more}", style="dim", highlight=False)


def _text(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _print_csv(rows: pl.LazyFrame) -> None:
    from analysis.tidy import flat

    sys.stdout.flush()
    flat(rows).sink_csv(sys.stdout.buffer, engine="streaming")


def _print_json(rows: pl.LazyFrame) -> None:
    """A list of objects; JSON has no NaN or infinity, so these are null."""
    from analysis.tidy import flat

    frame = flat(rows).collect(engine="streaming")
    print_json([{name: _json(value) for name, value in row.items()} for row in frame.iter_rows(named=True)])


def _json(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int | bool) else str(value)


def _write_parquet(rows: pl.LazyFrame, file: Path) -> None:
    rows.sink_parquet(file, compression="zstd", row_group_size=LARGEST_GROUP, engine="streaming")


def _write_csv(rows: pl.LazyFrame, file: Path) -> None:
    from analysis.tidy import flat

    flat(rows).sink_csv(file, engine="streaming")


WRITERS: dict[str, Writer] = {".parquet": _write_parquet, ".csv": _write_csv}


def _publish(file: Path, rows: pl.LazyFrame, write: Writer) -> None:
    """Write a file that is there whole or not at all, in place of one of its name."""
    if not file.parent.is_dir():
        raise BadInput(f"{file}: there is no folder {file.parent}")
    temporary = file.with_name(f".{uuid.uuid4().hex}{file.suffix}")
    try:
        write(rows, temporary)
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)
    out.print(str(file), markup=False, highlight=False, soft_wrap=True)
