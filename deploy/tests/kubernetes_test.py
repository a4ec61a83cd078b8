"""The manifests against Kubernetes' schemas, what the extensions' references say, and what no schema can say."""

import json
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import yaml

import extension_schemas

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy/kubernetes"
KUBERNETES = ("1.30", "1.34")
SCHEMAS = {(schema["properties"]["apiVersion"]["const"], schema["properties"]["kind"]["const"]): schema
           for schema in extension_schemas.KUBERNETES}


def load_all() -> list[dict]:
    return [{**manifest, "file": file.name} for file in sorted(FOLDER.glob("*.yaml"))
            for manifest in yaml.safe_load_all(file.read_text())]


MANIFESTS = [m for m in load_all() if m["file"] not in ("kustomization.yaml", "gpu.yaml")]


def check(manifest: dict) -> None:
    manifest = {key: value for key, value in manifest.items() if key != "file"}
    schema = SCHEMAS.get((manifest["apiVersion"], manifest["kind"]))
    if schema is not None:
        return jsonschema.validate(manifest, schema)
    for version in KUBERNETES:
        kubernetes_validate.validate(manifest, version, strict=True)


def the(kind: str) -> dict:
    (found,) = [m for m in MANIFESTS if m["kind"] == kind]
    return found


def container() -> dict:
    return the("Deployment")["spec"]["template"]["spec"]["containers"][0]


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda m: f"{m['file']}-{m['kind']}")
def test_it_matches_its_schema(manifest):
    check(manifest)


@pytest.mark.parametrize("kind, spoil", [
    ("Deployment", lambda m: m["spec"]["template"]["spec"]["containers"][0].update(readinesProbe={})),
    ("Deployment", lambda m: m["spec"].update(replicas="two")),
    ("PodDisruptionBudget", lambda m: m["spec"].update(maxUnavaliable=1)),
    ("HorizontalPodAutoscaler", lambda m: m["spec"].pop("scaleTargetRef")),
    ("ScaledObject", lambda m: m["spec"]["triggers"][0].pop("type")),
    ("InferencePool", lambda m: m["spec"].update(targetPortNumber=8000)),
    ("HTTPRoute", lambda m: m["spec"]["rules"][0]["matches"][0]["path"].update(type="Prefx"))])
def test_a_mistake_is_found(kind, spoil):
    """The check itself: each of these must fail."""
    manifest = json.loads(json.dumps(the(kind)))
    check(manifest)
    spoil(manifest)
    with pytest.raises(Exception) as found:
        check(manifest)
    assert "ValidationError" in type(found.value).__name__ or "Validation" in str(type(found.value))


def test_all_select_the_same_pods():
    labels = the("Deployment")["spec"]["template"]["metadata"]["labels"]
    assert the("Deployment")["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert the("PodDisruptionBudget")["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert the("InferencePool")["spec"]["selector"]["matchLabels"].items() <= labels.items()
    for service in (m for m in MANIFESTS if m["kind"] == "Service"):
        assert service["spec"]["selector"].items() <= labels.items()
        names = {port["name"] for port in container()["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= names
    for scaler in (the("HorizontalPodAutoscaler"), the("ScaledObject")):
        assert scaler["spec"]["scaleTargetRef"]["name"] == the("Deployment")["metadata"]["name"]


def test_the_grace_period_outlasts_the_drain():
    settings = "\n".join(line for line in the("ConfigMap")["data"]["config.json"].splitlines()
                         if not line.strip().startswith("//"))
    pod = the("Deployment")["spec"]["template"]["spec"]
    stop_ms = container()["lifecycle"]["preStop"]["sleep"]["seconds"] * 1000 + json.loads(settings)["drain_timeout_ms"]
    assert pod["terminationGracePeriodSeconds"] * 1000 > stop_ms + 5000, "five seconds for the last writes"


def test_names_are_the_server_s_own():
    """Paths, variables and series that these files mention exist."""
    table = (ROOT / "docs/configuration.md").read_text()
    for variable in container()["env"]:
        if variable["name"] != "RUNAHEAD_METRICS_COMPAT":  # documented with the metrics
            assert f"| `{variable['name'].removeprefix('RUNAHEAD_').lower()}` |" in table, variable["name"]
    metrics = (ROOT / "docs/metrics.md").read_text()
    assert "`runahead_requests_waiting`" in metrics
    assert the("HorizontalPodAutoscaler")["spec"]["metrics"][0]["pods"]["metric"]["name"] == "runahead_requests_waiting"
    assert "runahead_requests_waiting" in the("ScaledObject")["spec"]["triggers"][0]["metadata"]["query"]
    api = (ROOT / "docs/http_api.md").read_text()
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert f"`GET {container()[probe]['httpGet']['path']}`" in api
