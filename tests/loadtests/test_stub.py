import httpx

from testing.servers import Server
from thimble.loadtests.measure import stub_server
from thimble.loadtests.traffic.answers import problem
from thimble.loadtests.traffic.requests import Traffic, prepare
from thimble.loadtests.traffic.served import served


def test_an_imitation_gives_the_answers_that_are_wanted(server: Server) -> None:
    traffic = Traffic(scenario="context", encoding="binary", seed=3)
    with stub_server(f"{server.url}/", traffic) as url, httpx.Client() as client:
        model, description = served(url)
        real, real_description = served(server.url)
        requests = prepare(traffic, model)
        assert (requests, description) == (prepare(traffic, real), real_description)
        for request in requests:
            answer = client.post(url + request.path, content=request.body, headers=request.headers)
            assert problem(request, answer.content, model.tolerance) is None
