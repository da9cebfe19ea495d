"""A sweep as a Slurm job array: one task a shard, each with a Ray of its own on its node, all on one store.

No network between the tasks, no head to lose, no port to open: what they share is the folder of the store. A task ends
before its wall time of its own accord (`run --within`), or is warned by Slurm and has its long trials write
checkpoints; either way it goes back into the queue until its shard is done.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from orchestrator.deadline import parse_duration
from orchestrator.errors import BadInput
from orchestrator.exit_codes import Exit
from orchestrator.shipment import SUBMITTED, Shipment
from orchestrator.submit import slug

WARNING_SECONDS = 120
"""Before the wall time: for trials in flight to be committed and long ones to write their checkpoints."""
LONGEST_SCRATCH = 32
"""Letters of the folder that Ray's sockets lie below: a socket's path may have 107 bytes, and Ray adds about 70."""
JOB_ID_FILE = "job_id"
SCRIPT = "task.sh"
LOGS = "logs"

BODY = """
folder={folder}
cd "$folder/{submitted}" || exit {bad_input}
{pythonpath}
# Ray's sockets lie here, and their path may have 107 bytes: short, and on a disk of this node
scratch=$(mktemp -d "${{SLURM_TMPDIR:-/tmp}}/psXXXXXX")
if [ ${{#scratch}} -gt {longest_scratch} ]; then rmdir "$scratch"; scratch=$(mktemp -d /tmp/psXXXXXX); fi
trap 'rm -rf "$scratch"' EXIT
export RAY_TMPDIR=$scratch TMPDIR=$scratch

# No GPU was given to this task: then it takes none, whatever the node has
if [ "${{SLURM_GPUS_ON_NODE:-0}}" = 0 ]; then export CUDA_VISIBLE_DEVICES=; fi

# Trials are begun until the last of them can end before the warning
end=${{SLURM_JOB_END_TIME:-$(($(date +%s) + {wall_seconds}))}}
left=$((end - $(date +%s) - {warning_seconds}))
if [ "$left" -lt 0 ]; then left=0; fi
limit=$(printf '%d:%02d:%02d' $((left / 3600)) $((left / 60 % 60)) $((left % 60)))

warned=
trap 'warned=1; kill -TERM "$child" 2>/dev/null' USR1
{retry}{python} -P -m orchestrator {words} \\
  --shard "$SLURM_ARRAY_TASK_ID/{num_shards}" --slots "${{SLURM_CPUS_PER_TASK:-1}}" --within "$limit"{retry_flag} &
child=$!
wait "$child"
code=$?
if [ "$code" -gt 128 ] && [ -n "$warned" ]; then  # it was the waiting that the signal ended
  wait "$child"
  code=$?
fi
case "$code" in
  {ended}) again= ;;
  {out_of_time}) again=1 ;;
  *) again=$warned ;;  # interrupted, or ended by the signal before it could listen
esac
if [ -n "$again" ]; then
  echo "Back into the queue: what is left of this shard runs in the task's next turn."
  scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}"
