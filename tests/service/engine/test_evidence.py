"""What it takes to suspect a version."""

from tests.service.engine.batching import rows_of
from thimble.service.engine.evidence import CLIENTS, OF_EACH, WINDOW_REQUESTS, Evidence

NEEDED = CLIENTS * OF_EACH


def test_rows_of_three_clients_suffice_and_are_handed_over() -> None:
    evidence = Evidence()
    found = [evidence.add(rows_of(number), f"client {number % 3}") for number in range(NEEDED)]
    assert found[:-1] == [None] * (NEEDED - 1)
    rows = found[-1]
    assert rows is not None and rows.ids[:, 0].tolist() == list(range(NEEDED))


def test_neither_one_client_nor_two_can_make_a_version_suspect() -> None:
    evidence = Evidence()
    assert not any(evidence.add(rows_of(number), number % 2) for number in range(10_000))
    assert evidence.add(rows_of(-1), "a third, whom one row does not make a witness") is None


def test_clients_that_are_not_known_are_one() -> None:
    evidence = Evidence()
    assert not any(evidence.add(rows_of(number), None) for number in range(10_000))


def test_the_same_row_again_is_the_same_evidence_whoever_sends_it() -> None:
    evidence = Evidence()
    assert not any(evidence.add(rows_of(7), client) for client in range(10_000))


def test_fewer_than_those_of_a_window_are_no_reason_however_often_that_happens() -> None:
    evidence = Evidence()
    for window in range(10):
        for number in range(NEEDED - 1):
            assert evidence.add(rows_of(NEEDED * window + number), number) is None
        evidence.count(WINDOW_REQUESTS)


def test_what_is_kept_is_its_own_copy() -> None:
    evidence, batch = Evidence(), rows_of(*range(NEEDED))
    for row in range(NEEDED - 1):
        assert evidence.add(batch.part(row, row + 1), row) is None
    batch.ids[:] = -1
    rows = evidence.add(rows_of(NEEDED - 1), "the last")
    assert rows is not None and rows.ids[:, 0].tolist() == list(range(NEEDED))
