"""What test_ranks.py has torchrun start: two processes, of which one is killed while one sends weights to the other."""

import os
import signal
import sys
import threading

from torch import nn

from thimble.export.training.errors import RunError
from thimble.export.training.ranks import Ranks, joined
from thimble.export.training.stop_requests import stop_requests

WEIGHTS = 1 << 24  # 64 MiB: more than the connection's buffers hold


def main(ranks: Ranks, kills_sender: bool) -> None:
    """Say how it ended for the one that is left."""
    sender = ranks.from_first(os.getpid)
    model = nn.Linear(WEIGHTS, 1, bias=False)
    nn.init.constant_(model.weight, ranks.first)

    def kill() -> None:
        while not model.weight[0, 0]:  # until the first weights have come
            pass
        os.kill(sender if kills_sender else os.getpid(), signal.SIGKILL)

    if not ranks.first:
        threading.Thread(target=kill, daemon=True).start()
    try:
        with stop_requests():
            ranks.same_weights(model)
            ranks.add(1)  # where all weights have come before the kill
    except RunError as error:
        os.kill(os.getpid(), signal.SIGTERM)  # torchrun's may come as late as this
        print(error)


if __name__ == "__main__":
    main(joined(), sys.argv[1] == "sender")
