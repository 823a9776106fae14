"""What is known of a run before its first request, and whether it can begin."""

import argparse
import sys

from thimble.loadtests import options as given
from thimble.loadtests.options import OptionError, Plan
from thimble.loadtests.results.files import claim
from thimble.loadtests.results.run import Run
from thimble.loadtests.traffic.served import served


def prepared(options: argparse.Namespace, host: str, users: int, generators: int = 1) -> tuple[Plan, Run]:
    """The plan, and a run of it that has no steps yet. `users` are connections, `generators` processes.

    LoadError: an option has a value that it does not take, there is no such server, or no place for the results.
    """
    traffic, plan = given.traffic(options), given.plan(options)
    if users < 1:
        raise OptionError("no users: each is a connection, and without one nothing can be sent")
    model, description = served(host, traffic.model)
    claim(plan.results, Run.read)
    return plan, Run(
        command=sys.argv,
        url=host,
        served=description,
        golden=model.known.golden,
        traffic=traffic,
        shape=plan.shape,
        pacing=plan.pacing,
        connections=users,
        generators=generators,
        ceiling=plan.ceiling,
    )
