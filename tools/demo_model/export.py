"""Writes a trained model as a Hugging Face folder: config, BF16 safetensors, tokenizer and generation config.

python -m tools.demo_model.export --shape target --weights RUNDIR/weights.pt --tokenizer-dir DIR --out models/demo/target
"""

import argparse
import dataclasses
import json
import pathlib
import shutil

import torch
from safetensors.torch import save_file

from . import data
from .model import SHAPES, Llama, ModelConfig
from .train import part


def hugging_face_config(config: ModelConfig) -> dict:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "torch_dtype": "bfloat16",
        "vocab_size": config.vocab,
        "hidden_size": config.hidden,
        "intermediate_size": config.ffn,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_dim,
        "max_position_embeddings": config.max_positions,
        "rms_norm_eps": config.rms_eps,
        "rope_theta": config.rope_theta,
        "rope_scaling": None,
        "hidden_act": "silu",
        "tie_word_embeddings": True,
        "attention_bias": False,
        "mlp_bias": False,
        "attention_dropout": 0.0,
        "initializer_range": 0.02,
        "use_cache": True,
        "bos_token_id": data.BOS_ID,
        "eos_token_id": data.END_ID,
        "pad_token_id": data.PAD_ID,
    }


def generation_config() -> dict:
    return {
        "bos_token_id": data.BOS_ID,
        "eos_token_id": [data.END_ID],
        "pad_token_id": data.PAD_ID,
        "do_sample": True,
        "temperature": 0.8,
    }


def bf16_weights(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The stored weights: every tensor rounded to BF16, nearest even."""
    return {name: tensor.to(torch.bfloat16).contiguous() for name, tensor in weights.items()}


def export(
    shape: str, weights: dict[str, torch.Tensor], tokenizer_dir: pathlib.Path, out: pathlib.Path
) -> None:
    out.mkdir(parents=True, exist_ok=True)
    save_file(bf16_weights(weights), out / "model.safetensors", metadata={"format": "pt"})
    (out / "config.json").write_text(
        json.dumps(hugging_face_config(SHAPES[shape]), indent=2) + "\n"
    )
    (out / "generation_config.json").write_text(json.dumps(generation_config(), indent=2) + "\n")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tokenizer_dir / name, out / name)


def load(folder: pathlib.Path, shape: str, dtype: torch.dtype = torch.float32) -> Llama:
    """The exported model back as our module, for evaluation of exactly what is shipped."""
    from safetensors.torch import load_file

    theta = json.loads((folder / "config.json").read_text())["rope_theta"]
    model = Llama(dataclasses.replace(SHAPES[shape], rope_theta=theta))
    model.load_state_dict(
        {name: tensor.float() for name, tensor in load_file(folder / "model.safetensors").items()}
    )
    return model.to(dtype).eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", choices=sorted(SHAPES), required=True)
    parser.add_argument("--weights", type=pathlib.Path, required=True)
    parser.add_argument("--tokenizer-dir", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    args = parser.parse_args()
    export(args.shape, part(args.weights, args.shape), args.tokenizer_dir, args.out)


if __name__ == "__main__":
    main()