fi
exit "$code"
"""

FIRST_TURN_RETRIES = 'retry=; if [ "${SLURM_RESTART_COUNT:-0}" = 0 ]; then retry=--retry-failed; fi\n'


@dataclass(frozen=True, kw_only=True)
class ArrayJob:
    """A sweep to be run as a job array."""

    sweep: str
    sweep_file: str
    """The file's name in the shipment."""
    shipment: Shipment
    results: str
    parent: Path
    """The shared folder below which the script, the code and the logs lie."""
    num_shards: int = 1
    time: str = "04:00:00"
    """The wall time of a task."""
    directives: Sequence[str] = ()
    """Further options of sbatch, each as `--name=value`."""
    run_options: Sequence[str] = ()

    @property
    def content_name(self) -> str:
        """Stands for the sweep's content and the store."""
        return f"{self.sweep_name}{self.shipment.content_hash(self.sweep, self.results)}"

    @property
    def sweep_name(self) -> str:
        """What the names of all versions of the sweep begin with."""
        return f"prunesweep-{slug(self.sweep)}-"

    @property
    def name(self) -> str:
        """In Slurm's queue: of the content, and of the number of shards."""
        return f"{self.content_name}-{self.num_shards}"

    @property
    def folder(self) -> Path:
        """Where the script, the code and the logs lie."""
        return self.parent.absolute() / self.content_name

    def script(self, *, retry_failed: bool = False) -> str:
        """What sbatch takes. With `retry_failed`, a task's first turn tries failed trials again."""
        wall = int(parse_duration(self.time))
        warning = min(WARNING_SECONDS, wall // 4)
        lines = [
            f"--job-name={self.name}",
            f"--array=1-{self.num_shards}",
            f"--time={self.time}",
            f"--signal=B:USR1@{warning}",
            "--requeue",
            "--open-mode=append",
            f"--output={shlex.quote(f'{self.folder}/{LOGS}/'.replace('%', '%%') + '%a.log')}",
            "--nodes=1",
            "--ntasks=1",
            *self.directives,
        ]
        has_code = any(not name.startswith(f"{SUBMITTED}/") for name in self.shipment.files)
        body = BODY.format(
            folder=shlex.quote(str(self.folder)),
            submitted=SUBMITTED,
            pythonpath='export PYTHONPATH="$folder${PYTHONPATH:+:$PYTHONPATH}"\n' if has_code else "",
            longest_scratch=LONGEST_SCRATCH,
            wall_seconds=wall,
            warning_seconds=warning,
            python=shlex.quote(sys.executable),
            words=shlex.join(["run", self.sweep_file, "--results", self.results, *self.run_options]),
            num_shards=self.num_shards,
            retry=FIRST_TURN_RETRIES if retry_failed else "",
            retry_flag=" $retry" if retry_failed else "",
            bad_input=int(Exit.BAD_INPUT),
            ended="|".join(str(int(one)) for one in (Exit.DONE, Exit.SOME_FAILED, Exit.BAD_INPUT, Exit.OUR_FAULT)),
            out_of_time=int(Exit.OUT_OF_TIME),
        )
        return "#!/bin/bash\n" + "".join(f"#SBATCH {line}\n" for line in lines) + body


def submit_array(job: ArrayJob, console: Console) -> tuple[str, bool]:
    """Hand a job to Slurm; (its id, whether it is new). One that is in the queue already is left alone.

    Raises BadInput where it is there in another number of tasks; says so where another version of the sweep is.
    """
    queued = _queued()
    if job.name in queued:
        return queued[job.name], False
    for name, job_id in queued.items():
        if name.startswith(f"{job.content_name}-"):
            num_tasks = name.rpartition("-")[2]
            raise BadInput(
                f"{job.sweep} is in the queue in {num_tasks} task(s) as {job_id}: submit it with --shards {num_tasks}, "
                f"or end that first: scancel {job_id}"
            )
        if name.startswith(job.sweep_name):
            console.print(
                f"{job_id} still runs another version of {job.sweep}; scancel {job_id} ends it",
                style="yellow", markup=False, highlight=False, soft_wrap=True,
            )  # fmt: skip
    earlier = (job.folder / JOB_ID_FILE).exists()
    for path in job.folder.iterdir() if earlier else ():
        if path.is_dir() and path.name != LOGS:  # modules deleted since then would be imported still
            shutil.rmtree(path)
    job.shipment.unpack(job.folder)
    (job.folder / LOGS).mkdir(exist_ok=True)
    script = job.folder / SCRIPT
    script.write_text(job.script(retry_failed=earlier), encoding="utf-8")
    job_id = _slurm("sbatch", "--parsable", str(script)).strip().split(";")[0]
    (job.folder / JOB_ID_FILE).write_text(f"{job_id}\n", encoding="utf-8")
    return job_id, True


def _queued() -> dict[str, str]:
    """Our user's jobs in the queue: id by name."""
    lines = _slurm("squeue", "--me", "--noheader", "--format=%A %j").splitlines()
    return {name: job_id for job_id, _, name in (line.strip().partition(" ") for line in lines)}


def _slurm(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except FileNotFoundError:
        raise BadInput(f"{command[0]} was not found: submit --slurm is for machines that submit to Slurm") from None
    except subprocess.CalledProcessError as error:
        raise BadInput(f"{command[0]} refused: {error.stderr.strip() or error.stdout.strip()}") from None
