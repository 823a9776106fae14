"""The manifests are what Kubernetes takes, and fit the server and each other."""

import hashlib
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import monotonic

import httpx
import kubernetes_validate
import pytest
import yaml
from pydantic_settings import CliApp

from testing.servers import Server, running
from tests.deploy.manifests import ARRIVALS, KUBERNETES, OVERLAYS, Manifest, compose, pod, render
from thimble.service.process.server import LAST_SECONDS
from thimble.service.settings import Settings

DEMO = KUBERNETES.parents[1] / "artifacts"
OLDEST, NEWEST = "1.27", "1.37"  # image volumes came with 1.31
CUSTOM = {"HTTPRoute", "InferenceService", "PrometheusRule", "ServiceMonitor", "ServingRuntime"}  # not its own
VARIANTS = [(overlay, arrival) for overlay in OVERLAYS for arrival in ("", *ARRIVALS)]
EXTRAS = ("http-route", "ingress", "monitoring", "scale-on-queue")

Manifests = dict[str, Manifest]


@pytest.fixture(params=VARIANTS, ids=lambda variant: "-".join(filter(None, variant)))
def variant(request: pytest.FixtureRequest, tmp_path: Path) -> Manifests:
    """An overlay with one of the ways in which models arrive, and all else."""
    overlay, arrival = request.param
    return compose(tmp_path, overlay, *filter(None, (arrival, *EXTRAS)))


@pytest.fixture(scope="module")
def kserve() -> Manifests:
    return render(KUBERNETES / "kserve")


def settings(container: Manifest) -> Settings:
    """What a server makes of a container's arguments."""
    return CliApp.run(Settings, cli_args=container["args"])


@pytest.mark.parametrize("folder", sorted(KUBERNETES.rglob("kustomization.yaml")), ids=lambda path: path.parent.name)
def test_nothing_is_left_out(folder: Path) -> None:
    kind = yaml.safe_load(folder.read_text())["kind"]
    tested = OVERLAYS if kind == "Kustomization" else (*ARRIVALS, *EXTRAS)
    assert folder.parent.name in (*tested, "base", "kserve")


def test_kubernetes_knows_every_field(variant: Manifests) -> None:
    images = any("image" in volume for volume in pod(variant["Deployment"])["volumes"])
    versions = (NEWEST,) if images else (OLDEST, NEWEST)
    for kind, manifest in variant.items():
        for version in versions if kind not in CUSTOM else ():
            assert kubernetes_validate.validate(manifest, version, strict=True) == version


def test_a_slip_is_found(variant: Manifests) -> None:
    pod(variant["Deployment"])["terminationGracePeriod"] = 45
    with pytest.raises(kubernetes_validate.ValidationError, match="terminationGracePeriod"):
        kubernetes_validate.validate(variant["Deployment"], NEWEST, strict=True)


def check_restricted(spec: Manifest) -> None:
    """As the Pod Security Standard "restricted" demands, and a root that cannot be written beside."""
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    allowed = {"configMap", "emptyDir", "secret", "persistentVolumeClaim", "image"}
    assert all(set(volume) - {"name"} <= allowed for volume in spec.get("volumes", []))
    for container in (*spec["containers"], *spec.get("initContainers", [])):
        of_container = container["securityContext"]
        both = {**spec.get("securityContext", {}), **of_container}
        assert both["runAsNonRoot"] is True and both["runAsUser"] == 10001
        assert both["seccompProfile"] == {"type": "RuntimeDefault"}
        assert of_container["allowPrivilegeEscalation"] is False
        assert of_container["capabilities"] == {"drop": ["ALL"]}
        assert of_container["readOnlyRootFilesystem"] is True
        assert "privileged" not in of_container
        assert not any("hostPort" in port for port in container.get("ports", []))


