"""What is written about the chart: README.md says what values.yaml says, and the versions are the workspace's."""

import importlib.util
import subprocess
import sys
import tomllib

import pytest
import yaml

import chart

SCRIPT = chart.ROOT / "scripts" / "helm-docs.py"


def test_the_readme_is_current():
    subprocess.run([sys.executable, SCRIPT, "--check"], check=True)


def leaves(values, path=()):
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key)


def test_every_value_has_words():
    readme = (chart.CHART / "README.md").read_text()
    for leaf in leaves(chart.default_values()):
        # What Kubernetes defines is documented as a whole.
        said = ["`" + ".".join(leaf[:depth]) + "`" for depth in range(1, len(leaf) + 1)]
        assert any(each in readme for each in said), ".".join(leaf)


def test_a_value_without_words_is_not_passed_over():
    spec = importlib.util.spec_from_file_location("helm_docs", SCRIPT)
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    assert generator.values("# -- Said.\na: 1\n") == [("a", "`1`", "Said.")]
    with pytest.raises(generator.Undocumented, match="^b.c$"):
        generator.values("# -- Said.\na: 1\nb:\n  c: 2\n")


def test_the_chart_s_version_of_lectern_is_the_workspace_s():
    workspace = tomllib.loads((chart.ROOT / "Cargo.toml").read_text())
    metadata = yaml.safe_load((chart.CHART / "Chart.yaml").read_text())
    assert metadata["appVersion"] == workspace["workspace"]["package"]["version"]
