"""The cluster files are what Ray's launcher takes, close what they say they close, and install what there is."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.orchestrator.s3_server import S3Server

ROOT = Path(__file__).parents[1]
LAUNCHER_FILES = ("cluster.yaml", "deploy/on-premise.yaml")


def load(name: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def prepared(name: str) -> dict[str, Any]:
    """As `ray up` makes it of the file: defaults filled in, checked by Ray's own schema."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = prepare_config(load(name))
    validate_config(config)
    return config


@pytest.mark.parametrize("name", LAUNCHER_FILES)
def test_rays_own_schema_takes_the_file(name: str) -> None:
    import jsonschema
    from ray.autoscaler._private.util import validate_config

    config = prepared(name)
    with pytest.raises(jsonschema.ValidationError):
        validate_config(config | {"idle_timeout": 5})  # the schema does look


def test_gpu_workers_are_spot_and_there_are_none_at_rest() -> None:
    config = prepared("cluster.yaml")
    head = config["available_node_types"][config["head_node_type"]]
    workers = {name: one for name, one in config["available_node_types"].items() if name != config["head_node_type"]}
    assert head["resources"] == {"CPU": 0}
    assert workers
    for worker in workers.values():
        assert (worker["min_workers"], worker["resources"]["GPU"]) == (0, 1)
        assert worker["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
        assert worker["node_config"]["InstanceInitiatedShutdownBehavior"] == "terminate"
    assert config["provider"]["cache_stopped_nodes"] is False


@pytest.mark.parametrize("name", LAUNCHER_FILES)
def test_every_node_asks_for_the_token_and_shows_the_dashboard_to_itself_only(name: str) -> None:
    config = prepared(name)
    starts = [
        command
        for key in ("head_start_ray_commands", "worker_start_ray_commands")
        for command in config[key]
        if "ray start" in command
    ]
    assert len(starts) == 2
    assert all("RAY_AUTH_MODE=token ray start" in command for command in starts)
    assert "--dashboard-host=127.0.0.1" in starts[0]
    assert any("export RAY_AUTH_MODE=token" in command for command in config["initialization_commands"])
    assert "~/.ray/auth_token" in config["file_mounts"].values()


def test_a_rayjob_has_a_token_and_is_not_reachable_from_outside() -> None:
    job = load("deploy/kuberay-rayjob.yaml")
    cluster = job["spec"]["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    assert cluster["headGroupSpec"]["serviceType"] == "ClusterIP"
    assert job["spec"]["shutdownAfterJobFinishes"] is True
    (workers,) = cluster["workerGroupSpecs"]
    assert (workers["minReplicas"], workers["replicas"]) == (0, 0)


def test_the_entry_point_of_the_rayjob_is_a_command_that_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    import shlex

    from typer.main import get_command

    from orchestrator.cli import app

    entrypoint = load("deploy/kuberay-rayjob.yaml")["spec"]["entrypoint"]
    words = shlex.split(entrypoint.partition(" || ")[0])
    assert words[0] == "prunesweep"
    command = get_command(app).commands[words[1]]  # type: ignore[attr-defined]
    sweep = str(ROOT / "sweeps" / Path(words[2]).name)
    assert Path(sweep).is_file()
    context = command.make_context("run", [sweep, *words[3:]])
    assert (context.params["address"], context.params["gpus_per_trial"]) == ("auto", 1.0)


@pytest.mark.parametrize(("ended", "seen"), [(0, 0), (1, 0), (2, 1), (3, 1), (4, 1)])
def test_a_rayjob_is_not_repeated_for_trials_that_failed(ended: int, seen: int) -> None:
    entrypoint = load("deploy/kuberay-rayjob.yaml")["spec"]["entrypoint"]
    done = subprocess.run(["sh", "-c", f"prunesweep() {{ return {ended}; }}; {entrypoint}"], check=False)
    assert done.returncode == seen


@pytest.mark.parametrize("name", LAUNCHER_FILES)
def test_the_shell_takes_every_command(name: str) -> None:
    config = prepared(name)
    for key, commands in config.items():
        for command in commands if key.endswith("commands") else ():
            subprocess.run(["bash", "-n", "-c", command], check=True)


def test_the_versions_that_nodes_install_are_the_tested_ones() -> None:
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    (ray,) = [line for line in pins if line.startswith("ray==")]
    version = ray.removeprefix("ray==")
    for name in LAUNCHER_FILES:
        assert any(f'"ray[default]=={version}"' in command for command in prepared(name)["setup_commands"])
    assert load("deploy/kuberay-rayjob.yaml")["spec"]["rayClusterSpec"]["rayVersion"] == version
    image = (ROOT / "deploy/Dockerfile").read_text(encoding="utf-8")
    assert f"rayproject/ray:{version}-py311-gpu" in image
    assert "--constraint /prunesweep/constraints.txt" in image


@pytest.fixture
def watched(tmp_path: Path) -> dict[str, str]:
    """An environment in which the watch of cluster.yaml runs at once, without root and without turning us off.

    `pgrep` says what the file `raylet` says, minute by minute: a line `1` is a minute with a Ray process.
    """
    commands = {
        "systemd-run": 'shift; exec "$@"',
        "sleep": f'echo minute >> {tmp_path}/minutes; [ "$(wc -l < {tmp_path}/minutes)" -lt 100 ] || kill $PPID',
        "pgrep": f'[ "$(sed -n "$(wc -l < {tmp_path}/minutes)p" {tmp_path}/raylet)" = 1 ]',
        "shutdown": f'echo "$@" > {tmp_path}/turned-off',
    }
    for name, body in commands.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{body}\n")
        (tmp_path / name).chmod(0o755)
    return {"PATH": f"{tmp_path}:{os.environ['PATH']}"}


@pytest.mark.parametrize(
    ("minutes_with_ray", "turned_off_at"),
    [
        ([], 40),  # the head died while the worker was set up
        (range(5, 20), 29),  # the head died later: the tenth minute without
        ([*range(5, 20), *range(28, 101)], None),  # Ray was restarted in between
        (range(39, 101), None),  # a slow installation
    ],
)
def test_a_worker_turns_itself_off_when_the_head_is_gone(
    watched: dict[str, str], tmp_path: Path, minutes_with_ray: Any, turned_off_at: int | None
) -> None:
    (tmp_path / "raylet").write_text("".join(f"{int(minute in minutes_with_ray)}\n" for minute in range(1, 101)))
    script = load("cluster.yaml")["available_node_types"]["gpu-spot"]["node_config"]["UserData"]
    subprocess.run(["bash", "-c", script], env=watched, timeout=60, check=False)
    minutes = len((tmp_path / "minutes").read_text().splitlines())
    if turned_off_at is None:
        assert minutes == 100
        assert not (tmp_path / "turned-off").exists()
    else:
        assert minutes == turned_off_at
        assert (tmp_path / "turned-off").read_text() == "-h now\n"


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """An AWS of our own (moto's), and a home in which Ray may leave the key that it makes."""
    pytest.importorskip("moto", reason="the AWS of the tests is moto's: pip install 'moto[s3]' flask flask-cors")
    server = S3Server()
    for name, value in (server.variables | {"HOME": str(tmp_path)}).items():
        monkeypatch.setenv(name, value)
    yield
    server.stop()


@pytest.mark.filterwarnings("ignore")  # boto3's and Ray's
def test_rays_aws_provider_starts_the_machines_of_the_file(aws: None) -> None:
    """`ray up` up to the first machine, and the autoscaler's step, on moto's EC2: what AWS's API takes and makes."""
    import boto3
    from ray.autoscaler._private.aws.node_provider import AWSNodeProvider
    from ray.autoscaler._private.commands import _bootstrap_config

    written = load("cluster.yaml")
    ec2 = boto3.client("ec2", region_name=written["provider"]["region"])
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    group = ec2.create_security_group(GroupName="prunesweep", Description="-", VpcId=vpc)["GroupId"]
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    for one in written["available_node_types"].values():
        one["node_config"] |= {"SecurityGroupIds": [group], "ImageId": image}
        boto3.client("iam", region_name="us-west-2").create_instance_profile(
            InstanceProfileName=one["node_config"]["IamInstanceProfile"]["Name"]
        )
    groups = {one["GroupId"] for one in ec2.describe_security_groups()["SecurityGroups"]}

    config = _bootstrap_config(written, no_config_cache=True)
    provider = AWSNodeProvider(config["provider"], config["cluster_name"])
    for name, one in config["available_node_types"].items():
        provider.create_node(one["node_config"], {"ray-user-node-type": name, "ray-node-kind": "worker"}, 1)

    assert {one["GroupId"] for one in ec2.describe_security_groups()["SecurityGroups"]} == groups  # Ray's would be open
    machines = [one for reservation in ec2.describe_instances()["Reservations"] for one in reservation["Instances"]]
    by_type = {one["InstanceType"]: one for one in machines}
    assert set(by_type) == {"m5.large", "g5.xlarge"}
    for one in machines:
        assert [inside["GroupId"] for inside in one["SecurityGroups"]] == [group]
    worker = by_type["g5.xlarge"]
    assert worker["InstanceLifecycle"] == "spot"
    behaviour = ec2.describe_instance_attribute(
        InstanceId=worker["InstanceId"], Attribute="instanceInitiatedShutdownBehavior"
    )
    assert behaviour["InstanceInitiatedShutdownBehavior"]["Value"] == "terminate"


def test_the_budgets_of_the_page_are_taken() -> None:
    from orchestrator.sweepfile import parse_sweep

    page = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
    rest = "name: n\ndataset: digits\nmodel: mlp\npruner: snip\nsparsity: 0.9\ntraining: {epochs: 1}\n"
    budgets = [line.removeprefix("# ") for line in page.splitlines() if line.removeprefix("# ").startswith("budget: ")]
    assert len(budgets) == 2
    for budget in budgets:
        assert parse_sweep(rest + budget, name="page", folder=ROOT).sweep.budget
