"""The rules for Prometheus and the dashboard for Grafana, as they are in deploy."""

import json
from typing import Any

import yaml

from tests.deploy.manifests import ROOT

RULES = ROOT / "deploy" / "prometheus" / "rules.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "dashboards" / "thimble.json"


def groups() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(RULES.read_text())["groups"]
    return found


def rules() -> list[dict[str, Any]]:
    return [rule for group in groups() for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return found


def panels() -> list[dict[str, Any]]:
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def questions() -> dict[str, list[str]]:
    """What each panel asks Prometheus, as Grafana would send it."""

    def sent(expr: str) -> str:
        return expr.replace("$__rate_interval", "1m").replace("$job", ".*").replace("$model", ".*")

    return {panel["title"]: [sent(target["expr"]) for target in panel["targets"]] for panel in panels()}
