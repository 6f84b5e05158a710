"""What the documents say is there: links, targets, verbs, exit codes, reasons."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest
import typer.main

from flows.cli import app
from flows.errors import Exit

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")], key=str)
_LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")  # relative links only
_TARGET = re.compile(r"(?:^|`)make ([a-z-]+)\b", re.MULTILINE)  # in code, inline or a line of its own


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def verbs() -> set[str]:
    """Every verb as it is typed: `sweep`, `export scores`."""
    root = typer.main.get_command(app)
    found = set()
    for name, command in root.commands.items():  # type: ignore[attr-defined]
        children = getattr(command, "commands", None)
        found |= {f"{name} {child}" for child in children} if children else {name}
    return found


def exit_codes(document: str) -> set[int]:
    return {int(code) for code in re.findall(r"^\| (\d+) \|", text(document), re.MULTILINE)}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    links = _LINK.findall(document.read_text(encoding="utf-8"))
    lost = [link for link in links if not (document.parent / link).exists()]
    assert not lost, f"{document.name}: {lost}"


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "docs/install-offline.md"])
def test_make_targets_exist(document: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", text("Makefile"), re.MULTILINE))
    named = set(_TARGET.findall(text(document)))
    assert named
    assert not named - targets


def test_the_readme_lists_every_verb() -> None:
    rows = re.findall(r"^\| `ovf ([a-z ]+?)(?: [A-Z]+)?` \|", text("README.md"), re.MULTILINE)
    assert set(rows) == verbs()


@pytest.mark.parametrize("document", ["README.md", "docs/operators-guide.md"])
def test_exit_codes_are_those_of_the_command(document: str) -> None:
    assert exit_codes(document) == {int(code) for code in Exit}


def test_files_that_the_readme_names_exist() -> None:
    named = re.findall(r"`((?:flows|tasks|models|warehouse|tests|docs)/[a-z0-9_/.]+)`", text("README.md"))
    assert named
    assert not [name for name in named if not (ROOT / name).exists()]


def test_the_guide_has_the_reasons_of_the_code() -> None:
    with_table = runpy.run_path(str(ROOT / "scripts" / "reasons_table.py"))["with_table"]
    guide = text("docs/operators-guide.md")
    assert guide == with_table(guide), "run .venv/bin/python scripts/reasons_table.py"


def test_the_catalogue_of_faults_is_whole() -> None:
    rows = re.findall(r"^\| (T\d\d) \|", text("docs/faults.md"), re.MULTILINE)
    assert rows == [f"T{number:02d}" for number in range(1, 64)]
