"""Processes that train one model together, as torchrun starts them: one a card, or one a few cores."""

import atexit
import os
import pickle
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from thimble.export.training.errors import RunError

T = TypeVar("T")
# Others wait while the first one counts rows or evaluates. Whether all are still there is asked all the while.
PATIENCE = timedelta(days=1)
ASKED_EVERY = timedelta(seconds=1)


@dataclass(frozen=True)
class Ranks:
    """This process among those that train together, in torch's words its rank and the world's size.

    All of them read the same batches, and each trains on its share of every one, so that together they take the same
    steps as one process alone, up to the order in which numbers are added. The first one alone writes files and
    evaluates. RunError of any method: another process has ended or cannot be reached.
    """

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        return self.rank == 0

    @property
    def device(self) -> torch.device:
        """A card of its own where there are cards."""
        if not torch.cuda.is_available():
            return torch.device("cpu")
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))

    def share(self, rows: int) -> slice:
        """Which of a batch's rows are this process's. It may be none."""
        return slice(rows * self.rank // self.count, rows * (self.rank + 1) // self.count)

    def same_weights(self, model: nn.Module) -> None:
        """Give all the first one's weights: the same seed may draw others on another processor."""
        if self.count > 1:
            with _reached():
                for tensor in model.state_dict().values():
                    self._broadcast(tensor)

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Make every gradient the sum of all processes' gradients."""
        if self.count == 1:
            return
        with _reached():
            pending = []
            for parameter in parameters:
                assert parameter.grad is not None
                if parameter.grad.is_sparse:
                    parameter.grad = self._added(parameter.grad.coalesce())
                else:
                    pending.append((parameter.grad, dist.all_reduce(parameter.grad, async_op=True)))
            for tensor, work in pending:
                self._finish(tensor, work)

    def add(self, number: float) -> float:
        """The sum of all processes' numbers."""
        if self.count == 1:
            return number
        total = torch.tensor(number, dtype=torch.float64)
        with _reached():
            self._finish(total, dist.all_reduce(total, async_op=True))
        return float(total)

    def any(self, condition: bool) -> bool:
        """Whether it holds in any process."""
        return bool(self.add(condition))

    def from_first(self, result: Callable[[], T]) -> T:
        """What the first one makes, for all."""
        if self.count == 1:
            return result()
        if self.first:
            value = result()
            message = torch.frombuffer(bytearray(pickle.dumps(value)), dtype=torch.uint8)
            with _reached():
                self._broadcast(torch.tensor(len(message)))
                self._broadcast(message)
            return value
        length = torch.tensor(0)
        with _reached():
            self._broadcast(length)
            message = torch.empty(int(length), dtype=torch.uint8)
            self._broadcast(message)
        received: T = pickle.loads(message.numpy().tobytes())  # noqa: S301 - a process of this run made it
        return received

    @contextmanager
    def first_before_others(self) -> Iterator[None]:
        """Done by the first one, and when it is through by the others."""
        if not self.first:
            self.from_first(lambda: None)
        yield
        if self.first:
            self.from_first(lambda: None)

    def _added(self, gradient: Tensor) -> Tensor:
        """The sum of coalesced gradients that are sparse in their first dimension."""
        rows, values = gradient.indices(), gradient.values()
        lengths = [rows.new_empty(1) for _ in range(self.count)]
        length = rows.new_tensor([rows.shape[1]])
        self._finish(length, dist.all_gather(lengths, length, async_op=True))
        longest = max(map(int, lengths))
        every_row, every_value = (
            [part[:length] for part, length in zip(self._gathered(tensor, longest), map(int, lengths), strict=True)]
            for tensor in (rows[0], values)
        )
        joined = torch.cat(every_row).unsqueeze(0), torch.cat(every_value)
        return torch.sparse_coo_tensor(*joined, gradient.shape, check_invariants=False).coalesce()

    def _gathered(self, tensor: Tensor, length: int) -> list[Tensor]:
        """Each process's tensor, filled up to one length, as collectives want it."""
        filled = tensor.new_zeros(length, *tensor.shape[1:])
        filled[: len(tensor)] = tensor
        parts = [torch.empty_like(filled) for _ in range(self.count)]
        self._finish(filled, dist.all_gather(parts, filled, async_op=True))
        return parts

    def _broadcast(self, tensor: Tensor) -> None:
        """Give all the first one's values."""
        self._finish(tensor, dist.broadcast(tensor, 0, async_op=True))

    def _finish(self, tensor: Tensor, work: dist.Work) -> None:
        """Wait for what has begun on a tensor. RuntimeError: it failed, or another process is gone.

        When a connection breaks gloo ends what waits for the other side, but not what it is sending there or receiving
        from there just then (`Pair::signalException` in its transport/tcp/pair.cc): that lasts until its time is up.
        It refuses what is begun afterwards, so beginning something tells. Between two turns of waiting Python handles
        signals.
        """
        lost = None
        while not tensor.is_cuda and not work.is_completed():  # NCCL's wait leaves the waiting to the card
            try:
                work.wait(ASKED_EVERY)
            except RuntimeError:
                if lost is not None:  # and it did not end since, as where the others were through and left
                    raise lost from None
                lost = self._lost()
        work.wait()

    def _lost(self) -> RuntimeError | None:
        """What gloo says of a connection that is broken."""
        try:
            for rank in range(self.count):
                if rank != self.rank:
                    dist.irecv(torch.empty(0), rank)  # nobody sends it; a few bytes are kept of it
        except RuntimeError as error:
            return error
        return None


ALONE = Ranks()


def joined() -> Ranks:
    """This process among those that torchrun has started, or alone. RunError: the others cannot be reached."""
    if not dist.is_torchelastic_launched():
        return ALONE
    gpu = torch.cuda.is_available()
    with _reached():
        # numbers on the processor, as whether to stop, go by gloo on either
        dist.init_process_group("cpu:gloo,cuda:nccl" if gpu else "gloo", timeout=PATIENCE)
    atexit.register(dist.destroy_process_group)
    ranks = Ranks(dist.get_rank(), dist.get_world_size())
    if gpu:
        torch.cuda.set_device(ranks.device)
    return ranks


@contextmanager
def _reached() -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        atexit.unregister(dist.destroy_process_group)  # it would wait for what may never end
        atexit.register(_leave)
        if not isinstance(error, RuntimeError):  # what torch raises depends on how the connection broke
            raise
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # torchrun sends it about now, and the sentence is to be read
        reason = str(error).partition(". ")[0] or type(error).__name__
        raise RunError(
            f"another process of this run has ended or cannot be reached ({reason}); "
            "the same command goes on from the last checkpoint"
        ) from None


def _leave() -> None:
    """End this process though threads of gloo may not."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)