def test_pods_are_restricted(variant: Manifests) -> None:
    spec = pod(variant["Deployment"])
    check_restricted(spec)
    account = variant["ServiceAccount"]
    assert spec["serviceAccountName"] == account["metadata"]["name"] == "thimble"
    assert spec["automountServiceAccountToken"] is account["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False  # one called thimble would set THIMBLE_PORT


def test_replicas_are_spread_over_zones_and_nodes_where_it_can_be(variant: Manifests) -> None:
    labels = variant["Deployment"]["spec"]["template"]["metadata"]["labels"]
    spread = pod(variant["Deployment"])["topologySpreadConstraints"]
    assert [rule["topologyKey"] for rule in spread] == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
    for rule in spread:
        assert (rule["maxSkew"], rule["whenUnsatisfiable"]) == (1, "ScheduleAnyway")
        assert rule["labelSelector"]["matchLabels"].items() <= labels.items()


def test_the_server_takes_its_arguments(variant: Manifests) -> None:
    spec = pod(variant["Deployment"])
    (container,) = spec["containers"]
    taken = settings(container)
    (port,) = container["ports"]
    assert (taken.host, taken.port) == ("0.0.0.0", port["containerPort"])
    assert taken.repository == Path("/models")
    longest = taken.drain_s + taken.stop_timeout_s + LAST_SECONDS
    assert longest < spec["terminationGracePeriodSeconds"]
    mounts = {Path(mount["mountPath"]) for mount in container["volumeMounts"]}
    for keys in filter(None, (taken.api_keys_file, taken.admin_keys_file)):
        assert keys.parent in mounts
    assert taken.api_keys_file is not None
    writable = not any(m["mountPath"] == "/models" and m.get("readOnly") for m in container["volumeMounts"])
    assert taken.admin_keys_file is None or writable


def test_images_are_of_their_overlay(variant: Manifests) -> None:
    spec = pod(variant["Deployment"])
    images = {container["image"] for container in (*spec["containers"], *spec.get("initContainers", []))}
    (image,) = images
    gpu = "nvidia.com/gpu" in spec["containers"][0]["resources"]["limits"]
    assert image == f"registry.example/thimble:7-{'gpu' if gpu else 'cpu'}"
    mounted = [volume["image"]["reference"] for volume in spec["volumes"] if "image" in volume]
    assert mounted in ([], [f"registry.example/shop-models@sha256:{64 * '0'}"])


def test_names_fit(variant: Manifests) -> None:
    deployment, service, policy = variant["Deployment"], variant["Service"], variant["NetworkPolicy"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    selectors = [
        deployment["spec"]["selector"]["matchLabels"],
        service["spec"]["selector"],
        policy["spec"]["podSelector"]["matchLabels"],
        variant["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
    ]
    assert all(selector and selector.items() <= labels.items() for selector in selectors)
    target = variant["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", deployment["metadata"]["name"])
    spec = pod(deployment)
    volumes = {volume["name"] for volume in spec["volumes"]}
    containers = (*spec["containers"], *spec.get("initContainers", []))
    assert {mount["name"] for container in containers for mount in container["volumeMounts"]} == volumes
    (port,) = spec["containers"][0]["ports"]
    (served,) = service["spec"]["ports"]
    probes = [spec["containers"][0][f"{probe}Probe"]["httpGet"] for probe in ("startup", "liveness", "readiness")]
    named = [served["targetPort"], policy["spec"]["ingress"][0]["ports"][0]["port"], *(p["port"] for p in probes)]
    assert set(named) == {port["name"]}
    monitor = variant["ServiceMonitor"]["spec"]
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["jobLabel"] in service["metadata"]["labels"]
    assert monitor["endpoints"][0]["port"] == served["name"]
    (secret,) = [volume["secret"]["secretName"] for volume in spec["volumes"] if "secret" in volume]
    assert monitor["endpoints"][0]["authorization"]["credentials"]["name"] == secret
    name, route = service["metadata"]["name"], variant["HTTPRoute"]["spec"]["rules"][0]
    assert route["backendRefs"] == [{"name": name, "port": served["port"]}]
    assert [match["path"]["value"] for match in route["matches"]] == ["/v1", "/v2"]
    for path in variant["Ingress"]["spec"]["rules"][0]["http"]["paths"]:
        assert path["backend"] == {"service": {"name": name, "port": {"name": served["name"]}}}
    for kind, manifest in variant.items():
        if kind.startswith("PersistentVolumeClaim"):
            (claim,) = [v["persistentVolumeClaim"] for v in spec["volumes"] if "persistentVolumeClaim" in v]
            assert claim["claimName"] == manifest["metadata"]["name"]


def test_a_server_with_these_arguments_answers_the_probes_and_no_stranger(tmp_path: Path) -> None:
    spec = pod(compose(tmp_path, "cpu")["Deployment"])
    (container,) = spec["containers"]
    (tmp_path / "api-keys").write_text("a-key-of-a-client\n")
    keys = "--api-keys-file="
    here = {"/models": str(DEMO), f"{keys}/run/secrets/thimble/api-keys": f"{keys}{tmp_path}/api-keys"}
    others = ("--host", "--port", "--drain-s")
    ours = [here.get(flag, flag) for flag in container["args"] if not flag.startswith(others)]
    # what Kubernetes sets for a Service of this name, were it not told to leave it
    with (
        running(*ours, env={"THIMBLE_PORT": "tcp://10.0.0.1:8000"}) as server,
        httpx.Client(base_url=server.url) as client,
    ):
        for probe in ("startup", "liveness", "readiness"):
            assert client.get(container[f"{probe}Probe"]["httpGet"]["path"]).status_code == 200
        features = {"features": {"I1": 3}}
        assert client.post("/v1/models/demo/score", json=features).status_code == 401
        assert client.get("/metrics").status_code == 401
        key = {"Authorization": "Bearer a-key-of-a-client"}
        assert client.post("/v1/models/demo/score", json=features, headers=key).status_code == 200
        assert client.get("/metrics", headers=key).status_code == 200


def test_replicas_on_one_volume_follow_each_other(tmp_path: Path) -> None:
    (container,) = pod(compose(tmp_path, "cpu", "model-from-volume")["Deployment"])["containers"]
    (polling,) = [flag for flag in container["args"] if flag.startswith("--poll-s")]
    volume = tmp_path / "volume"
    volume.mkdir()
    admin = "the-key-of-those-on-call"
    env, key = {"THIMBLE_ADMIN_KEYS": admin}, {"Authorization": f"Bearer {admin}"}

    def live(server: Server) -> list[int]:
        return [model["version"] for model in httpx.get(f"{server.url}/v1/models").json() if model["part"] == "live"]

    def follows(server: Server, version: int) -> bool:
        end = monotonic() + 60
        while live(server) != [version]:
            assert monotonic() < end
        return True

    content = (DEMO / "demo/1/model.onnx").read_bytes()
    with running(volume, polling, env=env) as one, running(volume, polling, env=env) as other:
        assert httpx.get(f"{one.url}/healthz").status_code == 200
        assert httpx.get(f"{one.url}/readyz").status_code == 503
        with httpx.Client(base_url=one.url, headers=key, timeout=60) as client:
            for version in (1, 2):
                put = client.put(f"/v1/models/shop/versions/{version}", content=content)
                assert put.status_code == 200, put.text
                assert client.put("/v1/models/shop/release", json={"live": version}).status_code == 200
                assert live(one) == [version] and follows(other, version)
        back = httpx.post(f"{other.url}/v1/models/shop/rollback", headers=key, timeout=60)
        assert back.status_code == 200 and live(other) == [1] and follows(one, 1)


@contextmanager
def web(folder: Path) -> Iterator[str]:
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def fetch(repository: Path, url: str, digest: str) -> subprocess.CompletedProcess[str]:
    program = KUBERNETES / "components" / "model-from-url" / "fetch.py"
    env = {"URL": url, "SHA256": digest, "MODEL": "shop", "VERSION": "4"}
    command: list[str | Path] = [sys.executable, "-I", program, repository]
    return subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True)


def test_the_model_of_a_url_is_fetched_and_served(tmp_path: Path) -> None:
    digest = hashlib.sha256((DEMO / "demo/1/model.onnx").read_bytes()).hexdigest()
    with web(DEMO) as url:
        done = fetch(tmp_path, f"{url}/demo/1/model.onnx", digest)
    assert done.returncode == 0, done.stderr
    with running(tmp_path) as server:
        (model,) = httpx.get(f"{server.url}/v1/models").json()
    assert (model["name"], model["version"]) == ("shop", 4)


def test_another_model_than_the_one_that_is_meant_is_refused(tmp_path: Path) -> None:
    with web(DEMO) as url:
        done = fetch(tmp_path, f"{url}/demo/1/model.onnx", "0" * 64)
        gone = fetch(tmp_path, f"{url}/demo/2/model.onnx", "0" * 64)
    assert done.returncode == gone.returncode == 1
    assert re.search(r"model\.onnx: its SHA-256 is [0-9a-f]{64}, and not 0{64}$", done.stderr.strip())
    assert "404" in gone.stderr and "Traceback" not in done.stderr + gone.stderr
    assert not any(tmp_path.iterdir())


def test_the_fetching_container_gets_what_its_program_asks_for(tmp_path: Path) -> None:
    manifests = compose(tmp_path, "cpu", "model-from-url")
    spec = pod(manifests["Deployment"])
    (container,) = spec["initContainers"]
    names = {kind.removeprefix("ConfigMap/"): found["data"] for kind, found in manifests.items() if "ConfigMap" in kind}
    (environment,) = [data for name, data in names.items() if name == container["envFrom"][0]["configMapRef"]["name"]]
    assert set(environment) == {"URL", "SHA256", "MODEL", "VERSION"}
    mounts = {mount["name"]: Path(mount["mountPath"]) for mount in container["volumeMounts"]}
    (program,) = [v for v in spec["volumes"] if "configMap" in v]
    (file,) = names[program["configMap"]["name"]]
    assert container["command"] == ["python3", str(mounts[program["name"]] / file), "/models"]
    assert Path("/models") in mounts.values()


def test_kserve_gets_a_runtime_that_it_can_run(kserve: Manifests) -> None:
    runtime, service = kserve["ServingRuntime"], kserve["InferenceService"]
    predictor = service["spec"]["predictor"]
    model = predictor["model"]
    formats = {form["name"] for form in runtime["spec"]["supportedModelFormats"]}
    assert model["runtime"] == runtime["metadata"]["name"] and model["modelFormat"]["name"] in formats
    assert model["protocolVersion"] in runtime["spec"]["protocolVersions"]
    (container,) = runtime["spec"]["containers"]
    assert container["name"] == "kserve-container"
    taken = settings(container)
    assert (taken.host, taken.repository) == ("0.0.0.0", Path("/mnt/models"))
    ports = {probe["httpGet"]["port"] for name, probe in container.items() if name.endswith("Probe")}
    assert ports == {taken.port} == {port["containerPort"] for port in container["ports"]}
    assert runtime["spec"]["annotations"]["prometheus.kserve.io/port"] == str(taken.port)
    longest = taken.drain_s + taken.stop_timeout_s + LAST_SECONDS
    assert longest < predictor["terminationGracePeriodSeconds"]
    # what KServe makes of it is a pod
    inherited = {
        key: predictor[key] for key in ("securityContext", "enableServiceLinks", "terminationGracePeriodSeconds")
    }
    as_pod: Manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "shop"},
        "spec": {**inherited, "containers": runtime["spec"]["containers"]},
    }
    kubernetes_validate.validate(as_pod, NEWEST, strict=True)
    check_restricted(as_pod["spec"])


def test_what_kserve_mounts_is_a_repository(tmp_path: Path) -> None:
    """KServe lays what storageUri holds at /mnt/models: a folder with the folder of a model in it."""
    (tmp_path / "models").symlink_to(DEMO)  # as it does for images
    with running(tmp_path / "models") as server:
        assert httpx.get(f"{server.url}/v2/models/demo/ready").status_code == 200
        assert httpx.get(f"{server.url}/v2/health/ready").status_code == 200
