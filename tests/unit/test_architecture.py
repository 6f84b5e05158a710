"""The rooms of the house, and who may import whom. Read from the syntax tree: nothing is imported here."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("flows", "tasks", "models", "warehouse", "estimates", "reports", "phantom")

# A room, or a module of a room, that each room may import besides itself.
ALLOWED = {
    "flows": set(ROOMS),
    "tasks": {"models", "warehouse.records", "warehouse.domain_records", "warehouse.reasons"},
    "models": {"estimates"},
    "warehouse": set(),
    "estimates": set(),
    "reports": {"estimates", "warehouse.queries"},
    "phantom": set(),
}
PREFECT_HOMES = ("flows/", "tasks/shards.py")


def modules(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Dotted names that a module imports, anywhere in its code; `from a.b import c` gives a.b.c."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; write the room's name"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def is_within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


@pytest.mark.parametrize("room", ROOMS)
def test_room_imports_only_what_it_may(room: str) -> None:
    allowed = ALLOWED[room] | {room}
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules(room)
        for name in sorted(imports(path))
        if name.split(".")[0] in ROOMS and not any(is_within(name, package) for package in allowed)
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("room", ROOMS)
def test_prefect_stays_where_the_flows_are(room: str) -> None:
    wrong = [
        str(path.relative_to(ROOT))
        for path in modules(room)
        if any(is_within(name, "prefect") for name in imports(path))
        and not str(path.relative_to(ROOT)).startswith(PREFECT_HOMES)
    ]
    assert not wrong, wrong


def test_every_room_has_code() -> None:
    """Guards the tests above: a room that moved would pass them unseen."""
    assert all(modules(room) for room in ROOMS)
    assert is_within("tasks.crawl", "tasks")
    assert not is_within("tasksx", "tasks")


def test_every_file_of_tests_has_a_name_of_its_own() -> None:
    """Pytest imports them by their names alone: two of one name in one run are an error of collection."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))
