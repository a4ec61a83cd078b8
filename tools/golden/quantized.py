"""Makes the tiny quantized checkpoints of tests/golden/quantized, as the compressed-tensors package writes them.

    .venv/bin/python tools/golden/quantized.py

A case is a folder as of tools/golden/models.py: config.json with its quantization_config, model.safetensors, and
golden.json: the logits Hugging Face transformers gives in f32 with the weights decompressed and activations left alone
("bf16_error" is 0: these are for f32). Scales are the package's own (minmax), stored in BF16 unless the case says so.
"""

import json
import shutil
from pathlib import Path

import models  # takes this folder, whose tokenizers.py is not the package, off the path
import torch
import transformers
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.quantization import QuantizationArgs, QuantizationConfig, QuantizationScheme
from compressed_tensors.quantization.utils import calculate_qparams
from compressed_tensors.utils.match import match_named_modules, match_targets
from safetensors.torch import save_file

ROOT = Path(__file__).resolve().parent.parent.parent / "tests" / "golden" / "quantized"
LENGTHS = (5, 33)

TOKEN = QuantizationArgs(num_bits=8, type="int", symmetric=True, strategy="token", dynamic=True)


def weights(bits, strategy, group=None, symmetric=True):
    return QuantizationArgs(num_bits=bits, type="int", symmetric=symmetric, strategy=strategy, group_size=group)


def scheme(targets, args, form, inputs=None):
    return QuantizationScheme(targets=targets, weights=args, input_activations=inputs, format=form)


# name -> (configuration, schemes, ignored, type of the scales)
CASES = {
    "w4_group": (
        lambda: models.llama(intermediate_size=96),
        [scheme(["Linear"], weights(4, "group", 32), "pack-quantized")], ["lm_head"], torch.bfloat16),
    "w4_group_zeros": (
        lambda: models.qwen2(intermediate_size=64, tie_word_embeddings=True, rope_theta=1e6),
        [scheme(["re:.*mlp\\.(gate|up|down)_proj$", "re:.*self_attn.*"], weights(4, "group", 32, False), "pack-quantized")],
        ["lm_head", "re:.*layers\\.1\\.mlp.*"], torch.float32),
    "w4_channel_zeros": (
        lambda: models.llama(hidden_size=40, head_dim=10, intermediate_size=56, attention_bias=True),
        [scheme(["Linear"], weights(4, "channel", None, False), "pack-quantized")], ["re:.*lm_head"], torch.float32),
    "w8_channel": (
        lambda: models.qwen3(head_dim=24),
        [scheme(["Linear"], weights(8, "channel"), "int-quantized", TOKEN)], ["lm_head"], torch.bfloat16),
    "w8_packed": (
        lambda: models.llama(hidden_size=36, num_attention_heads=3, num_key_value_heads=1, head_dim=12, intermediate_size=50),
        [scheme(["Linear"], weights(8, "channel"), "pack-quantized")], [], torch.float16),
    "mixed": (
        lambda: models.llama(intermediate_size=64),
        [scheme(["Linear"], weights(4, "group", 32), "pack-quantized"),
         scheme(["re:.*down_proj", "lm_head"], weights(8, "channel"), "int-quantized", TOKEN),
         scheme(["Embedding"], weights(8, "channel"), "int-quantized")], [], torch.bfloat16),
}  # fmt: skip


def compressed(weight, scheme, scale_dtype):
    """The tensors of a module, by their local names."""
    args = scheme.weights
    rows = weight.unflatten(1, (-1, args.group_size)) if args.strategy == "group" else weight.unsqueeze(1)
    low, high = rows.amin(-1), rows.amax(-1)  # [N, groups]
    scale, zero = calculate_qparams(low, high, args)
    state = {"weight": weight, "weight_scale": scale.to(scale_dtype), "weight_zero_point": zero}
    return BaseCompressor.get_value_from_registry(scheme.format).compress(state, scheme)


def state_of(model, config, scale_dtype):
    schemes = {target: scheme for scheme in config.config_groups.values() for target in scheme.targets}
    quantized = dict(match_named_modules(model, schemes, config.ignore))
    tensors = {}
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight" and model.config.tie_word_embeddings:
            continue
        module = name.removesuffix(".weight")
        if module not in quantized:
            tensors[name] = tensor.to(torch.bfloat16).contiguous()
            continue
        scheme = schemes[match_targets(module, quantized[module], schemes)[0]]
        for local, part in compressed(tensor.float(), scheme, scale_dtype).items():
            tensors[f"{module}.{local}"] = part.contiguous()
    return tensors


def reference(folder, has_zero_points):
    """The model as transformers reads it, its activations left alone.

    Zero points it reads only while it decompresses at once, which it does for checkpoints of one scheme, and in the type
    of the scales: theirs are F32 above.
    """
    options = {"quantization_config": transformers.CompressedTensorsConfig(dequantize=True)} if has_zero_points else {}
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", **options).eval()  # fmt: skip
    with torch.no_grad():
        model(torch.tensor([[1]]))  # decompresses
    for module in model.modules():
        module.quantization_enabled = False
    return model


def make(name, seed):
    configuration, schemes, ignore, scale_dtype = CASES[name]
    torch.manual_seed(seed)
    model = transformers.AutoModelForCausalLM.from_config(configuration(), attn_implementation="eager").float().eval()
    models.randomize(model, torch.bfloat16)
    formats = {scheme.format for scheme in schemes}
    config = QuantizationConfig(
        config_groups={f"group_{i}": scheme for i, scheme in enumerate(schemes)}, ignore=ignore,
        quantization_status="compressed", format="mixed-precision" if len(formats) > 1 else formats.pop())  # fmt: skip
    folder = ROOT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    save_file(state_of(model, config, scale_dtype), folder / "model.safetensors", {"format": "pt"})
    written = {**model.config.to_dict(), "dtype": "bfloat16", "quantization_config": config.to_dict()}
    written.pop("transformers_version", None)
    (folder / "config.json").write_text(json.dumps(written, indent=1, sort_keys=True, default=str) + "\n")
    models.LENGTHS = LENGTHS
    has_zero_points = not all(scheme.weights.symmetric for scheme in schemes)
    models.write_golden(folder, models.golden(reference(folder, has_zero_points)), 0)
    print(f"{name}: {sum(f.stat().st_size for f in folder.iterdir())} bytes")


def main():
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    for index, name in enumerate(CASES):
        make(name, seed=2000 + index)


if __name__ == "__main__":
    main()
