"""What the extensions' documentation says of the fields our manifests use, as JSON schemas closed to all others.

Written by hand from the references of KEDA 2 (ScaledObject), the Gateway API v1 (HTTPRoute), its inference extension v1
(InferencePool) and the Compose specification; a field that is not here must be looked up there and added.
"""


def closed(required: dict, optional: dict | None = None) -> dict:
    """An object with these fields alone."""
    return {"type": "object", "properties": required | (optional or {}), "required": list(required),
            "additionalProperties": False}


def array(items: dict) -> dict:
    return {"type": "array", "items": items, "minItems": 1}


TEXT = {"type": "string", "minLength": 1}
LABELS = {"type": "object", "additionalProperties": TEXT}
COUNT = {"type": "integer", "minimum": 0}
PORT = {"type": "integer", "minimum": 1, "maximum": 65535}
DURATION = {"type": "string", "pattern": r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"}  # GEP-2257
METADATA = closed({"name": TEXT}, {"labels": LABELS, "annotations": LABELS})


def resource(api_version: str, kind: str, spec: dict) -> dict:
    return closed({"apiVersion": {"const": api_version}, "kind": {"const": kind}, "metadata": METADATA, "spec": spec})


SCALED_OBJECT = resource("keda.sh/v1alpha1", "ScaledObject", closed(
    {"scaleTargetRef": closed({"name": TEXT}, {"apiVersion": TEXT, "kind": TEXT}),
     "triggers": array(closed(
         {"type": {"const": "prometheus"},
          # Of the prometheus scaler; its values are strings, numbers among them.
          "metadata": closed({"serverAddress": TEXT, "query": TEXT, "threshold": TEXT},
                             {"activationThreshold": TEXT, "namespace": TEXT, "ignoreNullValues": TEXT})},
         {"name": TEXT, "metricType": {"enum": ["AverageValue", "Value"]}}))},
    {"minReplicaCount": COUNT, "maxReplicaCount": COUNT, "pollingInterval": COUNT, "cooldownPeriod": COUNT,
     "fallback": closed({"failureThreshold": COUNT, "replicas": COUNT},
                        {"behavior": {"enum": ["static", "currentReplicas", "currentReplicasIfHigher",
                                               "currentReplicasIfLower"]}})}))

INFERENCE_POOL = resource("inference.networking.k8s.io/v1", "InferencePool", closed(
    {"selector": closed({"matchLabels": LABELS}),
     "targetPorts": array(closed({"number": PORT})),
     "endpointPickerRef": closed({"name": TEXT}, {"group": {"type": "string"}, "kind": TEXT,
                                                  "port": closed({"number": PORT}),
                                                  "failureMode": {"enum": ["FailOpen", "FailClose"]}})},
    {"appProtocol": {"enum": ["http", "kubernetes.io/h2c"]}}))

HTTP_ROUTE = resource("gateway.networking.k8s.io/v1", "HTTPRoute", closed(
    {"parentRefs": array(closed({"name": TEXT}, {"namespace": TEXT, "sectionName": TEXT, "port": PORT})),
     "rules": array(closed(
         {"backendRefs": array(closed({"name": TEXT}, {"group": {"type": "string"}, "kind": TEXT, "port": PORT,
                                                       "weight": COUNT}))},
         {"matches": array(closed({"path": closed({"type": {"enum": ["Exact", "PathPrefix", "RegularExpression"]},
                                                   "value": TEXT})})),
          "timeouts": closed({}, {"request": DURATION, "backendRequest": DURATION})}))},
    {"hostnames": array(TEXT)}))

KUBERNETES = (SCALED_OBJECT, INFERENCE_POOL, HTTP_ROUTE)

STRINGS = array(TEXT)
BUILD = closed({}, {"context": TEXT, "dockerfile": TEXT, "args": {"type": "object"}})
DEVICE = closed({"capabilities": STRINGS}, {"driver": TEXT, "count": {"type": ["string", "integer"]},
                                            "device_ids": STRINGS})
SERVICE = closed({}, {
    "image": TEXT, "build": BUILD, "command": STRINGS, "environment": {"type": "object"}, "volumes": STRINGS,
    "ports": STRINGS, "read_only": {"type": "boolean"}, "cap_drop": STRINGS, "security_opt": STRINGS,
    "stop_grace_period": DURATION, "restart": {"enum": ["no", "always", "on-failure", "unless-stopped"]},
    "depends_on": {"anyOf": [STRINGS, {"type": "object", "additionalProperties": closed(
        {"condition": {"enum": ["service_started", "service_healthy", "service_completed_successfully"]}})}]},
    "deploy": closed({"resources": closed({"reservations": closed({"devices": array(DEVICE)})})})})
COMPOSE = closed({"services": {"type": "object", "additionalProperties": SERVICE}},
                 {"name": TEXT, "volumes": {"type": "object"}})
