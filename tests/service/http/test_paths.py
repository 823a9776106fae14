import pytest

from thimble.service.http.paths import SCORING_ROUTES, Target, parse


@pytest.mark.parametrize("route", SCORING_ROUTES)
def test_a_route_is_read_back(route: str) -> None:
    model = "m.1" if "{model}" in route else None
    version = "7" if "{version}" in route else None
    assert parse(route.format(model=model, version=version)) == Target(route, model, version, route.endswith("infer"))


@pytest.mark.parametrize(
    "path",
    [
        "/v1/score/",
        "//v1/score",
        "/v1/models/m/infer",
        "/v2/models/m/score",
        "/v1/models//score",
        "/v1/models/m/n/score",
    ],
)
def test_other_paths_are_no_scoring_route(path: str) -> None:
    assert parse(path) is None
