"""The list of versions: exact, complete, and each direct dependency with its reason."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
# These come with CUDA builds of torch only, which pins them itself.
_PINNED_BY_TORCH = ("nvidia-", "cuda-", "triton")
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([A-Za-z0-9.]+)(?:  # .*)?$")


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def constraint_lines() -> list[str]:
    return (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()


def pins() -> dict[str, str]:
    """Normalised name and version of each line that is no comment."""
    matches = [_PIN.match(line) for line in constraint_lines() if line and not line.startswith("#")]
    return {canonicalize_name(m.group(1)): m.group(2) for m in matches if m}


def direct_requirements() -> list[Requirement]:
    table = project()["project"]
    extras = [line for lines in table["optional-dependencies"].values() for line in lines]
    return [Requirement(line) for line in [*table["dependencies"], *extras]]


def installed_closure(requirements: list[Requirement]) -> set[str]:
    """Normalised names of all packages that these need here and now."""
    found: set[str] = set()
    todo = list(requirements)
    seen: set[tuple[str, tuple[str, ...]]] = set()
    while todo:
        wanted = todo.pop()
        name, extras = canonicalize_name(wanted.name), tuple(sorted(wanted.extras))
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        found.add(name)
        todo += needed_by(name, extras)
    return found


def needed_by(name: str, extras: tuple[str, ...]) -> list[Requirement]:
    try:
        lines = distribution(name).requires or []
    except PackageNotFoundError:  # the bench extra is not part of `make setup`
        return []
    environments = [{**default_environment(), "extra": extra} for extra in ("", *extras)]
    requirements = [Requirement(line) for line in lines]
    return [
        r for r in requirements if r.marker is None or any(r.marker.evaluate(env) for env in environments)
    ]


def test_each_line_is_a_comment_or_an_exact_pin() -> None:
    wrong = [
        line for line in constraint_lines() if line and not line.startswith("#") and not _PIN.match(line)
    ]
    assert not wrong, f"no address, no range, no local suffix such as +cpu: {wrong}"


def test_everything_that_is_needed_is_pinned() -> None:
    missing = [
        name
        for name in sorted(installed_closure(direct_requirements()))
        if name not in pins() and not name.startswith(_PINNED_BY_TORCH)
    ]
    assert not missing, f"add to constraints.txt: {missing}"


def test_direct_dependencies_say_why_they_are_there() -> None:
    lines = constraint_lines()
    line_of = {canonicalize_name(m.group(1)): i for i, line in enumerate(lines) if (m := _PIN.match(line))}
    for requirement in direct_requirements():
        above = lines[line_of[canonicalize_name(requirement.name)] - 1]
        assert above.startswith("# "), f"{requirement.name}: one comment line over the pin says why"


def test_pins_agree_with_pyproject() -> None:
    for requirement in direct_requirements():
        version = pins()[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{requirement} does not allow {version}"
