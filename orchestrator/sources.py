"""A user's own code: where it is found, and what its hash covers.

A researcher edits a custom pruner twenty times a day; a stale result must not answer for new code. So the source of a
`package.module:Name`, and of every local module it imports, is part of a trial's identity. The code is read, not run:
planning works without importing it.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterable, Mapping
from modulefinder import ModuleFinder
from pathlib import Path
from typing import Any

from orchestrator.errors import BadInput, did_you_mean

ROOMS = ("analysis", "models", "orchestrator", "pruning", "training")
"""Our own top-level packages: a user's module must not go by one of these names."""


class UserCode:
    """The code beside a sweep file. Modules are looked for in `folder`, after everything that is installed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._hashes: dict[str, str] = {}

    def make_importable(self) -> None:
        """Append the folder to the import path, so that nothing of ours or of Python's can be replaced by it."""
        if str(self.folder) not in sys.path:
            sys.path.append(str(self.folder))

    def content_hash(self, name: str, options: Mapping[str, Any]) -> str:
        """Hash of what a name and its options read besides our own code: a user's source, a file of weights; or ""."""
        parts = [self.source_hash(name)] if ":" in name else []
        if isinstance(weights := options.get("weights"), str):
            try:
                parts.append(hashlib.blake2b(Path(weights).read_bytes(), digest_size=16).hexdigest())
            except OSError as error:
                raise BadInput(f"{name}: weights: {error}: name a file, from the folder you run in") from None
        return "+".join(parts)

    def source_hash(self, target: str) -> str:
        """Hash of what `package.module:Name` runs. Raises BadInput where it cannot be found or would be shadowed."""
        if target not in self._hashes:
            self._hashes[target] = self._hash(target)
        return self._hashes[target]

    def local_files(self, target: str) -> dict[str, Path]:
        """Files beside the sweep file that `package.module:Name` runs, by module; none where it is installed.

        Raises BadInput where it cannot be found or would be shadowed.
        """
        module, _, name = target.partition(":")
        if self._local_file(module) is None:
            _installed_source(module, self.folder)
            return {}
        self._refuse_bare_folders(target, [module.rpartition(".")[0]] if "." in module else [])
        finder = _Finder(path=[str(self.folder)])
        try:
            finder.import_hook(module)
        except SyntaxError as error:
            raise BadInput(f"{target}: {error.filename}:{error.lineno}: {error.msg}") from None
        self._refuse_bare_folders(target, finder.badmodules)
        files = {
            found: Path(part.__file__)  # type: ignore[attr-defined]  # modulefinder's own Module, untyped
            for found, part in finder.modules.items()
            if part.__file__ and found.partition(".")[0] not in ROOMS  # type: ignore[attr-defined]
        }
        for found in {name.partition(".")[0] for name in finder.modules}:
            self._refuse_shadowing(found)
        _require_name(target, files[module], name)
        return files

    def _hash(self, target: str) -> str:
        files = self.local_files(target)
        if not files:
            return _installed_hash(target.partition(":")[0], self.folder)
        digest = hashlib.blake2b(digest_size=16)
        for found in sorted(files):
            digest.update(f"{found}\0".encode() + files[found].read_bytes() + b"\0")
        return digest.hexdigest()

    def _local_file(self, module: str) -> Path | None:
        base = self.folder.joinpath(*module.split("."))
        candidates = (base.with_suffix(".py"), base / "__init__.py")
        return next((path for path in candidates if path.is_file()), None)

    def _refuse_bare_folders(self, target: str, modules: Iterable[str]) -> None:
        """Python imports from a folder without __init__.py; `ModuleFinder` does not, so edits there would go unseen."""
        for module in modules:
            for end in range(1, module.count(".") + 2):
                folder = self.folder.joinpath(*module.split(".")[:end])
                if any(folder.glob("*.py")) and not (folder / "__init__.py").exists():
                    raise BadInput(f"{target} imports from {folder}, which is no package yet: put an __init__.py there")

    def _refuse_shadowing(self, top: str) -> None:
        """The installed module of that name would be imported instead of the local one: say so, naming both."""
        spec = importlib.util.find_spec(top)
        if spec is None:
            return
        is_built_in = spec.origin in ("built-in", "frozen")  # no place at all
        places = [spec.origin] if spec.origin else list(spec.submodule_search_locations or [])
        if not is_built_in and any(self.folder in Path(place).resolve().parents for place in places):
            return
        if is_built_in and self._local_file(top) is None:
            return
        mine = self._local_file(top) or self.folder / top
        raise BadInput(
            f"{mine} has the name of an installed module ({', '.join(places)}), which Python would import instead: "
            "rename your file"
        )


class _Finder(ModuleFinder):
    """Takes a folder without __init__.py for no module, where `ModuleFinder` falls over it."""

    def find_module(self, name: str, path: Any, parent: Any = None) -> Any:
        try:
            return super().find_module(name, path, parent)
        except AttributeError:
            raise ImportError(name) from None


def _require_name(target: str, file: Path, name: str) -> None:
    """The module must define or import `name` at its top level."""
    names: set[str] = set()
    for node in ast.parse(file.read_bytes()).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.ImportFrom | ast.Import):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Assign):
            names |= {one.id for one in node.targets if isinstance(one, ast.Name)}
    if name not in names and "*" not in names:
        raise BadInput(f"{target}: {file} defines no {name!r}: {did_you_mean(name, names)}")


def _installed_hash(module: str, folder: Path) -> str:
    """For code from an installed distribution: the module's own source and the distribution's version."""
    origin = _installed_source(module, folder)
    distributions = importlib.metadata.packages_distributions().get(module.partition(".")[0], [])
    versions = [f"{name}=={importlib.metadata.version(name)}" for name in sorted(set(distributions))]
    digest = hashlib.blake2b("\n".join(versions).encode() + origin.read_bytes(), digest_size=16)
    return digest.hexdigest()


def _installed_source(module: str, folder: Path) -> Path:
    """The source of an installed module. Raises BadInput where there is none."""
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        spec = None
    if spec is None or not spec.origin:
        raise BadInput(
            f"module {module!r} is neither beside the sweep file ({folder}) nor installed: "
            f"put {module.replace('.', '/')}.py there, or install what provides it"
        )
    return Path(spec.origin)
