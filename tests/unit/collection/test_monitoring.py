# SPDX-License-Identifier: Apache-2.0
"""The role that watches the router: what it puts where, and a dashboard whose every expression holds."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.unit.collection.test_alerts import promtool

if TYPE_CHECKING:
    import pytest

yaml = importlib.import_module("yaml")  # it carries no types

ROOT = Path(__file__).resolve().parents[3]
ROLE = ROOT / "ansible/ansible_collections/quantum/router/roles/monitoring"
DASHBOARD: dict[str, Any] = json.loads((ROLE / "files/quantum-router.json").read_text(encoding="utf-8"))
EXPRESSIONS = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
EXPRESSIONS += [annotation["expr"] for annotation in DASHBOARD["annotations"]["list"]]
CONFIG = "rule_files: [{0}/rules/*.yml]\nscrape_configs: [{{file_sd_configs: [{{files: [{0}/targets/*.yml]}}]}}]\n"


def test_defaults_agree_with_the_specification() -> None:
    """Every variable has the same default where it is set and where it is described."""
    options = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text(encoding="utf-8"))
    defaults = yaml.safe_load((ROLE / "defaults/main.yml").read_text(encoding="utf-8"))
    described = options["argument_specs"]["main"]["options"]
    assert defaults == {name: option["default"] for name, option in described.items()}
    assert all(name.startswith("monitoring_") and option["description"] for name, option in described.items())


def play(folder: Path, *options: str, **variables: Any) -> tuple[int, int, str]:
    """Run the role on this machine with all its folders under *folder*; return exit code, changes and output."""
    book = [
        {"hosts": "localhost", "connection": "local", "gather_facts": False, "roles": ["quantum.router.monitoring"]}
    ]
    (folder / "play.yml").write_text(json.dumps(book), encoding="utf-8")
    chosen = {
        "monitoring_prometheus_config": f"{folder}/prometheus.yml",
        "monitoring_rules_dir": f"{folder}/rules",
        "monitoring_targets_dir": f"{folder}/targets",
        "monitoring_grafana_provisioning_dir": f"{folder}/provisioning",
        "monitoring_dashboards_dir": f"{folder}/dashboards",
        "monitoring_prometheus_unit": "no-such-prometheus.service",
        "monitoring_grafana_unit": "no-such-grafana.service",
        "monitoring_reload": False,
        "ansible_python_interpreter": sys.executable,
        **variables,
    }
    environ = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "ansible"),
        "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"),
    }
    command = ["ansible-playbook", "-i", "localhost,", "-e", json.dumps(chosen), *options, str(folder / "play.yml")]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, cwd=folder)
    changed = re.search(r"changed=(\d+)", done.stdout)
    return done.returncode, int(changed[1]) if changed else 0, done.stdout + done.stderr


def test_the_role_installs_once_and_says_before_what_it_would_do(tmp_path: Path) -> None:
    """Check mode touches nothing; a second run changes nothing; Prometheus accepts what is there."""
    (tmp_path / "prometheus.yml").write_text(CONFIG.format(tmp_path), encoding="utf-8")
    targets = {"monitoring_targets": ["127.0.0.1:9108"]}
    planned, would_change, text = play(tmp_path, "--check", "--diff", **targets)
    assert 0 == planned, text
    assert not (tmp_path / "rules").exists()
    assert (0, would_change) == play(tmp_path, **targets)[:2]
    assert (0, 0) == play(tmp_path, **targets)[:2]
    assert would_change
    promtool("check", "rules", str(tmp_path / "rules/quantum-router.rules.yml"))
    assert [{"targets": ["127.0.0.1:9108"]}] == yaml.safe_load((tmp_path / "targets/quantum-router.yml").read_text())
    provider = yaml.safe_load((tmp_path / "provisioning/quantum-router.yml").read_text(encoding="utf-8"))
    assert str(tmp_path / "dashboards") == provider["providers"][0]["options"]["path"]
    assert DASHBOARD == json.loads((tmp_path / "dashboards/quantum-router.json").read_text(encoding="utf-8"))


def test_rules_that_nobody_would_read_are_refused(tmp_path: Path) -> None:
    """The way out is in the message, and nothing is installed."""
    (tmp_path / "prometheus.yml").write_text("rule_files: []\n", encoding="utf-8")
    code, _, text = play(tmp_path)
    assert 2 == code
    assert f"add it under rule_files as {tmp_path}/rules/*.yml" in " ".join(text.split())
    assert not (tmp_path / "rules").exists()


def test_units_that_run_are_told_and_others_are_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules may be there before Prometheus is; without Grafana nothing of it appears."""
    systemctl = tmp_path / "bin" / "systemctl"
    systemctl.parent.mkdir()
    said = 'echo "$@" >> "$0.log"; echo "Failed to $1 $2: Unit $2 not found." >&2; exit 5'
    systemctl.write_text(f"#!/bin/sh\n{said}\n", encoding="utf-8")
    systemctl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{systemctl.parent}:{os.environ['PATH']}")
    code, _, text = play(tmp_path, monitoring_prometheus_config="", monitoring_grafana=False, monitoring_reload=True)
    assert 0 == code, text
    assert not (tmp_path / "dashboards").exists()
    told = (tmp_path / "bin/systemctl.log").read_text(encoding="utf-8")
    assert ["try-reload-or-restart no-such-prometheus.service"] == told.splitlines()


def test_every_expression_of_the_dashboard_parses(tmp_path: Path) -> None:
    """As recording rules, with Grafana's variables filled in."""
    filled = [e.replace("$__rate_interval", "1m").replace("$instance", ".*") for e in EXPRESSIONS]
    rules = [{"record": f"panel:expression:{i}", "expr": expr} for i, expr in enumerate(filled)]
    path = tmp_path / "dashboard.yml"
    path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}), encoding="utf-8")
    assert f"{len(rules)} rules found" in promtool("check", "rules", str(path))


def test_the_dashboard_can_be_imported_anywhere() -> None:
    """A fixed uid, a data source that is chosen, and panels that are each themselves and say what they show."""
    panels = DASHBOARD["panels"]
    assert "quantum-router" == DASHBOARD["uid"]
    assert ["datasource", "query"] == [variable["type"] for variable in DASHBOARD["templating"]["list"]]
    sources = [item["datasource"]["uid"] for panel in panels for item in (panel, *panel["targets"])]
    assert {"${datasource}"} == set(sources)
    assert list(range(1, len(panels) + 1)) == [panel["id"] for panel in panels]
    assert all(panel["title"] and panel["description"] for panel in panels)
    cells = [
        (x, y)
        for grid in (panel["gridPos"] for panel in panels)
        for x in range(grid["x"], grid["x"] + grid["w"])
        for y in range(grid["y"], grid["y"] + grid["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
