"""Makes the tiny random checkpoints of tests/golden/models and the logits Hugging Face transformers gives for them.

    .venv/bin/python tools/golden/models.py            # writes every case
    .venv/bin/python tools/golden/models.py mistral    # those whose name holds a word

A case is a folder: config.json, model.safetensors (or shards), and golden.json: prompts and, for the prompts'
positions named in "rows", the logits as hexadecimal little-endian float32; and "bf16_error", how far the
reference itself moves when it rounds what a BF16 run rounds (see bf16_error). Everything follows from fixed seeds.
"""

import json
import shutil
import sys
from pathlib import Path

sys.path.pop(0)  # this folder's tokenizers.py is not the package

import torch  # noqa: E402
import transformers  # noqa: E402
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent.parent / "tests" / "golden" / "models"

SMALL = dict(
    vocab_size=96, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=128, rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2,
    attn_implementation="eager",
)
# Lengths around the 16-token blocks, the 64-token key tiles and the 12-token windows.
LENGTHS = (1, 5, 16, 33, 70)


def llama(**changes):
    return transformers.LlamaConfig(**{**SMALL, **changes})


def mistral(**changes):
    return transformers.MistralConfig(**{**SMALL, "sliding_window": None, **changes})


def qwen2(**changes):
    return transformers.Qwen2Config(**{**SMALL, **changes})


def qwen3(**changes):
    return transformers.Qwen3Config(**{**SMALL, **changes})


# With D = 24 and this theta the wavelengths are 6, 14, 29, 63, ..: kept below 8, blended to 32, stretched above.
LLAMA3 = dict(rope_type="llama3", rope_theta=10000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=32)

# name -> (configuration, element type stored, shard size or None)
CASES = {
    "llama_gqa": (lambda: llama(), torch.float32, None),
    "llama_mha_f16": (lambda: llama(num_key_value_heads=4), torch.float16, None),
    "llama_mqa_sharded": (lambda: llama(num_key_value_heads=1), torch.bfloat16, "16KB"),
    "llama_bias": (lambda: llama(attention_bias=True, mlp_bias=True), torch.bfloat16, None),
    "llama_tied": (lambda: llama(tie_word_embeddings=True, hidden_size=40, head_dim=10), torch.bfloat16, None),
    "llama3_rope": (lambda: llama(rope_parameters=dict(LLAMA3), tie_word_embeddings=True, head_dim=24), torch.bfloat16, None),
    "llama_linear_rope": (
        lambda: llama(rope_parameters=dict(rope_type="linear", rope_theta=10000.0, factor=4.0)), torch.bfloat16, None),
    "mistral_window": (lambda: mistral(sliding_window=12, head_dim=20), torch.bfloat16, None),
    "qwen2_bias": (lambda: qwen2(tie_word_embeddings=True, rope_theta=1e6), torch.bfloat16, None),
    "qwen2_window": (
        lambda: qwen2(use_sliding_window=True, sliding_window=12, max_window_layers=1, num_attention_heads=6,
                      num_key_value_heads=2, hidden_size=48), torch.bfloat16, None),
    "qwen3_norm": (lambda: qwen3(head_dim=24, tie_word_embeddings=True), torch.bfloat16, None),
    "qwen3_wide_heads": (lambda: qwen3(head_dim=80, num_attention_heads=3, num_key_value_heads=1), torch.bfloat16,
                         None),
}


def randomize(model, dtype):
    """Weights so large that attention is peaked and logits are far from flat; gains and biases off their defaults.

    Rounded to the stored type first, so that the reference computes in f32 from exactly what is stored.
    """
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("norm.weight"):
                parameter.uniform_(0.5, 1.5)
            elif parameter.dim() == 1:
                parameter.normal_(0, 0.3)
            elif "embed_tokens" in name:
                parameter.normal_(0, 1.0 if not model.config.tie_word_embeddings else 0.5)
            else:
                parameter.normal_(0, 1.4 / parameter.shape[1] ** 0.5)
            parameter.copy_(parameter.to(dtype).float())


def save(model, folder, dtype, shard_size):
    if folder.exists():
        shutil.rmtree(folder)
    model.config.dtype = dtype
    model.to(dtype).save_pretrained(folder, **({"max_shard_size": shard_size} if shard_size else {}))
    for file in folder.iterdir():
        file.chmod(0o644)
    generation = folder / "generation_config.json"
    if generation.exists():
        generation.unlink()
    config = json.loads((folder / "config.json").read_text())
    config.pop("transformers_version", None)
    (folder / "config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")


