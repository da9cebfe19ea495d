"""The Ray that a run starts for itself lets nobody else in."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

OWNER = """
import sys
from orchestrator.private_ray import close_to_others
close_to_others()
import ray
started = ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
print(ray.get(ray.remote(lambda: started.address_info["gcs_address"]).remote()), flush=True)
sys.stdin.read()
"""
STRANGER = "import sys; from ray._raylet import GcsClient; GcsClient(address=sys.argv[1]); print('let in')"


@pytest.fixture
def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}


@pytest.fixture
def address(environment: dict[str, str]) -> Iterator[str]:
    """Of a private Ray, in which a task has run."""
    with subprocess.Popen(
        [sys.executable, "-c", OWNER], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        yield owner.stdout.readline().strip()
        owner.communicate("")


def test_who_has_no_token_is_turned_away(address: str, environment: dict[str, str]) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STRANGER, address],
        env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as stranger:  # fmt: skip
        assert stranger.stderr is not None
        refusal = next((line for line in stranger.stderr if "InvalidAuthToken" in line), "")
        stranger.kill()
        printed = stranger.communicate()[0]
    assert refusal, printed
    assert "let in" not in printed


@pytest.mark.parametrize(
    ("before", "expected"),
    [("", "token 64"), ("import ray", "None 0"), ("os.environ['RAY_AUTH_MODE'] = 'disabled'", "disabled 0")],
)
def test_nothing_is_changed_where_ray_was_told_otherwise_or_has_read_its_settings(
    environment: dict[str, str], before: str, expected: str
) -> None:
    program = f"import os; {before}\nfrom orchestrator.private_ray import close_to_others; close_to_others()\n"
    program += "print(os.environ.get('RAY_AUTH_MODE'), len(os.environ.get('RAY_AUTH_TOKEN', '')))"
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == expected
