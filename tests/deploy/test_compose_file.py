"""docker-compose.yml, where no Docker is needed to see it."""

from typing import Any

import yaml

from tests.deploy.manifests import ROOT

STACK: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]


def test_no_service_can_fill_the_disk_with_its_log() -> None:
    for name, service in STACK.items():
        assert service["logging"]["options"].keys() == {"max-size", "max-file"}, name


def test_the_proxy_is_healthy_when_it_leads_to_a_replica_that_is_ready() -> None:
    assert STACK["proxy"]["healthcheck"]["test"][-1] == "http://127.0.0.1:8080/readyz"
    assert STACK["locust"]["depends_on"] == {"proxy": {"condition": "service_healthy"}}
