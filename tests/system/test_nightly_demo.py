"""`make nightly-demo` from end to end: a PACS, a scheduled night through a worker, SR in the PACS, a second night."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from pacs_server import require_orthanc

pytestmark = [pytest.mark.slow, pytest.mark.long]
ROOT = Path(__file__).parents[2]
DEMO_S = 1800


@pytest.mark.timeout(DEMO_S + 60)
def test_the_demo_does_what_it_says(untrained_model: Path, tmp_path: Path) -> None:
    require_orthanc()
    command = [sys.executable, ROOT / "scripts" / "nightly_demo.py", "--patients", "2"]
    done = subprocess.run(
        [*map(str, command), "--folder", str(tmp_path / "demo"), "--model", str(untrained_model)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=DEMO_S,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "The scheduled night has begun" in done.stdout
    (n_reports,) = re.findall(r"The PACS holds (\d+) structured reports", done.stdout)
    assert int(n_reports) > 0
    (found, arrived) = re.findall(r"Second night: (\d+) new studies of (\d+) that arrived", done.stdout)[0]
    assert found == arrived
    assert (tmp_path / "demo" / "warehouse" / "nights" / "index.html").exists()
    assert not [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if str(tmp_path) in " ".join(process.info["cmdline"] or [])
    ]
