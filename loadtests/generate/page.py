"""Locust's page: what its form sends becomes our options, or is refused in the page before anything starts."""

import argparse
from typing import Any

from flask import Response, jsonify, request

from thimble.loadtests import options as given
from thimble.loadtests.generate.controller import Controller
from thimble.loadtests.traffic.served import LoadError


def connect(environment: Any, web_ui: Any, controller: Controller) -> None:
    """Have the page's START looked at first. Locust's own fields are left to Locust."""

    @web_ui.auth_required_if_enabled  # type: ignore[untyped-decorator]
    def take() -> Response | None:
        options = argparse.Namespace(**vars(environment.parsed_options))
        taken = _taken(request.form)
        vars(options).update(taken)
        host = request.form.get("host", environment.host or "").rstrip("/")
        users = request.form.get("user_count", "")
        try:
            controller.check(options, host, int(users) if users.isdecimal() else 1)
        except LoadError as error:
            return jsonify({"success": False, "message": str(error), "host": environment.host})
        vars(environment.parsed_options).update(taken)
        return None

    @web_ui.app.before_request  # type: ignore[untyped-decorator]
    def look() -> Any:
        return take() if request.endpoint == "locust.swarm" else None


def _taken(form: Any) -> dict[str, str]:
    """What a form gives for our options, by their names.

    The page turns names to camel case and back, which moves underscores: max_p99_ms comes as max_p9_9ms.
    """
    sent = {name.replace("_", ""): text for name, text in form.items()}
    return {name: sent[bare] for name in given.NAMES if (bare := name.replace("_", "")) in sent}
