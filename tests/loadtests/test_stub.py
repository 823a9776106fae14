import httpx

from loadtests.answers import problem
from loadtests.measure import imitation
from loadtests.served import served
from loadtests.traffic import Traffic, prepare
from tests.servers import Server


def test_an_imitation_gives_the_answers_that_are_wanted(server: Server) -> None:
    traffic = Traffic(scenario="context", encoding="binary", seed=3)
    with imitation(f"{server.url}/", traffic) as url, httpx.Client() as client:
        model, description = served(url)
        assert (model, description) == served(server.url)
        for request in prepare(traffic, model):
            answer = client.post(url + request.path, content=request.body, headers=request.headers)
            assert problem(request, answer.content, model.tolerance) is None
