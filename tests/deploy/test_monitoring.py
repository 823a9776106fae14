"""The rules for Prometheus and the dashboard ask for what a server really tells."""

import re
from collections.abc import Iterator
from itertools import pairwise
from time import monotonic

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from deploy.prometheus.operator_rules import OPERATORS, manifest
from testing.artifacts import write_artifact
from testing.samples import small_spec
from testing.servers import running
from tests.deploy.monitoring import DASHBOARD, RULES, dashboard, groups, panels, questions, rules

ADMIN = "the-key-of-those-on-call"
# what Prometheus and Kubernetes add to every sample
TARGET = {"job", "instance", "namespace"}
SELECTOR = re.compile(r"([a-z_:][a-z0-9_:]*)\s*\{([^}]*)\}")
NAME = re.compile(r"\b(?:thimble|process|python)[_:][a-z0-9_:]+")
GROUPING = re.compile(r"\b(?:by|on|ignoring|without)\s*\(([^)]*)\)")

Labels = dict[str, set[str]]
EXPRESSIONS = [*(rule["expr"] for rule in rules()), *(expr for asked in questions().values() for expr in asked)]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Labels:
    """The labels of each metric of a server that has seen a shadow and a release that it refused."""
    repository = tmp_path_factory.mktemp("repository")
    spec = small_spec(kinds=("string", "string", "int", "hex"))
    for version in (1, 2):
        write_artifact(spec, repository, "m", version, seed=version)
    key = {"Authorization": f"Bearer {ADMIN}"}
    with (
        running(repository, "--poll-s", "60", env={"THIMBLE_ADMIN_KEYS": ADMIN}) as server,
        httpx.Client(base_url=server.url, headers=key, timeout=60) as client,
    ):
        release = {"live": 1, "shadow": {"version": 2}}
        assert client.put("/v1/models/m/release", json=release).status_code == 200
        assert client.put("/v1/models/m/release", json={"live": 9}).status_code == 409
        end = monotonic() + 30
        while True:
            assert client.post("/v1/score", json={"features": {"d0": [1, 2]}}).status_code == 200
            text = client.get("/metrics").text
            if 'outcome="scored"' in text:
                break
            assert monotonic() < end
    labels: Labels = {}
    for family in text_string_to_metric_families(text):
        if family.type == "counter":  # one that counts crashes appears with the first
            labels.setdefault(f"{family.name}_total", set())
        for sample in family.samples:
            labels.setdefault(sample.name, set()).update(sample.labels)
    return labels


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_what_is_asked_for_is_told(told: Labels, expression: str) -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    plain = re.sub(r'"[^"]*"', '""', expression)
    names = set(NAME.findall(plain)) | {name for name, _ in SELECTOR.findall(plain)}
    assert names
    assert names <= told.keys() | recorded | {"up"}
    for name, matchers in SELECTOR.findall(plain):
        asked = set(re.findall(r"(\w+)\s*[=!]", matchers))
        if told.get(name):
            assert asked <= told[name] | TARGET, name
        elif name == "up":
            assert asked <= TARGET
    grouped = {label for labels in GROUPING.findall(plain) for label in re.findall(r"\w+", labels)}
    assert grouped <= set().union(*told.values()) | TARGET


def test_a_name_that_is_not_told_is_found(told: Labels) -> None:
    with pytest.raises(AssertionError):
        test_what_is_asked_for_is_told(told, "sum(rate(thimble_requests_total[5m]))")
    with pytest.raises(AssertionError):
        test_what_is_asked_for_is_told(told, 'thimble_queued_rows{status="200"}')


def test_every_alert_is_seen_to_fire_and_is_explained() -> None:
    alerts = {rule["alert"] for rule in rules() if "alert" in rule}
    tests = yaml.safe_load(RULES.with_name("rules.test.yml").read_text())["tests"]
    expected = [case for test in tests for case in test.get("alert_rule_test", []) if case["exp_alerts"]]
    asked = "".join(case["expr"] for test in tests for case in test.get("promql_expr_test", []))
    assert {case["alertname"] for case in expected} | set(re.findall(r'alertname="(\w+)"', asked)) == alerts
    explained = re.findall(r"^\| `(Thimble\w+)`", RULES.with_name("README.md").read_text(), re.M)
    assert sorted(explained) == sorted(alerts)


def test_alerts_say_how_bad_it_is_and_what() -> None:
    for rule in rules():
        if "alert" in rule:
            assert rule["labels"]["severity"] in {"critical", "warning", "info"}
            assert rule["annotations"]["summary"]


def test_the_dashboard_can_be_imported_anywhere() -> None:
    found = dashboard()
    variables = {variable["name"] for variable in found["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", DASHBOARD.read_text()))
    assert used - {"__all", "__rate_interval"} == variables
    asking = [*panels(), *(target for panel in panels() for target in panel["targets"])]
    assert all(panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"} for panel in asking)
    numbers = [panel["id"] for panel in found["panels"]]
    assert len(set(numbers)) == len(numbers)


def cells(position: dict[str, int]) -> Iterator[tuple[int, int]]:
    for x in range(position["x"], position["x"] + position["w"]):
        for y in range(position["y"], position["y"] + position["h"]):
            yield x, y


def test_the_panels_lie_side_by_side() -> None:
    positions = [panel["gridPos"] for panel in dashboard()["panels"]]
    taken = [cell for position in positions for cell in cells(position)]
    assert len(set(taken)) == len(taken)
    assert max(x for x, _ in taken) == 23
    assert all(one["y"] <= other["y"] for one, other in pairwise(positions))


def test_the_operator_gets_the_same_rules() -> None:
    """Nothing is to be forgotten: `python -m deploy.prometheus.operator_rules` writes its file anew."""
    written = OPERATORS.read_text()
    assert written == manifest()
    found = yaml.safe_load(written)
    assert (found["apiVersion"], found["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
    assert found["spec"]["groups"] == groups()
