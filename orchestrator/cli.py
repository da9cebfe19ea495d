"""The command line: what each command is called and what it calls. Nothing is computed here.

Heavy imports happen inside the commands that need them, so that `prunesweep --help` answers at once.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from orchestrator.commands.answers import report, status
from orchestrator.commands.care import compact, doctor
from orchestrator.commands.cluster import cancel, jobs, logs, submit
from orchestrator.commands.consoles import err
from orchestrator.commands.files import init, schema, show
from orchestrator.commands.paper import reproduce
from orchestrator.commands.running import plan, resume, run
from orchestrator.commands.tables import export, query
from orchestrator.commands.trials import audit, trial
from orchestrator.errors import UNWRITABLE, BadInput
from orchestrator.exit_codes import Exit

app = typer.Typer(
    name="prunesweep",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Sweeps of neural-network pruning: one file in, Parquet and a report out.",
    epilog="Exit codes: 0 done, 1 some trials failed, 2 bad input, 3 interrupted and resumable, 4 our own fault, "
    "5 out of time (run --within) and resumable.",
)

TYPER_INTERRUPTED = 130
"""What typer exits with on Ctrl-C."""

COMMANDS = (
    *(plan, run, resume, status, report, query, export, trial, audit, compact, doctor),
    *(reproduce, submit, jobs, logs, cancel, init, show, schema),
)
for command in COMMANDS:
    app.command(context_settings={"allow_extra_args": command is submit})(command)  # what follows -- is for run


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"prunesweep {version('prunesweep')}")
        raise typer.Exit


@app.callback()
def without_a_command(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and leave.")
    ] = False,
) -> None:
    """Options that need no command; the help text is the app's."""


def main() -> None:
    """Run the command line and exit with its code."""
    sys.exit(run_command(sys.argv[1:]))


def run_command(arguments: list[str]) -> int:  # noqa: PLR0911  (one return an exit code)
    """Run one command; every error becomes a sentence and an exit code."""
    try:
        app(arguments, prog_name="prunesweep")
    except SystemExit as leaving:
        if leaving.code != TYPER_INTERRUPTED:
            return int(leaving.code or 0)
        err.print("Interrupted. What was committed stays; the same command goes on from there.")
        return int(Exit.INTERRUPTED)
    except BadInput as error:
        err.print(str(error), style="red", markup=False, highlight=False, soft_wrap=True)
        return int(Exit.BAD_INPUT)
    except OSError as error:
        if error.errno not in UNWRITABLE:
            return _our_fault()
        err.print(f"{error}: make room or choose another place with --results", style="red", markup=False)
        return int(Exit.BAD_INPUT)
    except Exception:
        return _our_fault()
    return int(Exit.DONE)


def _our_fault() -> int:
    err.print_exception(max_frames=12)
    err.print("This is an error in prunesweep, not in your input: please report it with the lines above.")
    return int(Exit.OUR_FAULT)
