"""The load test as Locust runs it: locust -f loadtests/locustfile.py --host http://127.0.0.1:8000 --users 100."""

from typing import Any

import locust.runners
from locust import events

from thimble.loadtests import options
from thimble.loadtests.generate.controller import ORDER, REPORT, Controller
from thimble.loadtests.generate.member import Member, Order, Report
from thimble.loadtests.generate.users import Scorer

__all__ = ["Scorer"]

locust.runners.WORKER_REPORT_INTERVAL = 1.0  # results are written every second, wherever they come from


def connect(environment: Any, runner: Any, **_: Any) -> None:
    """A worker does as it is told and reports; any other process tells and, without workers, does it itself."""
    member = Member(environment)
    environment.events.test_start.add_listener(lambda **_: member.reset())
    runner.register_message(ORDER, lambda msg, **_: member.begin(Order(**msg.data)))
    if isinstance(runner, locust.runners.WorkerRunner):

        def report(data: dict[str, Any], **_: Any) -> None:
            if (found := member.report()) is not None:
                data[REPORT] = found.model_dump_json()

        environment.events.report_to_master.add_listener(report)
        return

    controller = Controller(environment, member)

    def heard(client_id: str, data: dict[str, Any]) -> None:
        if REPORT in data:
            controller.heard(client_id, Report.model_validate_json(data[REPORT]))

    environment.events.worker_report.add_listener(heard)
    environment.events.test_start.add_listener(lambda **_: controller.reset())
    environment.events.spawning_complete.add_listener(lambda **_: controller.start())
    environment.events.test_stopping.add_listener(lambda **_: controller.stopped())
    environment.events.quitting.add_listener(lambda **_: controller.stopped())


events.init_command_line_parser.add_listener(options.add)  # type: ignore[no-untyped-call]
events.init.add_listener(connect)  # type: ignore[no-untyped-call]
