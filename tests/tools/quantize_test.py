"""Checkpoints of `runahead quantize` in Hugging Face transformers: they load, and hold the weights that Runahead computes with.

python -m pytest tests/tools/quantize_test.py        (RUNAHEAD_BINARY names the program)
"""

import json
import os
import pathlib
import subprocess

import pytest

try:
    import compressed_tensors  # noqa: F401  (transformers needs it)
    import torch
    import transformers
    from safetensors.torch import load_file
except ImportError:  # a module that skips as a whole would be a failure to pytest: no tests
    torch = None

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODELS = ROOT / "tests/golden/models"
BINARY = os.environ.get("RUNAHEAD_BINARY", "")
pytestmark = [
    pytest.mark.skipif(not os.path.exists(BINARY), reason="RUNAHEAD_BINARY names no program"),
    pytest.mark.skipif(torch is None, reason="PyTorch, transformers or compressed-tensors are missing (scripts/venv --tools)"),
]

# The inputs of down_proj are 48, no whole groups, which transformers does not read. Zero points it reads only with
# dequantize=True, which knows one scheme.
OPTIONS = {
    "int8": ["--quantization", "int8"],
    "int4": ["--quantization", "int4", "--group-size", "32", "--override", "down_proj=int8"],
    "int4_zero_points": ["--quantization", "int4-g32-zp", "--override", "model.embed_tokens=none,down_proj=none"],
    "linear_alone": ["--quantization", "int4-g32", "--override", "down_proj=int8,lm_head=none,model.embed_tokens=none"],
}


def quantize(model, out, options):
    subprocess.run([BINARY, "quantize", "--model", MODELS / model, "--output", out, "--threads", "1", *options], check=True,
                   capture_output=True, timeout=300)  # fmt: skip
    return out


def load(folder, dequantize=False):
    options = {"quantization_config": transformers.CompressedTensorsConfig(dequantize=True)} if dequantize else {}
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **options).eval()


def nibbles(words, count):
    """[rows, words] of i32 to [rows, count] of 0..15, the lowest bits first."""
    shifts = torch.arange(0, 32, 4, dtype=torch.int32)
    return ((words.unsqueeze(-1) >> shifts) & 15).flatten(1)[:, :count]


def stored_weights(folder):
    """Every quantized weight of a checkpoint as f32, unpacked by the format's description."""
    tensors, weights = load_file(folder / "model.safetensors"), {}
    for name, scale in tensors.items():
        if not name.endswith(".weight_scale"):
            continue
        module, scale = name.removesuffix(".weight_scale"), scale.float()
        if module + ".weight" in tensors:
            weights[module] = tensors[module + ".weight"].float() * scale
            continue
        rows, columns = tensors[module + ".weight_shape"].tolist()
        codes = nibbles(tensors[module + ".weight_packed"], columns)
        group = torch.arange(columns) // 32
        zeros = torch.full_like(scale, 8, dtype=torch.int32)
        if module + ".weight_zero_point" in tensors:
            zeros = nibbles(tensors[module + ".weight_zero_point"].T.contiguous(), rows).T
        weights[module] = (codes - zeros[:, group]).float() * scale[:, group]
    return weights


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
@pytest.mark.parametrize("model", ["tiny_llama", "qwen2_bias", "qwen3_norm"])
def test_transformers_reads_what_is_written(tmp_path, model, options):
    folder = quantize(model, tmp_path / "out", options)
    weights = stored_weights(folder)
    original = load(MODELS / model)
    loaded = load(folder, dequantize="zp" in options[1])
    with torch.no_grad():
        loaded(torch.tensor([[1, 2, 3]]))  # decompresses
    num_compared = 0
    for name, module in loaded.named_modules():
        if isinstance(module, (torch.nn.Linear, torch.nn.Embedding)):
            before = original.get_submodule(name).weight
            if name not in weights:
                assert torch.equal(module.weight, before), name
                continue
            num_compared += 1
            # With dequantize=True it multiplies in the type of the scales, BF16.
            slack = 2.0**-8 * weights[name].abs() if "zp" in options[1] else 0
            assert ((module.weight - weights[name]).abs() <= slack).all(), name
            # Round to nearest, at worst with scales of half the range: an error of a code's half, or what was clipped.
            assert (weights[name] - before).pow(2).mean() < 0.02 * before.pow(2).mean(), name
    assert num_compared == len(weights) > 7


def losses(model, ids):
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0, :-1].double()
    return torch.nn.functional.cross_entropy(logits, torch.tensor(ids[1:]), reduction="none"), logits


@pytest.mark.parametrize("options", [OPTIONS[name] for name in ("int8", "int4", "linear_alone")])
def test_a_text_is_as_likely_in_both(tmp_path, options):
    folder = quantize("tiny_llama", tmp_path / "out", options)
    (tmp_path / "text").write_text("the tall hill in the rain, and all the red roses: a round thing is not far from a river.")
    report = subprocess.run(
        [BINARY, "eval", "--model", folder, "--file", tmp_path / "text", "--no-reference", "--json", "-", "--dtype", "f32",
         "--kv-cache-dtype", "f32", "--quantization-overrides", "*=none", "--threads", "1"],
        check=True, capture_output=True, timeout=300)  # fmt: skip
    ours = json.loads(report.stdout)
    ids = transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))(
        (tmp_path / "text").read_text())["input_ids"]  # fmt: skip
    assert ours["tokens"] == len(ids) - 1
    model = load(folder)
    losses(model, ids)  # decompresses
    for module in model.modules():
        module.quantization_enabled = False  # activations stay as they are
    expected, logits = losses(model, ids)
    # docs/numerics.md, "Model goldens": f32 logits of a row are within 1e-4 of its norm, and a loss moves by two of them.
    bound = 2e-4 * logits.norm(dim=1).mean().item()
    assert ours["nll"] == pytest.approx(expected.mean().item(), abs=bound)
