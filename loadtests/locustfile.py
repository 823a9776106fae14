"""Users who send the golden row that a server documents, and check every score: locust -f loadtests/locustfile.py."""

import json
from typing import Any

from locust import FastHttpUser, task

TOLERANCE = 1e-4


class Scorer(FastHttpUser):
    """Sends one row after the other."""

    def on_start(self) -> None:
        with self.client.get("/openapi.json", catch_response=True) as description:
            operations: dict[str, Any] = json.loads(description.text or "")["paths"]
        self.path, operation = next((p, item["post"]) for p, item in operations.items() if p.endswith("/score"))
        self.row = operation["requestBody"]["content"]["application/json"]["example"]
        self.expected = operation["responses"]["200"]["content"]["application/json"]["example"]["scores"]

    @task
    def score(self) -> None:
        with self.client.post(self.path, json=self.row, catch_response=True) as response:
            if response.status_code != 200:
                response.failure(f"status {response.status_code}: {response.text}")
                return
            found = json.loads(response.text or "")["scores"]
            if len(found) != 1 or abs(found[0] - self.expected[0]) > TOLERANCE:
                response.failure(f"scores {found}, expected {self.expected}")
