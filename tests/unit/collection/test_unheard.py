# SPDX-License-Identifier: Apache-2.0
"""A real ansible-playbook whose output nobody reads any more."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_a_run_goes_on_when_nobody_reads_it(tmp_path: Path) -> None:
    """Where messages of tasks meet a closed pipe, as behind `| head -1`, all is done, and the exit status is 0."""
    last = tmp_path / "last"
    tasks = [{"ansible.builtin.command": f"touch {path}"} for path in (tmp_path / "first", last)]
    play = tmp_path / "play.yml"
    play.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]), encoding="utf-8")
    run = subprocess.Popen(
        [Path(sys.executable).parent / "ansible-playbook", "-vvvv", play],
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_COLLECTIONS_PATH": f"{ROOT}/ansible"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert run.stdout
    assert any(line.startswith(b"PLAY ") for line in run.stdout)
    run.stdout.close()
    try:
        assert 0 == run.wait(timeout=60)
    finally:
        run.kill()
    assert last.exists()
