"""Versions that take other features than what is served."""

import asyncio
import gc
import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import onnx
import pytest

from testing.conditions import until
from testing.samples import small_spec
from tests.service.releases.operator import KEY, answers, bring, close, everywhere, metric, put, score, serving, state
from thimble.models.bags import Bag
from thimble.models.spec import METADATA_KEY, ModelSpec
from thimble.service.errors import RequestError
from thimble.service.releases.interface import differences, interface_of
from thimble.service.releases.loader import Model
from thimble.service.releases.registry import Registry
from thimble.service.releases.release import Canary, Release
from thimble.service.releases.repository import Repository, StoredVersion, StoreError
from thimble.service.releases.versions import WAYS_TRIED
from thimble.service.settings import Settings

SPEC = small_spec(kinds=("string", "string", "int", "hex"))
CHANGES = {"interface": {"string_value": "changes"}}
REFUSED = (
    "version 5 of m takes other features than version 1, which is live (new: price, shop; gone: d2, f1), "
    'so requests would get 400; to serve it all the same, say "interface": "changes"'
)


@pytest.fixture(scope="module")
def other(versions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version 5 that takes other features."""
    folder = tmp_path_factory.mktemp("other")
    shutil.copytree(versions / "1", folder / "5")
    model = onnx.load(folder / "5/model.onnx")
    (prop,) = (prop for prop in model.metadata_props if prop.key == METADATA_KEY)
    prop.value = prop.value.replace('"d2"', '"price"').replace('"f1"', '"shop"')
    onnx.save_model(model, folder / "5/model.onnx")
    return folder


def renamed(spec: ModelSpec) -> ModelSpec:
    return spec.model_copy(update={"dense": ["d0", "d1", "price"]})


def bagged(spec: ModelSpec, **bag: Any) -> ModelSpec:
    """With bags in its first field."""
    field = spec.fields[0].model_copy(update={"bag": Bag.model_validate({"values": 8, "pooling": "sum", **bag})})
    return spec.model_copy(update={"fields": [field, *spec.fields[1:]]})


def of_another_kind(spec: ModelSpec) -> ModelSpec:
    return spec.model_copy(update={"fields": [*spec.fields[:3], spec.fields[3].model_copy(update={"kind": "int"})]})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (renamed, "new: price; gone: d2"),
        (of_another_kind, "of another kind: f3"),
        (bagged, "with other bags: f0"),
        (lambda spec: of_another_kind(bagged(spec)), "of another kind: f3; with other bags: f0"),
        (lambda spec: spec.model_copy(update={"dense": [*spec.dense, "d3"]}), "new: d3"),
        (lambda spec: spec.model_copy(update={"fields": spec.fields[1:]}), "gone: f0"),
        (lambda spec: spec.model_copy(update={"dense": ["d1", "d0", "d2"]}), "the same in another order"),
        (lambda spec: spec.model_copy(update={"fields": spec.fields[::-1]}), "the same in another order"),
        (
            lambda spec: small_spec(dense=9, kinds=("int",)),
            "new: d3, d4, d5 and 3 more; gone: f1, f2, f3; of another kind: f0",
        ),
    ],
)
def test_what_tensors_and_lines_bring_by_their_place_has_to_stay(
    change: Callable[[ModelSpec], ModelSpec], said: str
) -> None:
    changed = change(SPEC)
    assert interface_of(changed) != interface_of(SPEC) and differences(changed, SPEC) == said


@pytest.mark.parametrize(
    "spec", [small_spec("robe-v2", kinds=("string", "string", "int", "hex")), SPEC.model_copy(update={"name": "n"})]
)
def test_how_a_model_computes_is_its_own_affair(spec: ModelSpec) -> None:
    rows = [field.model_copy(update={"rows": 7}) for field in spec.fields]
    assert interface_of(spec) == interface_of(spec.model_copy(update={"fields": rows})) == interface_of(SPEC)


@pytest.mark.parametrize("bag", [{"values": 9}, {"separator": ";"}])
def test_bags_of_another_width_or_separator_are_read_otherwise(bag: dict[str, Any]) -> None:
    assert interface_of(bagged(SPEC, **bag)) != interface_of(bagged(SPEC))
    assert differences(bagged(SPEC, **bag), bagged(SPEC)) == "with other bags: f0"


@pytest.mark.parametrize("bag", [{"pooling": "max"}, {"keep": "last"}])
def test_what_becomes_of_a_bag_is_the_models_own_affair(bag: dict[str, Any]) -> None:
    assert interface_of(bagged(SPEC, **bag)) == interface_of(bagged(SPEC))


def load(client: httpx.Client, **config: Any) -> httpx.Response:
    parameters = {"parameters": {"config": json.dumps(config)}}
    return client.post("/v2/repository/models/m/load", json=parameters, headers=KEY)


def test_other_features_are_made_live_only_by_who_says_so(repository: Path, versions: Path, other: Path) -> None:
    one = {"version_policy": {"specific": {"versions": [1]}}}
    with serving(repository) as (_, client):
        bring(repository, versions, 2)
        content = (other / "5/model.onnx").read_bytes()
        message = client.put("/v1/models/m/versions/5", content=content, headers=KEY).json()["message"]
        assert message.endswith(
            'takes other features: PUT /v1/models/m/release with {"live": 5, "interface": "changes"}'
        )
        for response in (put(client, live=5), put(client), load(client), load(client, parameters={})):
            assert (response.status_code, response.json()["error"]) == (409, REFUSED)
        for beside in ({"canary": {"version": 5, "weight": 0.5}}, {"shadow": {"version": 5}}):
            for word in ({}, {"interface": "changes"}):
                response = put(client, live=1, **beside, **word)
                assert (
                    response.status_code == 409
                    and "which is live beside it (new: price, shop;" in response.json()["error"]
                )
        assert state(client)["refused"] == {"5": REFUSED} and answers(client) == 1
        assert put(client, live=2).json()["live"] == 2  # which takes the same

        assert put(client, live=5, interface="changes").json()["live"] == 5
        assert state(client)["refused"] == {} and score(client).status_code == 200
        assert client.post("/v1/score", json={"features": {"d2": 1}}).status_code == 400
        assert put(client, live=2).status_code == 409
        assert client.post("/v1/models/m/rollback", headers=KEY).json()["live"] == 2  # needs no word
        assert put(client, live=5).status_code == 409
        assert load(client, parameters=CHANGES).status_code == 200 and answers(client) == 5
        unclear = put(client, live=5, interface="yes")
        told = 'interface: it is neither "changes" nor the digest of what a version takes'
        assert (unclear.status_code, unclear.json()["error"]) == (400, told)
        wrong = load(client, parameters={"interface": {"string_value": "any"}})
        assert wrong.status_code == 400 and "interface" in wrong.json()["error"]
        # what was served last counts, also while nothing is
        client.post("/v2/repository/models/m/unload", headers=KEY)
        assert "takes other features than what was served before" in load(client, **one).json()["error"]
        assert put(client, live=5).json()["live"] == 5
    with serving(repository) as (_, client):
        assert answers(client) == 5 and put(client, live=2).status_code == 409
        # nobody knows any more what was live before
        assert client.post("/v1/models/m/rollback", headers=KEY).json()["live"] == 2


def test_the_way_back_after_a_restart_passes_over_other_features(repository: Path, versions: Path, other: Path) -> None:
    shutil.copytree(other / "5", repository / "m/2")
    shutil.copytree(versions / "3", repository / "m/3")

    async def roll_back() -> None:
        registry = await Registry.open(Settings(repository=repository))
        assert registry.catalogue.find().version == 3
        for version in (1, 2):  # either, as nobody has looked at them yet
            with pytest.raises(RequestError, match=f"version {version} of m is what a rollback may lead to"):
                await registry.changes.stored.delete("m", version, "alice")
        await registry.changes.roll_back("m", "alice")
        assert registry.catalogue.find().version == 1
        await registry.changes.stored.delete("m", 2, "alice")
        await close(registry)

    asyncio.run(roll_back())


def test_the_way_back_tries_only_a_few_versions(repository: Path, versions: Path, other: Path) -> None:
    bring(repository, versions, 2)
    for version in range(3, 3 + WAYS_TRIED):
        shutil.copytree(other / "5", repository / f"m/{version}")
    shutil.copytree(versions / "3", repository / "m/9")

    async def roll_back() -> None:
        registry = await Registry.open(Settings(repository=repository))
        await registry.changes.stored.delete("m", 1, "alice")  # so it need not be kept
        await registry.changes.roll_back("m", "alice")
        assert registry.catalogue.find().version == 2 + WAYS_TRIED
        await close(registry)

    asyncio.run(roll_back())


class Observed(Repository):
    """A repository that is looked at when a version appears."""

    def admit(self, model: str, version: int, received: Path) -> StoredVersion:
        assert self.release(model).interface is not None
        return super().admit(model, version, received)


class Unwritable(Repository):
    def check_writable(self) -> None:
        raise StoreError("it is told elsewhere")


def test_what_is_pushed_and_takes_other_features_is_passed_over_by_whoever_starts(
    repository: Path, other: Path
) -> None:
    content = (other / "5/model.onnx").read_bytes()

    async def push_and_start_again() -> None:
        for kind in (Unwritable, Observed):
            registry = Registry(Settings(repository=repository), kind(repository))
            await registry.load()
            if kind is Unwritable:
                with pytest.raises(RequestError, match="whoever starts would serve it: it is told elsewhere") as caught:
                    await registry.changes.stored.push("m", 5, content, "alice")
                assert caught.value.status == 507 and not (repository / "m/5").exists()
            else:
                assert "stored, not served" in await registry.changes.stored.push("m", 5, content, "alice")
            await close(registry)
        registry = await Registry.open(Settings(repository=repository))
        assert registry.catalogue.find().version == 1
        await close(registry)

    asyncio.run(push_and_start_again())


def test_the_word_in_a_file_is_spent_with_the_change(repository: Path, versions: Path, other: Path) -> None:
    async def follow() -> None:
        registry = await Registry.open(Settings(repository=repository))
        shutil.copytree(other / "5", repository / "m/5")
        (repository / "m/release.json").write_text('{"interface": "changes"}')
        assert await registry.changes.following.reconcile("m") is None
        assert registry.catalogue.find().version == 5
        shutil.copytree(versions / "3", repository / "m/6")
        await registry.changes.following.reconcile("m")
        assert registry.catalogue.find().version == 5
        await close(registry)

    asyncio.run(follow())


def test_what_is_refused_is_let_go_of_at_once(repository: Path, other: Path) -> None:
    shutil.copytree(other / "5", repository / "m/5")
    (repository / "m/release.json").write_text('{"live": 1}')
    refused = [Release(live=5), Release(live=1, canary=Canary(version=5, weight=0.5)), Release(live=1, also=(5, 7))]

    def loaded() -> list[int]:
        models = [it for it in gc.get_objects() if type(it) is Model]
        return [it.version for it in models if it.stored.path.is_relative_to(repository)]

    async def refuse_and_delete() -> None:
        registry = await Registry.open(Settings(repository=repository))
        for wanted in refused:
            with suppress(RequestError):
                await registry.changes.release("m", wanted, "alice")
            await asyncio.to_thread(until, lambda: loaded() == [1])
        await registry.changes.stored.delete("m", 5, "alice")
        await close(registry)

    gc.collect()
    gc.disable()
    try:
        asyncio.run(refuse_and_delete())
    finally:
        gc.enable()


def test_what_appears_and_takes_other_features_is_passed_over(repository: Path, versions: Path, other: Path) -> None:
    kept = repository / "m/release.json"
    with serving(repository, "--poll-s", "0.1") as (server, client):
        shutil.copytree(other / "5", repository / "m/5")
        server.wait_for_line(f"refused {REFUSED[:60]}")
        until(lambda: kept.exists() and "interface" in json.loads(kept.read_text()))
        assert answers(client) == 1
        assert state(client)["refused"] == {"5": REFUSED} and state(client)["following"]
        assert metric(client, "thimble_release_changes_total", outcome="refused") > 0
        assert client.get("/readyz").status_code == 200
        bring(repository, versions, 2)  # newer than the live one, and good
        until(lambda: answers(client) == 2)
    with serving(repository, "--poll-s", "0.1", "--workers", "2") as (server, client):
        assert everywhere(server) == {2}  # whoever starts passes over the same
        assert put(client, interface="changes").json()["live"] == 5
        assert everywhere(server) == {5} and state(client)["following"]
        shutil.copytree(other / "5", repository / "m/6")
        until(lambda: everywhere(server) == {6})
        kept.write_text('{"live": 1}')  # by hand
        server.wait_for_line("version 1 of m takes other features than version 6, which is live")
        assert everywhere(server) == {6}
        kept.write_text('{"live": 1, "interface": "changes"}')
        until(lambda: everywhere(server) == {1})
