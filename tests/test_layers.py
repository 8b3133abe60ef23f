"""Imports point down only, and heavy packages are imported where they are used."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest
from support import ROOT

MODULES = {
    ".".join(path.relative_to(folder.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for folder in (ROOT / "toolkit/mnistkit", ROOT / "export/mnistkit_export", ROOT / "benchmarks/mnistkit_bench")
    for path in sorted(folder.rglob("*.py"))
}

# From the top down. A module may import from its own entry and from the layers below it.
LAYERS = [
    {"mnistkit_export", "mnistkit_bench"},  # reached from mnistkit.cli.main by name alone
    {"mnistkit.__main__"},
    {"mnistkit"},
    {"mnistkit.cli"},
    {"mnistkit.fleet"},
    {"mnistkit.verify"},
    {"mnistkit.bench_report", "mnistkit.training"},
    {"mnistkit.device", "mnistkit.classifier"},
    {"mnistkit.data", "mnistkit.formats", "mnistkit.runtimes"},
    {"mnistkit.bundle"},
    {"mnistkit.core"},
]
HEAVY = {"tensorflow", "keras", "tf2onnx", "onnx", "onnxruntime", "ai_edge_litert", "flatbuffers", "matplotlib", "PIL"}


def imports(tree: ast.AST, *, inside_functions: bool) -> Iterator[str]:
    """The modules that a file imports, without those that only the type checker imports."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif inside_functions or not isinstance(node, ast.FunctionDef):
            yield from imports(node, inside_functions=inside_functions)


def layer_of(module: str) -> tuple[int, str]:
    """The depth of a module's layer, and its entry there: the longest that matches."""
    matches = [
        (len(entry), depth, entry)
        for depth, layer in enumerate(LAYERS)
        for entry in layer
        if f"{module}.".startswith(f"{entry}.")
    ]
    _, depth, entry = max(matches)
    return depth, entry


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down(module: str) -> None:
    depth, entry = layer_of(module)
    for imported in imports(ast.parse(MODULES[module].read_text()), inside_functions=True):
        if imported.startswith("mnistkit"):
            other_depth, other_entry = layer_of(imported)
            assert other_depth > depth or other_entry == entry, f"{module} imports {imported}"


@pytest.mark.parametrize("module", MODULES)
def test_heavy_packages_are_imported_inside_functions(module: str) -> None:
    packages = {
        name.partition(".")[0] for name in imports(ast.parse(MODULES[module].read_text()), inside_functions=False)
    }
    assert not packages & HEAVY
