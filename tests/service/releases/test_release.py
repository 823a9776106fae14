"""What a release may be, and whom a canary takes."""

import json
from pathlib import Path

import pytest

from thimble.service.releases.release import FOLLOW_NEWEST, Canary, ReleaseError, parsed, read


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "Invalid JSON"),
        ("[]", "should be an object"),
        ('{"live": 0}', "live: Input should be greater than 0"),
        ('{"live": "newest"}', "live: Input should be a valid integer"),
        ('{"live": 1, "canary": {"version": 2, "weight": 1}}', "canary.weight: Input should be less than 1"),
        ('{"live": 1, "canary": {"version": 2, "weight": NaN}}', "canary.weight"),
        ('{"live": 1, "canary": {"version": 1, "weight": 0.1}}', "version 1 cannot be live and canary at once"),
        ('{"canary": {"version": 1, "weight": 0.1}}', "a canary goes beside a live version, so name that too"),
        ('{"live": 1, "shadow": {"version": 2, "share": 0}}', "shadow.share: Input should be greater than 0"),
        ('{"live": 1, "canari": {}}', "canari is a key that this program does not know"),
    ],
)
def test_what_is_no_release_is_said(content: str, sentence: str) -> None:
    with pytest.raises(ReleaseError, match=sentence):
        parsed(content.encode())


def test_without_a_file_the_newest_is_followed_and_a_broken_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "release.json"
    assert read(path) == FOLLOW_NEWEST
    path.write_text(json.dumps({"live": 3}))
    assert read(path).live == 3
    path.write_text("{")
    with pytest.raises(ReleaseError, match=str(path)):
        read(path)


def takes(weight: float, model: str = "demo") -> set[int]:
    canary = Canary(version=2, weight=weight)
    return {key for key in range(20_000) if canary.takes(model, str(key).encode())}


def test_a_canary_takes_its_share_of_the_keys_and_keeps_them_as_it_grows() -> None:
    tenth, half = takes(0.1), takes(0.5)
    assert len(tenth) == pytest.approx(2_000, rel=0.1) and len(half) == pytest.approx(10_000, rel=0.05)
    assert tenth < half
    assert len(takes(0.1, "other") & tenth) < 400  # another model's canary does not hit the same people


def test_which_keys_a_canary_takes_is_the_same_everywhere_and_always() -> None:
    assert sorted(takes(0.001))[:6] == [208, 5527, 6078, 6936, 7213, 9195]
