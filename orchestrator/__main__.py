"""`python -m orchestrator`: the same as `prunesweep`."""

from orchestrator.cli import main

main()
