"""docker/compose.yaml alone and under its GPU override, merged by podman-compose, against the Compose specification."""

import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

import extension_schemas

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docker"
SCHEMA = jsonschema.Draft202012Validator(extension_schemas.COMPOSE)


def merged(*names: str) -> dict:
    files = [flag for name in names for flag in ("-f", str(FOLDER / name))]
    shown = subprocess.run([sys.executable, "-m", "podman_compose", *files, "config"], capture_output=True, text=True,
                           timeout=60)
    assert shown.returncode == 0, shown.stderr
    return yaml.safe_load(shown.stdout)


@pytest.mark.parametrize("name", ["compose.yaml", "compose.gpu.yaml"])
def test_each_file_matches_the_schema(name):
    document = yaml.safe_load((FOLDER / name).read_text())
    SCHEMA.validate(document)
    document["services"]["runahead"]["comand"] = ["serve"]
    with pytest.raises(jsonschema.ValidationError):
        SCHEMA.validate(document)


def test_the_services_are_wired_together():
    services = merged("compose.yaml")["services"]
    assert set(services) == {"runahead", "prometheus", "grafana"}
    assert services["runahead"]["read_only"] is True
    assert services["runahead"]["environment"]["RUNAHEAD_MODEL"] == "/usr/share/runahead/demo/target"


def test_the_gpu_override_changes_base_and_device_alone():
    plain, gpu = merged("compose.yaml")["services"], merged("compose.yaml", "compose.gpu.yaml")["services"]
    assert gpu["prometheus"] == plain["prometheus"] and gpu["grafana"] == plain["grafana"]
    server = gpu["runahead"]
    arguments = dict(argument.split("=", 1) for argument in server["build"]["args"])
    assert arguments["BASE"].startswith("nvidia/cuda:") and arguments["PRESET"] == "cuda"
    assert server["build"]["dockerfile"] == "docker/Dockerfile"
    (device,) = server["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]


def test_every_file_it_mounts_is_there():
    services = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]
    sources = [volume.split(":")[0] for service in services.values() for volume in service.get("volumes", [])]
    if not (FOLDER / "prometheus").exists() and not (FOLDER / "grafana").exists():
        pytest.skip("the dashboards' folders are not there")
    for source in [source for source in sources if source.startswith("./")]:
        assert (FOLDER / source).exists(), source
