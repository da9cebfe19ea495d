"""docs/columns.md says of every column of every table what the schema says.

Write it anew with `python -m tests.test_columns`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from orchestrator.store.schema import COLUMNS, CONFIGURATION, TABLES, Column

PAGE = Path(__file__).parents[1] / "docs" / "columns.md"
INTRODUCTION = """# Columns

Every column of every table of [the store](store.md), in order. Types are Arrow's; accuracies, densities and other
shares are fractions of 1. Made of `orchestrator/store/schema.py` by `python -m tests.test_columns`.
"""


def page() -> str:
    """The page as the schema has it."""
    sections = [INTRODUCTION, _section("The configuration", "In `trials` and in `points`.", CONFIGURATION)]
    for table, columns in COLUMNS.items():
        own = [one for one in columns if one not in CONFIGURATION]
        said = "All columns of the configuration, and:" if len(own) < len(columns) else ""
        sections.append(_section(f"`{table}`", said, own))
    return "\n".join(sections)


def _section(title: str, said: str, columns: Iterable[Column]) -> str:
    rows = [f"| `{one.name}` | {one.type} | {one.meaning.replace('|', chr(92) + '|')} |" for one in columns]
    text = [f"{said}\n"] if said else []
    return "\n".join([f"## {title}\n", *text, "| column | type | meaning |", "|---|---|---|", *rows, ""])


def test_the_page_says_what_the_schema_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "python -m tests.test_columns writes it"


@pytest.mark.parametrize("table", TABLES)
def test_every_column_of_a_table_has_one_name_and_a_meaning(table: str) -> None:
    assert len(set(TABLES[table].names)) == len(TABLES[table].names)
    assert [one.name for one in COLUMNS[table] if not one.meaning.strip()] == []


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
