"""Writes rules.yml anew as the Prometheus Operator takes it: python -m deploy.prometheus.operator_rules."""

import textwrap
from pathlib import Path

RULES = Path(__file__).with_name("rules.yml")
OPERATORS = Path(__file__).parents[1] / "kubernetes" / "components" / "monitoring" / "rules.yaml"
HEAD = """# Made of deploy/prometheus/rules.yml: python -m deploy.prometheus.operator_rules
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: thimble
  labels: {app.kubernetes.io/name: thimble}
spec:
"""


def manifest() -> str:
    """A PrometheusRule with our rules, as YAML."""
    return HEAD + textwrap.indent(RULES.read_text(), "  ")


if __name__ == "__main__":
    OPERATORS.write_text(manifest())