def golden(model):
    prompts = []
    for length in LENGTHS:
        ids = torch.randint(0, model.config.vocab_size, (1, length))
        with torch.no_grad():
            logits = model(ids).logits[0].float()
        # First rows see little, last rows all; every row would be much text for little more.
        rows = sorted({0, length // 2, length - 1} | {r for r in (11, 12, 15, 16, 63, 64) if r < length})
        prompts.append({
            "ids": ids[0].tolist(), "rows": rows,
            "logits": [logits[r].numpy().astype("<f4").tobytes().hex() for r in rows],
        })
    return prompts


def round_bf16(tensor):
    return tensor.to(torch.bfloat16).float()


def rounding_rope(function):
    def rotate(*args, **kwargs):
        q, k = function(*args, **kwargs)
        return round_bf16(q), round_bf16(k)
    return rotate


def rounding_softmax(function):
    return lambda *args, **kwargs: round_bf16(function(*args, **kwargs))


def bf16_error(model, prompts):
    """The largest ||rounded - exact|| / ||exact|| over the stored rows, where `rounded` is this reference with
    its matrices, the inputs of its linear layers, its queries, keys, values and softmax weights rounded to BF16, and
    all else in f32.

    It measures how this very model amplifies the roundings that a BF16 run cannot avoid, so a bound for the
    code under test follows from the reference alone.
    """
    modeling = sys.modules[type(model).__module__]
    original_rope = modeling.apply_rotary_pos_emb
    saved = {name: parameter.clone() for name, parameter in model.named_parameters()}
    hooks = []
    original_softmax = torch.nn.functional.softmax
    modeling.apply_rotary_pos_emb = rounding_rope(original_rope)
    torch.nn.functional.softmax = rounding_softmax(original_softmax)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.copy_(round_bf16(parameter))
        for name, module in model.named_modules():
            if isinstance(module, torch.nn.Linear):
                hooks.append(module.register_forward_pre_hook(lambda _, inputs: (round_bf16(inputs[0]),)))
            if name.endswith("v_proj"):
                hooks.append(module.register_forward_hook(lambda _, inputs, output: round_bf16(output)))
        worst = 0.0
        for prompt in prompts:
            rounded = model(torch.tensor([prompt["ids"]])).logits[0]
            for row, text in zip(prompt["rows"], prompt["logits"]):
                exact = torch.frombuffer(bytearray.fromhex(text), dtype=torch.float32)
                worst = max(worst, ((rounded[row] - exact).norm() / exact.norm()).item())
        for hook in hooks:
            hook.remove()
        modeling.apply_rotary_pos_emb = original_rope
        torch.nn.functional.softmax = original_softmax
        for name, parameter in model.named_parameters():
            parameter.copy_(saved[name])
    return worst


def make(name, seed):
    configuration, dtype, shard_size = CASES[name]
    torch.manual_seed(seed)
    config = configuration()
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
    randomize(model, dtype)
    folder = ROOT / name
    prompts = golden(model)  # before saving, which casts the rope's buffers too
    error = bf16_error(model, prompts)
    save(model, folder, dtype, shard_size)
    write_golden(folder, prompts, error)
    size = sum(f.stat().st_size for f in folder.iterdir())
    print(f"{name}: {size} bytes, logits of deviation {spread(prompts, config.vocab_size):.2f}, bf16 moves them by {error:.2g}")


def make_tiny_llama():
    """A whole checkpoint, tokenizer and chat template included, small enough to serve in every test."""
    special = ["<|begin|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]
    merges = [("h", "e"), ("l", "l"), ("Ġ", "t"), ("Ġt", "he"), ("i", "n"), ("Ġ", "a"), ("o", "u"), ("r", "e")]
    tokens = special + sorted(pre_tokenizers.ByteLevel.alphabet()) + ["".join(pair) for pair in merges]
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])

    torch.manual_seed(7)
    config = llama(vocab_size=len(tokens), max_position_embeddings=2048, bos_token_id=0, eos_token_id=1)
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
    randomize(model, torch.bfloat16)
    folder = ROOT / "tiny_llama"
    prompts = golden(model)
    error = bf16_error(model, prompts)
    save(model, folder, torch.bfloat16, None)
    tokenizer.save(str(folder / "tokenizer.json"))
    template = (
        "{{ bos_token }}{% for message in messages %}{% if message.role not in ['system', 'user', 'assistant'] %}"
        "{{ raise_exception('unknown role ' + message.role) }}{% endif %}<|{{ message.role }}|>{{ message.content }}"
        "<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}")
    (folder / "tokenizer_config.json").write_text(json.dumps(
        {"bos_token": "<|begin|>", "eos_token": "<|end|>", "chat_template": template, "model_max_length": 2048},
        indent=1) + "\n")
    (folder / "generation_config.json").write_text(json.dumps({"bos_token_id": 0, "eos_token_id": [1]}) + "\n")
    write_golden(folder, prompts, error)


def write_golden(folder, prompts, error):
    lines = ",\n".join(json.dumps(prompt) for prompt in prompts)
    (folder / "golden.json").write_text(f'{{"bf16_error": {error:.3g},\n"prompts": [\n{lines}\n]}}\n')


def spread(prompts, vocab_size):
    values = torch.frombuffer(bytearray.fromhex("".join(r for p in prompts for r in p["logits"])), dtype=torch.float32)
    return values.view(-1, vocab_size).std(dim=1).mean().item()


def main():
    words = sys.argv[1:]
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    for index, name in enumerate(CASES):
        if not words or any(word in name for word in words):
            make(name, seed=1000 + index)
    if not words or any(word in "tiny_llama" for word in words):
        make_tiny_llama()


if __name__ == "__main__":
    main()
