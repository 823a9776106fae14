"""A log with a long tail: sessions of users in a feed, in the order of time, where items come and go.

What is fitted, and to what was measured:

- items: Zipf with exponent 1 has Criteo's C3, C12, C16 and C21 as measured over 10,000 real lines: 19 % of the reads
  with the ten most popular ids, and more than every second of 9,640 reads with an id that is new.
- users and sessions: MovieLens-100k, where a session ends with half an hour without a rating. Users have sessions by
  Zipf with exponent 0.70; the sessions' lengths are log-normal, with a median of 11 rows and a standard deviation of
  their logarithm of 1.70, and 99 of 100 have at most 277 rows; 32 seconds lie between two rows.

What is drawn departs from that where sessions are long. Lengths are cut at 300 rows, as 2.6 % of the log-normal's are
longer. No session goes beyond its block of 4,096 rows, which is 59 minutes of the log: what does not fit ends with it,
and one of more than about 110 rows has less than 32 seconds between two.

All else is ours: the sizes, how long items live, the other fields, and what is clicked.
"""

import numpy as np

from thimble.export.clicks.click_log import ClickLog, Drawn
from thimble.export.clicks.hidden_truth import Interactions, coprime, uniform
from thimble.export.clicks.rows import ClickError
from thimble.export.clicks.zipf import Doubles, Zipf
from thimble.models.features import Batch
from thimble.models.hashing import Int64s
from thimble.models.spec import ModelSpec

ITEM_EXPONENT, USER_EXPONENT = 1.0, 0.7
SESSION_MEDIAN, SESSION_SPREAD, LONGEST_SESSION = 11, 1.7, 300
ROW_SECONDS = 32

START = 1_704_067_200
"""The time of the first row: the beginning of 2024."""
ROWS_A_DAY = 100_000
DAY = 86_400
ITEM_DAYS = 30
"""How long an item lives. Then another one takes its rank. Half of the table's items live at any time, so that an id
that is gone comes back, as another item, after as long again."""
# How much a field's ids say of clicks, in the order of the preset's fields.
WEIGHTS = (0.5, 0.8, 0.5, 0.4, 0.2, 0.2)


class _Sessions:
    """Who reads what when, in the order of time: [rows] each. `starts` are seconds since the first of the rows."""

    def __init__(self, random: np.random.Generator, rows: int, users: Zipf, seconds: float) -> None:
        drawn = random.lognormal(np.log(SESSION_MEDIAN), SESSION_SPREAD, rows)
        lengths = np.clip(np.rint(drawn), 1, LONGEST_SESSION).astype(np.int64)
        ends = np.minimum(np.cumsum(lengths), rows)
        lengths = np.diff(ends, prepend=0)
        lengths = lengths[lengths > 0]
        first = np.cumsum(lengths) - lengths  # of each session: its first row
        of_row = np.repeat(np.arange(len(lengths)), lengths)
        elapsed = np.cumsum(random.exponential(ROW_SECONDS, rows))
        elapsed -= elapsed[first][of_row]
        lasts = elapsed[first + lengths - 1]
        pace = np.minimum(1, seconds / np.maximum(lasts, 1))  # a session is over when its rows' time is
        begins = random.random(len(lengths)) * (seconds - lasts * pace)
        times = begins[of_row] + elapsed * pace[of_row]
        order = np.argsort(times, kind="stable")
        self.times = times[order]
        self.users = users.draw(random.random(len(lengths)))[of_row][order]
        self.positions = (np.arange(rows) - first[of_row])[order]


class FeedLog(ClickLog):
    """For the features of the preset `feed`: user, item, publisher, category, device and hour, and two numbers."""

    label_rate = 0.1
    order = "in time, as they are generated"

    def __init__(self, spec: ModelSpec, seed: int) -> None:
        """ClickError: a table is too short."""
        self.table_rows = [field.rows for field in spec.fields]
        if min(self.table_rows) < 3:
            raise ClickError("clicks can be generated for tables of at least 3 rows only")
        users, items, publishers, categories, devices, hours = (n - 1 for n in self.table_rows)  # id 0 means missing
        self.users = Zipf(USER_EXPONENT, users)
        self.items = Zipf(ITEM_EXPONENT, items // 2)
        self.publishers = Zipf(ITEM_EXPONENT, publishers)
        self.categories = Zipf(ITEM_EXPONENT, categories)
        self.devices = Zipf(ITEM_EXPONENT, devices)
        self.hours = hours
        truth = np.random.default_rng([seed, 1])
        self.salts = truth.integers(1, 2**63, len(WEIGHTS), dtype=np.uint64)
        self.multipliers = [coprime(int(truth.integers(1, 2**31)), n - 1) for n in self.table_rows]

    def draw(self, random: np.random.Generator, first: int, rows: int) -> Drawn:
        seconds = rows / ROWS_A_DAY * DAY
        sessions = _Sessions(random, rows, self.users, seconds)
        times = first / ROWS_A_DAY * DAY + sessions.times
        rank = self.items.draw(random.random(rows))
        lived = times / (ITEM_DAYS * DAY) + uniform(rank, self.salts[1])  # each rank has its own days of change
        item = rank + self.items.ids * np.floor(lived).astype(np.int64)
        age = lived % 1 * ITEM_DAYS * 24
        publisher = self.publishers.draw(uniform(item, self.salts[2]))
        category = self.categories.draw(uniform(publisher, self.salts[3]))
        device = self.devices.draw(uniform(sessions.users, self.salts[4]))
        hour = (times // 3600).astype(np.int64) % self.hours
        dense = np.stack([np.floor(age), sessions.positions.astype(np.float64)], axis=1)
        truth = Interactions(-0.3 * np.log1p(dense[:, 0] / 24) - 0.1 * np.log1p(dense[:, 1]))
        ids = np.empty((rows, len(WEIGHTS)), np.int64)
        for f, number in enumerate((sessions.users, item, publisher, category, device, hour)):
            ids[:, f] = self._ids(f, number)
            # a rare id says little of itself, as in life
            rarity = {0: sessions.users, 1: rank}.get(f, np.zeros(rows))
            truth.add(number, self.salts[f], WEIGHTS[f] / np.sqrt(1 + rarity / 1000))
        return Drawn(truth.logits(), Batch(dense.astype(np.float32), ids), START + times)

    def rates(self) -> list[tuple[Doubles, Doubles]]:
        """Those of publishers, categories and devices are the mean over seeds: one seed gives each item one publisher,
        each publisher one category and each user one device, so popular ones weigh on it."""
        drawn = [law.shares() for law in (self.users, self.items, self.publishers, self.categories, self.devices)]
        return [*drawn, (np.full(self.hours, 1 / self.hours), np.ones(self.hours))]

    def _ids(self, field: int, number: Int64s) -> Int64s:
        """Numbers from 0 as ids in the field's table, in no order. Numbers beyond its end begin anew."""
        n = self.table_rows[field] - 1
        ids: Int64s = 1 + number % n * self.multipliers[field] % n
        return ids
