"""A version that answers a share of the requests."""

from pathlib import Path

from tests.service.releases.operator import answers, bring, score, serving


def test_the_same_key_goes_to_the_same_version_on_every_replica(repository: Path, versions: Path) -> None:
    bring(repository, versions, 2)
    (repository / "m/release.json").write_text('{"live": 1, "canary": {"version": 2, "weight": 0.25}}')
    chosen = []
    for _ in range(2):
        with serving(repository) as (_, client):
            keys = [f"user-{number}" for number in range(200)]
            chosen.append([score(client, key=key).json()["version"] for key in keys])
            again = [score(client, key=key).json()["version"] for key in keys]
            assert again == chosen[-1]
            without = [answers(client) for _ in range(200)]
            assert 20 < without.count(2) < 80
    assert chosen[0] == chosen[1] and 20 < chosen[0].count(2) < 80
