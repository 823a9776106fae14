"""The load test as Locust runs it: locust -f loadtests/locustfile.py --host http://127.0.0.1:8000 --users 100."""

import sys
from typing import Any

import locust.runners
from locust import events

from thimble.loadtests import options
from thimble.loadtests.generate import page
from thimble.loadtests.generate.controller import ORDER, PROGRESS, Controller
from thimble.loadtests.generate.users import Scorer
from thimble.loadtests.generate.worker import Order, Progress, Worker
from thimble.loadtests.results.gates import USAGE

__all__ = ["Scorer"]

locust.runners.WORKER_REPORT_INTERVAL = 1.0  # results are written every second, wherever they come from


def connect(environment: Any, runner: Any, web_ui: Any, **_: Any) -> None:
    """A worker does as it is told and sends its progress. Any other process leads, and without workers is one.

    A value that an option does not take ends it, with exit status 2.
    """
    try:
        options.traffic(environment.parsed_options), options.plan(environment.parsed_options)
    except options.OptionError as error:
        print(f"locust: error: {error}", file=sys.stderr)
        sys.exit(USAGE)
    worker = Worker(environment)
    environment.events.test_start.add_listener(lambda **_: worker.reset())
    runner.register_message(ORDER, lambda msg, **_: worker.begin(Order(**msg.data)))
    if isinstance(runner, locust.runners.WorkerRunner):

        def report(data: dict[str, Any], **_: Any) -> None:
            if (progress := worker.progress()) is not None:
                data[PROGRESS] = progress.model_dump_json()

        environment.events.report_to_master.add_listener(report)
        return

    controller = Controller(environment, worker)
    if web_ui:
        page.connect(environment, web_ui, controller)

    def receive(client_id: str, data: dict[str, Any]) -> None:
        if PROGRESS in data:
            controller.receive(client_id, Progress.model_validate_json(data[PROGRESS]))

    environment.events.worker_report.add_listener(receive)
    environment.events.test_start.add_listener(lambda **_: controller.reset())
    environment.events.spawning_complete.add_listener(lambda **_: controller.start())
    environment.events.test_stopping.add_listener(lambda **_: controller.stopped())
    environment.events.quitting.add_listener(lambda **_: controller.stopped())


events.init_command_line_parser.add_listener(options.add)  # type: ignore[no-untyped-call]
events.init.add_listener(connect)  # type: ignore[no-untyped-call]
