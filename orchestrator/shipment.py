"""What travels with a submitted sweep: the sweep file, what it reads beside it, and our own code.

    analysis/ models/ orchestrator/ ...    the working tree, unless the cluster's own installation is to run
    submitted/<sweep file>                 where the command runs: the user's modules and weights lie as they lay

What git ignores stays at home, and so does everything of the working tree that no run imports. The archive is the same
bytes for the same content, so that Ray uploads it once.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path, PurePosixPath

from orchestrator.errors import BadInput
from orchestrator.origin import ORIGIN_FILE, origin_of
from orchestrator.sources import ROOMS, UserCode
from orchestrator.sweepfile import SweepFile

OUR_ROOT = Path(__file__).resolve().parents[1]
"""The folder that our packages are imported from."""
SUBMITTED = "submitted"
LARGEST_BYTES = 64 * 2**20
"""Ray keeps archives in the head's memory; code is about a megabyte."""
NUM_NAMED = 5


@dataclass(frozen=True, kw_only=True)
class Shipment:
    """Contents by name in the archive."""

    files: dict[str, bytes]

    @property
    def num_bytes(self) -> int:
        """Before compression."""
        return sum(map(len, self.files.values()))

    def content_hash(self, *more: str) -> str:
        """Of what the user wrote, and of `more`: 8 hexadecimal digits. Our own code and the origin do not count."""
        digest = hashlib.blake2b("\0".join(more).encode(), digest_size=4)
        for name in sorted(self.files):
            if name.startswith(f"{SUBMITTED}/") and name != f"{SUBMITTED}/{ORIGIN_FILE}":
                digest.update(b"\0" + name.encode() + b"\0" + hashlib.blake2b(self.files[name]).digest())
        return digest.hexdigest()

    def summary(self) -> list[tuple[str, int, int]]:
        """(folder of the archive or file that was submitted, number of files, bytes), in the archive's order."""
        lines: dict[str, list[int]] = {}
        for name in sorted(self.files):
            top, _, rest = name.partition("/")
            line = lines.setdefault(name if top == SUBMITTED or not rest else f"{top}/", [0, 0])
            line[0] += 1
            line[1] += len(self.files[name])
        return [(name, num_files, num_bytes) for name, (num_files, num_bytes) in lines.items()]

    def to_zip(self) -> bytes:
        """The archive, the same for the same content."""
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in sorted(self.files):
                info = zipfile.ZipInfo(name)  # of 1980: a clock would make it another archive
                info.external_attr = 0o644 << 16
                info.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(info, self.files[name])
        return stream.getvalue()

    def unpack(self, folder: Path) -> None:
        """Write the files under a folder."""
        for name, content in self.files.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)


def pack(file: SweepFile, sweep_path: Path, *, installed: bool, also: Iterable[Path] = ()) -> Shipment:
    """What to ship. Raises BadInput for what is not there, lies elsewhere, or is too much."""
    files = {} if installed else dict(_working_tree())
    submitted = {sweep_path.name: file.text.encode(), ORIGIN_FILE: origin_of(file.folder).to_json().encode()}
    for path in _own_modules(file):
        submitted[_place(path, file.folder)] = path.read_bytes()
    for weights in _weights(file):
        if not weights.is_absolute():
            submitted[_place(weights.absolute(), Path.cwd())] = _content(weights)
    for path in also:
        submitted[_place(path.absolute(), file.folder)] = _content(path)
    shipment = Shipment(files=files | {f"{SUBMITTED}/{name}": content for name, content in submitted.items()})
    _refuse_too_much(shipment)
    return shipment


def _working_tree() -> Iterator[tuple[str, bytes]]:
    """Our packages as they are here, and the metadata that says which version they are."""
    command = ["git", "-C", str(OUR_ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--"]
    try:
        listed = subprocess.run([*command, *ROOMS, "sweeps"], capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:  # no git on this machine
        listed = ""
    names = [name for name in dict.fromkeys(listed.split("\0")) if name and (OUR_ROOT / name).is_file()]
    if not names:
        raise BadInput(
            f"prunesweep runs from {OUR_ROOT}, which git does not know as a working tree that could be shipped: "
            "--installed runs what the cluster has installed"
        )
    for name in names:
        yield name, (OUR_ROOT / name).read_bytes()
    ours = distribution("prunesweep")
    yield f"prunesweep-{ours.version}.dist-info/METADATA", (ours.read_text("METADATA") or "").encode()


def _own_modules(file: SweepFile) -> list[Path]:
    code = UserCode(file.folder)
    specs = [*file.sweep.dataset, *file.sweep.model, *file.sweep.pruner]
    targets = dict.fromkeys(name for spec in specs for name in spec.name if ":" in name)
    return sorted({path for target in targets for path in code.local_files(target).values()})


def _weights(file: SweepFile) -> list[Path]:
    given = [spec.options.get("weights") for spec in file.sweep.model]
    return [Path(one) for one in given if isinstance(one, str)]


def _place(path: Path, folder: Path) -> str:
    """A file's name below `folder`, where it will lie below the sweep file."""
    try:
        return PurePosixPath(path.resolve().relative_to(folder.resolve())).as_posix()
    except ValueError:
        raise BadInput(
            f"{path} lies outside {folder} and would lie elsewhere on the cluster: move it there, or put it where "
            "every node sees it and write its absolute path"
        ) from None


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path} cannot be shipped: {error}") from None


def _refuse_too_much(shipment: Shipment) -> None:
    if shipment.num_bytes <= LARGEST_BYTES:
        return
    biggest = sorted(shipment.files, key=lambda name: len(shipment.files[name]), reverse=True)[:NUM_NAMED]
    named = ", ".join(f"{name} ({format_bytes(len(shipment.files[name]))})" for name in biggest)
    raise BadInput(
        f"{format_bytes(shipment.num_bytes)} to ship, and at most {format_bytes(LARGEST_BYTES)} are: {named}. "
        "Let git ignore what no trial reads; put weights where every node sees them and write their absolute path"
    )


def format_bytes(count: int) -> str:
    """A size as people say it.

    >>> format_bytes(950), format_bytes(12_300), format_bytes(64 * 2**20)
    ('950 B', '12.3 kB', '67.1 MB')
    """
    if count < 1000:
        return f"{count} B"
    return f"{count / 1000:.1f} kB" if count < 1_000_000 else f"{count / 1_000_000:.1f} MB"
