"""Commands about single trials: show one, run one again, audit a sample."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.commands.arguments import AsJson, DataRoot, Device, StoreDir
from orchestrator.commands.consoles import err, out, print_json
from orchestrator.commands.stores import data_root_again, existing_store, naming_damaged_files
from orchestrator.errors import BadInput


def trial(
    directory: StoreDir,
    trial_id: Annotated[str, typer.Argument(metavar="ID", help="A trial's id, or its first digits.")],
    debug: Annotated[
        bool, typer.Option("--debug", help="Run it again in this process, so that a debugger works.")
    ] = False,
    weights: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Run it again and write the trained weights to this .safetensors file."),
    ] = None,
    device: Device = "auto",
    data_root: DataRoot = None,
) -> None:
    """Show one trial, or run it again here without Ray."""
    from orchestrator.exit_codes import Exit
    from orchestrator.inspect_trial import debug_trial, find_stored, find_trial, show_trial
    from orchestrator.saved_sweeps import load_saved_sweep

    if weights is not None and (weights.suffix != ".safetensors" or not weights.absolute().parent.is_dir()):
        raise BadInput(f"--weights {weights}: expected a .safetensors file in a folder that exists")
    debug = debug or weights is not None
    store = existing_store(directory)
    with naming_damaged_files(store):
        stored = None if debug else find_stored(store, trial_id)
    if stored:
        show_trial(store, stored, out)
        return
    saved = load_saved_sweep(store)
    identity, config = find_trial(saved.file, trial_id)
    if not debug:
        show_trial(store, identity, out)
        return
    try:
        root = data_root_again(data_root, saved)
        debug_trial(saved.file, store, identity, config, device, out, root, weights)
    except Exception:  # the trial's own: the debugger has seen it where it was raised
        err.print_exception(max_frames=12)
        err.print("The trial failed, as above. Nothing was written to the store.")
        raise typer.Exit(int(Exit.SOME_FAILED)) from None


def audit(
    directory: StoreDir,
    sample: Annotated[str, typer.Option(metavar="N|P%", help="How many completed trials: a count or a share.")] = "1%",
    seed: Annotated[int, typer.Option(help="Which trials are drawn.")] = 0,
    device: Device = "auto",
    as_json: AsJson = False,
    data_root: DataRoot = None,
) -> None:
    """Run a random sample of trials again on the reference path and say what differs: exit 1 if it is too much."""
    from orchestrator.audit import audit as run_again
    from orchestrator.audit import choose, findings_json, show_findings
    from orchestrator.exit_codes import Exit
    from orchestrator.saved_sweeps import load_saved_sweep

    store = existing_store(directory)
    saved = load_saved_sweep(store)
    with naming_damaged_files(store):
        chosen, num_completed = choose(saved.file, store, sample, seed)
        root = data_root_again(data_root, saved)
        findings = list(run_again(saved.file, store, chosen, device=device, data_root=root))
    if as_json:
        print_json(findings_json(findings))
    else:
        show_findings(findings, num_completed, out)
    if any(finding.problems for finding in findings):
        raise typer.Exit(int(Exit.SOME_FAILED))
