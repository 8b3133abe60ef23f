"""Imports point down only, and what is heavy is imported where it is used."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import ROOT

PACKAGES = {
    "mnistkit": ROOT / "toolkit/mnistkit",
    "mnistkit_export": ROOT / "export/mnistkit_export",
    "mnistkit_bench": ROOT / "benchmarks/mnistkit_bench",
}

# From the top down. A module may import those of lower layers, and the others of its own package's part.
LAYERS = [
    {"mnistkit.__main__"},
    {"mnistkit.cli"},
    {"mnistkit.commands"},
    {"mnistkit.render"},
    {"mnistkit.fleet"},
    {
        "mnistkit_export",
        "mnistkit_bench",
        "mnistkit.training",
        "mnistkit.prediction",
        "mnistkit.junit",
        "mnistkit.doctor",
        "mnistkit.wheelhouse",
    },
    {"mnistkit.console", "mnistkit.verification"},
    {"mnistkit.predictions"},
    {"mnistkit.augmentation", "mnistkit.networks"},
    {
        "mnistkit.pictures",
        "mnistkit.keras_models",
        "mnistkit.data",
        "mnistkit.recipes",
        "mnistkit.bundle",
        "mnistkit.runtimes",
        "mnistkit.wheels",
        "mnistkit.parity",
    },
    {"mnistkit.children"},
    {
        "mnistkit.records",
        "mnistkit.extras",
        "mnistkit.progress",
        "mnistkit.native_output",
        "mnistkit.versions",
        "mnistkit.paired",
        "mnistkit.sampling",
        "mnistkit.machine",
    },
    {"mnistkit.files", "mnistkit.pythons"},
    {"mnistkit.errors", "mnistkit"},
]
LIGHT = {"click", "mnistkit", "mnistkit_export", "mnistkit_bench"}
RENDERING = {f"mnistkit.render{name}": {"rich"} for name in ("", ".exports", ".verdicts", ".latencies", ".boards")}
LOADED_BY_ANSIBLE = {
    "mnistkit.fleet.plugins.mnistkit_events": {"ansible"},
    "mnistkit.fleet.roles.board.action_plugins.bring_home": {"ansible"},
}


def modules() -> Iterator[tuple[str, Path]]:
    for package, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            yield ".".join([package, *(part for part in parts if part != "__init__")]), path


def imports(tree: ast.AST, *, everywhere: bool) -> Iterator[str]:
    """The modules that a file imports, but for those that only the type checker sees."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif everywhere or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from imports(node, everywhere=everywhere)


def layer_of(name: str) -> tuple[int, str]:
    """Which layer a module is in, and by which entry of it; the longest that fits."""
    fits = [
        (len(entry), depth, entry)
        for depth, layer in enumerate(LAYERS)
        for entry in layer
        if name == entry or name.startswith(f"{entry}.")
    ]
    _, depth, entry = max(fits)
    return depth, entry


@pytest.mark.parametrize(("name", "path"), list(modules()))
def test_imports_point_down(name: str, path: Path) -> None:
    depth, part = layer_of(name)
    known = {module for module, _ in modules()}
    for imported in imports(ast.parse(path.read_text()), everywhere=True):
        module = imported if imported in known else imported.rpartition(".")[0]
        if module not in known:
            continue
        below, other = layer_of(module)
        assert below > depth or other == part, f"{name} imports {module}"


@pytest.mark.parametrize(("name", "path"), list(modules()))
def test_only_light_modules_are_imported_at_the_top(name: str, path: Path) -> None:
    import sys

    allowed = LIGHT | set(sys.stdlib_module_names) | (RENDERING | LOADED_BY_ANSIBLE).get(name, set())
    tops = {imported.partition(".")[0] for imported in imports(ast.parse(path.read_text()), everywhere=False)}
    assert tops <= allowed


def test_every_module_has_a_layer_of_its_own() -> None:
    for name, _ in modules():
        assert name == "mnistkit" or layer_of(name)[1] != "mnistkit", f"{name} stands in no layer"
