"""Locust's page: what its form sends becomes our options, or is refused in the page before anything starts.

And a page that watches a test sees its end.
"""

import argparse
from typing import Any

from flask import Response, jsonify, request
from locust.runners import STATE_CLEANUP, STATE_RUNNING, STATE_STOPPING

from thimble.loadtests import options as given
from thimble.loadtests.generate.controller import Controller
from thimble.loadtests.traffic.served import LoadError


def connect(environment: Any, web_ui: Any, controller: Controller) -> None:
    """Have the page's START looked at first. Locust's own fields are left to Locust."""
    web_ui.app.after_request(_running_until_stopped)

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


def _running_until_stopped(answer: Response) -> Response:
    """Locust's page asks how a test is until it hears of one that does not run.

    Told that a test is stopping, it would never ask again: it would say so for ever and offer no new one.
    """
    told = answer.get_json(silent=True) if request.endpoint == "locust.request_stats" else None
    if told and told["state"] in (STATE_STOPPING, STATE_CLEANUP):
        answer.set_data(jsonify({**told, "state": STATE_RUNNING}).get_data())
    return answer


def _taken(form: Any) -> dict[str, str]:
    """What a form gives for our options, by their names.

    The page turns names to camel case and back, which moves underscores: max_p99_ms comes as max_p9_9ms.
    """
    sent = {name.replace("_", ""): text for name, text in form.items()}
    return {name: sent[bare] for name in given.NAMES if (bare := name.replace("_", "")) in sent}
