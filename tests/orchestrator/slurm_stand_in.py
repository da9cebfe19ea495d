"""A Slurm small enough for tests: `sbatch` really runs a script as array tasks, with Slurm's variables and signals.

    FOLDER/state.json       the job, while any task is left
    FOLDER/turns.jsonl      a line a turn of a task: which, how often it was restarted, how it ended
    FOLDER/requeue-<task>   what `scontrol requeue` asked for
    FOLDER/stop             put there, it ends everything
    FOLDER/silent           put there, the next turn is not warned: it is cut off without a word

At the warning time the batch shell alone gets its signal (`--signal=B:...`); at the wall time everything of the task is
killed. A task that asked to be requeued is killed, as Slurm does, and gets another turn.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path(os.environ.get("SLURM_STAND_IN", ""))  # pytest imports every file here, for doctests
STOP = FOLDER / "stop"
JOB_ID = "4711"
CPUS = "1"


def directives(script: str) -> dict[str, str]:
    """Options of the script, read as Slurm reads them: split at blanks that are not quoted."""
    lines = re.findall(r"^#SBATCH (.*)$", script, flags=re.MULTILINE)
    options = [word.removeprefix("--").partition("=") for line in lines for word in shlex.split(line)]
    return {name: value for name, _, value in options}


def filled_in(pattern: str, task: int) -> Path:
    """The name of a file that Slurm makes of its pattern."""
    return Path(re.sub("%([%a])", lambda match: {"%": "%", "a": str(task)}[match[1]], pattern))


def seconds(duration: str) -> int:
    hours, minutes, rest = (int(part) for part in duration.split(":"))
    return (hours * 60 + minutes) * 60 + rest


def sbatch(path: Path) -> None:
    """Start the tasks in a process that outlives us, as a cluster does."""
    (FOLDER / "state.json").write_text(json.dumps({"id": JOB_ID, "name": directives(path.read_text())["job-name"]}))
    subprocess.Popen(
        [sys.executable, __file__, "cluster", str(path)], start_new_session=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=(FOLDER / "cluster.log").open("wb"),
    )  # fmt: skip
    print(JOB_ID)


def cluster(path: Path) -> None:
    """Run the array, one task at a time: this machine has few cores."""
    asked = directives(path.read_text())
    first, last = (int(number) for number in asked["array"].split("-"))
    for task in range(first, last + 1):
        restarts = 0
        while turn(path, asked, task, restarts) and not STOP.exists():
            restarts += 1
    (FOLDER / "state.json").unlink()


def turn(path: Path, asked: dict[str, str], task: int, restarts: int) -> bool:
    """Run a task until it ends or is killed; whether it is to be run again."""
    wall = seconds(asked["time"])
    shell, name, lead = re.fullmatch(r"(B:)(\w+)@(\d+)", asked["signal"]).groups()
    assert shell
    began = time.time()
    local = FOLDER / f"disk-{task}"
    local.mkdir(exist_ok=True)
    environment = os.environ | {
        "SLURM_ARRAY_JOB_ID": JOB_ID, "SLURM_ARRAY_TASK_ID": str(task), "SLURM_JOB_ID": str(int(JOB_ID) + task),
        "SLURM_CPUS_PER_TASK": CPUS, "SLURM_RESTART_COUNT": str(restarts), "SLURM_TMPDIR": str(local),
        "SLURM_JOB_END_TIME": str(int(began) + wall),
    }  # fmt: skip
    log = filled_in(asked["output"], task)
    with log.open("ab") as output:
        process = subprocess.Popen(
            ["bash", str(path)], env=environment, stdout=output, stderr=output, start_new_session=True, cwd="/"
        )
    request = FOLDER / f"requeue-{task}"
    is_silent = (FOLDER / "silent").exists()
    (FOLDER / "silent").unlink(missing_ok=True)
    was_warned = was_cut = False
    while process.poll() is None and not request.exists() and not STOP.exists():
        passed = time.time() - began
        if passed > wall - int(lead) and not was_warned and not is_silent:
            was_warned = True
            process.send_signal(getattr(signal, f"SIG{name}"))
        if passed > wall:
            was_cut = True
            break
        time.sleep(0.05)
    kill_session(process.pid)
    code = process.wait()
    wanted = request.exists()
    request.unlink(missing_ok=True)
    line = {"task": task, "restarts": restarts, "seconds": time.time() - began, "code": code}
    with (FOLDER / "turns.jsonl").open("a") as turns:
        turns.write(json.dumps(line | {"warned": was_warned, "cut": was_cut, "requeued": wanted}) + "\n")
    return wanted


def kill_session(leader: int) -> None:
    """Everything that the task started, Ray's own process groups included, as Slurm's cgroup does."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            session = int((entry / "stat").read_text().rpartition(")")[2].split()[3])
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue
        is_the_tasks = f"SLURM_STAND_IN={FOLDER}".encode() in environment and b"SLURM_JOB_ID=" in environment
        if session == leader or is_the_tasks:
            os.kill(int(entry.name), signal.SIGKILL)


def main(command: str, arguments: list[str]) -> None:
    state = json.loads((FOLDER / "state.json").read_text()) if (FOLDER / "state.json").exists() else None
    if command == "sbatch":
        sbatch(Path(arguments[-1]))
    elif command == "cluster":
        cluster(Path(arguments[0]))
    elif command == "squeue":
        if state:
            assert "--format=%A %j" in arguments
            print(state["id"], state["name"])
    elif command == "scontrol":
        assert arguments[0] == "requeue"
        job, _, task = arguments[1].partition("_")
        assert job == JOB_ID
        (FOLDER / f"requeue-{task}").touch()
        time.sleep(30)  # the controller kills us


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
