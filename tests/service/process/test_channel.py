"""Messages between the supervisor and a worker, whatever the other side does."""

import resource
import socket
from collections.abc import Iterator

import pytest

from thimble.service.process.channel import PROBLEM_CHARACTERS, PROBLEMS, Channel, shortened

Pair = tuple[Channel, Channel]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = Channel.pair()
    yield ours, theirs
    ours.close()
    theirs.close()


def received(channel: Channel) -> list[object]:
    message = channel.receive()
    return [] if message is None else message.words


def test_messages_arrive_in_order_and_without_one_nobody_waits(pair: Pair) -> None:
    ours, theirs = pair
    assert theirs.receive() is None
    assert ours.send("sync", 1, "m", None)
    ours.post("stop")
    assert [received(theirs), received(theirs)] == [["sync", 1, "m", None], ["stop"]]
    assert theirs.receive() is None


def test_a_full_channel_takes_nothing_and_what_is_posted_follows_later(pair: Pair) -> None:
    ours, theirs = pair
    sent = 0
    while ours.send("ping", sent):
        sent += 1
    ours.post("stop")
    assert not ours.send("late")
    assert [received(theirs) for _ in range(sent)] == [["ping", number] for number in range(sent)]
    assert ours.send("late")
    assert [received(theirs), received(theirs)] == [["stop"], ["late"]]


def test_a_peer_that_is_gone_is_the_end_and_harms_nobody(pair: Pair) -> None:
    ours, theirs = pair
    theirs.close()
    assert not ours.send("ping")
    ours.post("stop")
    assert received(ours) == []
    ours.close()
    assert not ours.send("ping")
    assert received(ours) == []


@pytest.mark.parametrize("content", [b"{", b"\xff", b"[" * 100, b'["' + b"x" * (1 << 17)])
def test_what_cannot_be_read_is_no_message(pair: Pair, content: bytes) -> None:
    _, theirs = pair
    ours = socket.socket(fileno=pair[0].fileno())
    ours.send(content)
    ours.detach()
    assert received(theirs) == ["unreadable"]
    assert pair[0].send("ping")
    assert received(theirs) == ["ping"]


def test_a_connection_comes_along_and_does_not_where_no_file_can_be_opened(pair: Pair) -> None:
    ours, theirs = pair
    with socket.create_server(("127.0.0.1", 0)) as listener:
        for number in range(2):
            ours.send("connection", number, connection=listener)
        message = theirs.receive()
        assert message is not None and message.connection is not None
        assert message.connection.getsockname() == listener.getsockname()
        message.connection.close()
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
        try:
            message = theirs.receive()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert message == (["connection", 1], None)


@pytest.mark.parametrize("problem", ["\udcff" * 10_000, "\x00" * 10_000, "\N{PILE OF POO}" * 10_000, ""])
def test_any_problem_fits_into_a_message_as_often_as_it_may(pair: Pair, problem: str) -> None:
    ours, theirs = pair
    problems = [shortened(problem)] * (PROBLEMS + 1)
    assert ours.send("synced", 1, problems)
    assert received(theirs) == ["synced", 1, problems]
    assert len(problems[0]) <= PROBLEM_CHARACTERS
