"""What goes to a shadow, in which messages."""

import numpy as np
import pytest

from testing.samples import random_batch, small_spec
from thimble.models.features import Batch
from thimble.models.spec import ModelSpec
from thimble.service.releases.shadow.messages import BACKLOG_MESSAGES, MESSAGE_BYTES, Backlog, Message, unpacked

SPEC = small_spec(kinds=("string", "int"))
ROW_BYTES = len(SPEC.dense) * 4 + 2 * 8 + 4
MESSAGE_ROWS = MESSAGE_BYTES // ROW_BYTES
BACKLOG_ROWS = BACKLOG_MESSAGES * MESSAGE_ROWS


def rows(first: int, count: int) -> tuple[Batch, np.ndarray]:
    """Rows that are told apart by their numbers."""
    numbers = np.arange(first, first + count)
    dense = np.repeat(numbers[:, None], len(SPEC.dense), axis=1).astype(np.float32)
    return Batch(np.asfortranarray(dense), np.stack([numbers, -numbers], axis=1)), numbers.astype(np.float32) / 1e6


def numbers_in(message: Message) -> list[int]:
    """Of the rows in a message, once all parts of it are seen to agree."""
    live, dense, ids, scores = message.content
    assert int.from_bytes(live, "little") == message.live
    numbers = np.frombuffer(ids, np.int64).reshape(-1, 2)
    assert (numbers[:, 0] == -numbers[:, 1]).all()
    assert (np.frombuffer(dense, np.float32).reshape(-1, len(SPEC.dense)) == numbers[:, :1]).all()
    assert (np.frombuffer(scores, np.float32) == numbers[:, 0].astype(np.float32) / 1e6).all()
    assert len(numbers) == message.rows <= MESSAGE_ROWS
    return [int(number) for number in numbers[:, 0]]


def test_rows_go_in_their_order_in_messages_of_one_live_version() -> None:
    backlog = Backlog(SPEC)
    first, first_scores = rows(0, 1)
    second, second_scores = rows(1, 2)
    large, large_scores = rows(3, MESSAGE_ROWS)
    other, other_scores = rows(3 + MESSAGE_ROWS, 4)
    assert backlog.add(1, [first, second], np.concatenate([first_scores, second_scores]))
    assert not backlog.fills_a_message
    assert backlog.add(1, [large], large_scores) and backlog.fills_a_message
    assert backlog.add(2, [other], other_scores)
    messages = [backlog.take() for _ in range(3)]
    assert [message.live for message in messages] == [1, 1, 2]
    assert [len(numbers_in(message)) for message in messages] == [MESSAGE_ROWS, 3, 4]
    assert [number for message in messages for number in numbers_in(message)] == list(range(MESSAGE_ROWS + 7))
    assert backlog.rows == 0


@pytest.mark.parametrize("spec", [SPEC, small_spec(dense=0), small_spec(kinds=())], ids=["both", "ids", "numbers"])
def test_a_shadow_reads_what_it_is_sent(spec: ModelSpec) -> None:
    backlog, batch, scores = Backlog(spec), random_batch(spec, 5), np.arange(5, dtype=np.float32)
    assert backlog.add(7, [batch.part(0, 2), batch.part(2, 5)], scores)
    live, found, compared = unpacked(spec, b"".join(backlog.take().content))
    assert live == 7 and compared.tolist() == scores.tolist()
    assert [array.tobytes() for array in found] == [array.tobytes() for array in batch]
    assert found.rows == 5


def test_what_finds_too_many_waiting_is_not_taken_and_all_that_wait_can_be_counted() -> None:
    backlog = Backlog(SPEC)
    batch, scores = rows(0, BACKLOG_ROWS)
    assert backlog.add(1, [batch], scores)
    assert not backlog.add(1, [batch], scores)
    backlog.take()
    assert backlog.add(2, [batch], scores)
    assert backlog.clear() == [(1, BACKLOG_ROWS - MESSAGE_ROWS), (2, BACKLOG_ROWS)]
    assert backlog.rows == 0
