"""What rounding may cost: the demo model on text it was not trained on, by `runahead eval`.

python -m pytest tests/tools/accuracy_test.py        (RUNAHEAD_BINARY names the program; without it all skip)
"""

import json
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODEL = ROOT / "models/demo/target"
BINARY = os.environ.get("RUNAHEAD_BINARY", "")
pytestmark = pytest.mark.skipif(not os.path.exists(BINARY), reason="RUNAHEAD_BINARY names no program")


def evaluate(model, *flags):
    """The report on the first 6000 of the text's 13 919 tokens."""
    command = [BINARY, "eval", "--model", model, "--file", ROOT / "bench/text/demo_held_out.txt", "--max-tokens", "6000",
               "--threads", "2", "--json", "-", *flags]  # fmt: skip
    return json.loads(subprocess.run(command, check=True, capture_output=True, timeout=600).stdout)


def test_int8_weights():
    assert evaluate(MODEL, "--quantization", "int8")["mean_kl"] <= 0.003


def test_int4_weights():
    assert evaluate(MODEL, "--quantization", "int4")["same_top_1"] >= 0.9


def test_smaller_groups_and_zero_points_cost_less():
    coarse, fine, with_zeros = (
        evaluate(MODEL, "--quantization", "int4", *flags)["mean_kl"]
        for flags in ([], ["--quantization-group-size", "32"], ["--quantization-zero-points"])
    )
    assert fine < coarse and with_zeros < coarse


def test_an_int8_cache():
    assert evaluate(MODEL, "--kv-cache-dtype", "int8")["mean_kl"] <= 0.001


def test_int8_activations_of_int4_weights(tmp_path):
    """W4A8 beside W4A16: the same codes, once multiplied as floats."""
    subprocess.run([BINARY, "quantize", "--model", MODEL, "--output", tmp_path / "int4", "--quantization", "int4"], check=True,
                   capture_output=True, timeout=600)  # fmt: skip
    rounded = evaluate(tmp_path / "int4", "--reference", MODEL)["mean_kl"]
    floats = evaluate(tmp_path / "int4", "--quantization-overrides", "*=none", "--reference", MODEL)["mean_kl"]
    assert rounded <= floats + 0.003
    beside = evaluate(tmp_path / "int4", "--reference", tmp_path / "int4", "--reference-set", "quantization_overrides=*=none")
    assert 0 < beside["mean_kl"] <= 0.003
