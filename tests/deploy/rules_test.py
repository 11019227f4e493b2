"""The rules: that Prometheus reads them, that each alert fires when it should and only then, and that whom it
wakes finds its name in docs/runbooks.md."""

import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import yaml

from lectern import ROOT

RULES = ROOT / "helm/lectern/files/rules.yaml"
CASES = Path(__file__).resolve().parent / "rules_test.yaml"
RUNBOOKS = ROOT / "docs/runbooks.md"
SEVERITIES = {"page", "ticket", "host"}


def promtool(*arguments) -> None:
    if not shutil.which("promtool"):
        raise AssertionError("promtool is missing: scripts/install.sh test installs it")
    done = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        raise AssertionError(done.stdout + done.stderr)


def alerts() -> list[dict]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


class Rules(unittest.TestCase):
    def test_prometheus_reads_them(self):
        promtool("check", "rules", RULES)

    def test_each_fires_when_it_should_and_only_then(self):
        rules, cases = yaml.safe_load(RULES.read_text()), yaml.safe_load(CASES.read_text())
        for rule in (rule for group in rules["groups"] for rule in group["rules"]):
            rule.pop("annotations", None)
        with tempfile.TemporaryDirectory() as directory:
            Path(directory, "rules.yaml").write_text(yaml.safe_dump(rules))
            cases["rule_files"] = ["rules.yaml"]
            run = Path(directory, "cases.yaml")
            run.write_text(yaml.safe_dump(cases))
            promtool("test", "rules", run)

    def test_each_is_seen_firing_with_the_labels_that_it_speaks_of(self):
        fired: dict[str, list[dict]] = {}
        for case in yaml.safe_load(CASES.read_text())["tests"]:
            for asked in case.get("alert_rule_test", []):
                expected = [alert["exp_labels"] for alert in asked["exp_alerts"]]
                fired.setdefault(asked["alertname"], []).extend(expected)
        self.assertEqual(set(fired), {alert["alert"] for alert in alerts()})
        for alert in alerts():
            name, said = alert["alert"], " ".join(alert["annotations"].values())
            self.assertTrue(fired[name], f"{name} is never seen firing")
            for label in set(re.findall(r"\$labels\.(\w+)", said)):
                for labels in fired[name]:
                    self.assertIn(label, labels, f"{name} speaks of a label that it does not have")

    def test_each_says_how_grave_it_is_and_where_to_read_on(self):
        entries = re.findall(r"^## (\w+)$", RUNBOOKS.read_text(), re.M)
        self.assertEqual(len(entries), len(set(entries)), "an entry is there twice")
        for alert in alerts():
            name = alert["alert"]
            self.assertIn(alert["labels"]["severity"], SEVERITIES, name)
            self.assertEqual(alert["annotations"]["runbook_url"], f"docs/runbooks.md#{name.lower()}")
            self.assertIn(name, entries)
        self.assertEqual(set(entries), {alert["alert"] for alert in alerts()}, "an entry of no alert")
