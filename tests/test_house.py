"""The house: rooms, the direction of the arrows between them, and no circle of imports."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

FUN = (
    {"errors", "paths", "yaml_files", "registry", "randomness", "metrics"},
    {"machine", "unfreezing", "world"},
    {"results"},
    {"data", "models"},
    {"methods", "tasks", "fisher"},
    {"config"},
    {"inputs"},
    {"training"},
    {"experiment", "preview", "inspect", "sweep"},
    {"run"},
)
"""The rooms of fun/, lowest first: a room reads those below it, and those beside it."""

REPRODUCE = (
    {"declare"},
    {"runs"},
    {"start", "numbers", "carry"},
    {"show"},
    {"commands"},
    {"__main__"},
)


def modules(package: str) -> dict[str, Path]:
    """Dotted name -> file, a package under its own name."""
    files = sorted((ROOT / package).rglob("*.py"))
    return {".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file for file in files}


def imports(name: str, file: Path, known: dict[str, Path]) -> set[str]:
    """The modules of ours that a module imports, at its top or later; what only types need is no import."""
    found: set[str] = set()
    for node in running(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {module if module in known else node.module for module in inner}
    return {module for module in found if module in known and module != name}


def running(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        yield node
        yield from running(node)


KNOWN = {**modules("fun"), **modules("reproduce")}
GRAPH = {name: imports(name, file, KNOWN) for name, file in KNOWN.items()}


def room(module: str) -> str:
    return [*module.split("."), "__init__"][1]


@pytest.mark.parametrize(("package", "levels"), [("fun", FUN), ("reproduce", REPRODUCE)])
def test_arrows_point_one_way(package: str, levels: tuple[set[str], ...]) -> None:
    level = {name: number for number, names in enumerate(levels) for name in names}
    against = [
        f"{module} imports {imported}"
        for module, targets in GRAPH.items()
        for imported in sorted(targets)
        if module.startswith(f"{package}.") and imported.startswith(f"{package}.")
        if level[room(imported)] > level[room(module)]
    ]
    assert against == []


def test_fun_knows_nothing_of_reproduce() -> None:
    assert [
        module
        for module, targets in GRAPH.items()
        if module.startswith("fun") and any(t.startswith("reproduce") for t in targets)
    ] == []
    naming = [
        str(file.relative_to(ROOT))
        for name, file in KNOWN.items()
        if name.startswith("fun") and "reproduce" in file.read_text(encoding="utf-8")
    ]
    assert naming == [], "a message or docstring of fun/ names the other package"


def test_the_heart_imports_nothing_of_ours() -> None:
    outside = {
        m: [t for t in targets if room(t) != "unfreezing"] for m, targets in GRAPH.items() if room(m) == "unfreezing"
    }
    assert {module: targets for module, targets in outside.items() if targets} == {}


def test_no_circles() -> None:
    """By taking away, again and again, the modules that import nothing that is left."""
    left = {name: set(targets) for name, targets in GRAPH.items()}
    while free := [name for name, targets in left.items() if not targets & left.keys()]:
        for name in free:
            del left[name]
    assert sorted(left) == []


def test_rooms() -> None:
    rooms = {path.name for path in (ROOT / "reproduce").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert rooms == {"papers", "declare", "runs", "start", "numbers", "show", "carry", "commands"}
    loose = {path.name for path in (ROOT / "reproduce").iterdir() if path.is_file()}
    assert loose == {"__init__.py", "__main__.py"}
