"""An inflated checkpoint computes what the small one does, in NumPy and in the server, and has weights where it may.

python -m pytest tests/tools/inflate_test.py          (RUNAHEAD_BINARY names the server; without it those tests skip)
"""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import urllib.request

import pytest

np = pytest.importorskip("numpy")

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/system")]

from tools.inflate import shape as shapes  # noqa: E402
from tools.inflate.__main__ import inflate, main  # noqa: E402
from tools.inflate.checkpoint import Entry, Reader, bf16_bits, f32_of_bits, write  # noqa: E402
from tools.inflate.shape import Shape  # noqa: E402

DEMO_DRAFT = ROOT / "models/demo/draft"
DEMO = Shape.of_config(json.loads((DEMO_DRAFT / "config.json").read_text()))
# Four KV heads with four query heads of 32 each: 128 numbers a group, so the ratio may grow.
TINY = Shape(vocab=256, hidden=128, layers=2, heads=16, kv_heads=4, head_dim=32, ffn=128, tied=True)


def tiny_model(folder: pathlib.Path, shape: Shape = TINY, eps: float = 1e-2) -> pathlib.Path:
    """Random BF16 weights; an eps large enough that a wrong one shows."""
    random = np.random.default_rng(3)
    d, entries = shape.head_dim, []

    def add(name: str, *size: int) -> None:
        values = random.standard_normal(size) / (np.sqrt(size[-1]) if len(size) == 2 else 4) + (len(size) == 1)
        bits = bf16_bits(values.astype(np.float32))
        entries.append(Entry(name, "BF16", size, lambda: iter([bits])))

    add("model.embed_tokens.weight", shape.vocab, shape.hidden)
    for i in range(shape.layers):
        prefix = f"model.layers.{i}."
        add(prefix + "input_layernorm.weight", shape.hidden)
        add(prefix + "post_attention_layernorm.weight", shape.hidden)
        for name, heads in (("q", shape.heads), ("k", shape.kv_heads), ("v", shape.kv_heads)):
            add(prefix + f"self_attn.{name}_proj.weight", heads * d, shape.hidden)
        add(prefix + "self_attn.o_proj.weight", shape.hidden, shape.heads * d)
        add(prefix + "mlp.gate_proj.weight", shape.ffn, shape.hidden)
        add(prefix + "mlp.up_proj.weight", shape.ffn, shape.hidden)
        add(prefix + "mlp.down_proj.weight", shape.hidden, shape.ffn)
    add("model.norm.weight", shape.hidden)
    if not shape.tied:
        add("lm_head.weight", shape.vocab, shape.hidden)
    write(folder, entries, 1 << 30)
    config = {"architectures": ["LlamaForCausalLM"], "rms_norm_eps": eps, "rope_theta": 10000.0, **shape.to_config()}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def norm(x, gain, eps):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * gain


def rotate(x, theta):
    """x [T, N, D] by position, half-split order."""
    half = x.shape[-1] // 2
    angles = np.arange(len(x))[:, None] * theta ** (-np.arange(half) / half)
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    first, second = x[..., :half], x[..., half:]
    return np.concatenate([first * cos - second * sin, second * cos + first * sin], -1)


def logits(folder: pathlib.Path, ids: list[int]):
    """A plain Llama in F64, so that what differs between two models is not rounding; [T, real ids]."""
    config, reader = json.loads((folder / "config.json").read_text()), Reader(folder)
    shape, eps = Shape.of_config(config), config["rms_norm_eps"]
    get = lambda name: reader.get(name).astype(np.float64)  # noqa: E731
    count, d = len(ids), shape.head_dim
    x = get("model.embed_tokens.weight")[ids]
    future = np.triu(np.full((count, count), -np.inf), 1)
    for i in range(shape.layers):
        layer = lambda name: get(f"model.layers.{i}.{name}.weight")  # noqa: E731, B023
        y = norm(x, layer("input_layernorm"), eps)
        q, k, v = ((y @ layer(f"self_attn.{p}_proj").T).reshape(count, -1, d) for p in "qkv")
        q, k = rotate(q, config["rope_theta"]), rotate(k, config["rope_theta"])
        k, v = (np.repeat(part, shape.ratio, axis=1) for part in (k, v))
        scores = np.einsum("tnd,snd->nts", q, k) / np.sqrt(d) + future
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        scores /= scores.sum(-1, keepdims=True)
        x = x + np.einsum("nts,snd->tnd", scores, v).reshape(count, -1) @ layer("self_attn.o_proj").T
        y = norm(x, layer("post_attention_layernorm"), eps)
        gate = y @ layer("mlp.gate_proj").T
        x = x + (gate / (1 + np.exp(-gate)) * (y @ layer("mlp.up_proj").T)) @ layer("mlp.down_proj").T
    head = get("model.embed_tokens.weight" if shape.tied else "lm_head.weight")
    return (norm(x, get("model.norm.weight"), eps) @ head.T)[:, : config.get("runahead_vocab_limit", shape.vocab)]


def grown(shape: Shape, **changes) -> Shape:
    return dataclasses.replace(shape, **changes)


def assert_same_function(small: pathlib.Path, large: pathlib.Path, vocab: int) -> None:
    ids = np.random.default_rng(5).integers(0, vocab, 40).tolist()
    expected, actual = logits(small, ids), logits(large, ids)
    assert actual.shape == expected.shape
    # Gains are rounded to F32, 2^-24 of each; a layer's norms scale what it adds, the stream carries it on, and the last norm
    # scales all of it: (2 L + 1) such errors, each of at most the whole logit. Twice that covers their products through softmax.
    layers = json.loads((small / "config.json").read_text())["num_hidden_layers"]
    bound = 2 * (2 * layers + 1) * 2.0**-24 * np.abs(expected).max()
    assert np.abs(actual - expected).max() <= bound


SHAPES = {
    "wider": dict(hidden=384, heads=28, kv_heads=7, ffn=640),
    "deeper": dict(layers=5),
    "both": dict(hidden=512, heads=20, kv_heads=5, ffn=256, layers=3, vocab=1024),
    "same": dict(),
    "more_queries_a_group": dict(hidden=256, heads=30, kv_heads=5),
    "fewer_queries_a_group": dict(heads=20, kv_heads=10),
    "one_query_a_group": dict(heads=16, kv_heads=16),
    "untied": dict(hidden=256, tied=False),
}


@pytest.mark.parametrize("changes", SHAPES.values(), ids=SHAPES.keys())
def test_the_logits_are_the_small_models(tmp_path, changes):
    small = tiny_model(tmp_path / "small")
    inflate(small, tmp_path / "large", lambda shape: grown(shape, **changes))
    assert_same_function(small, tmp_path / "large", TINY.vocab)


def test_a_separate_head_grows(tmp_path):
    small = tiny_model(tmp_path / "small", grown(TINY, tied=False))
    inflate(small, tmp_path / "large", lambda shape: grown(shape, hidden=384, vocab=512, layers=3))
    assert_same_function(small, tmp_path / "large", TINY.vocab)


def test_an_inflated_model_grows_again(tmp_path):
    small = tiny_model(tmp_path / "small")
    inflate(small, tmp_path / "once", lambda shape: grown(shape, hidden=256, vocab=512))
    inflate(tmp_path / "once", tmp_path / "twice", lambda shape: grown(shape, hidden=384, vocab=1024, layers=3))
    assert json.loads((tmp_path / "twice/config.json").read_text())["runahead_vocab_limit"] == TINY.vocab
    assert_same_function(small, tmp_path / "twice", TINY.vocab)


def test_the_demo_draft_grows(tmp_path):
    inflate(DEMO_DRAFT, tmp_path, lambda shape: grown(shape, hidden=384, heads=12, kv_heads=12 // shape.ratio, ffn=640, layers=4))
    assert_same_function(DEMO_DRAFT, tmp_path, DEMO.vocab)


def test_the_comparison_would_see_a_wrong_epsilon(tmp_path):
    small = tiny_model(tmp_path / "small")
    inflate(small, tmp_path / "large", lambda shape: grown(shape, hidden=256))
    config = json.loads((tmp_path / "large/config.json").read_text())
    (tmp_path / "large/config.json").write_text(json.dumps({**config, "rms_norm_eps": 1e-2}))
    with pytest.raises(AssertionError):
        assert_same_function(small, tmp_path / "large", TINY.vocab)


def test_zeros_are_only_where_the_function_needs_them(tmp_path):
    inflate(tiny_model(tmp_path / "small"), tmp_path / "large", lambda s: grown(s, hidden=384, heads=20, kv_heads=5, ffn=256,
                                                                                  layers=3, vocab=1024))  # fmt: skip
    reader, real = Reader(tmp_path / "large"), shapes.layer_slots(TINY, grown(TINY, layers=3))
    assert len(real) == 2
    for name in reader.names():
        values = reader.get(name)
        zeros = values == 0
        if name.endswith("embed_tokens.weight"):
            assert zeros[:256, 128:].all() and zeros[:256, :128].mean() < 1e-4 and zeros[256:].mean() < 1e-4
        elif name.endswith(("o_proj.weight", "down_proj.weight")):
            columns = 512 if "o_proj" in name else 128
            is_real = int(name.split(".")[2]) in real
            assert zeros[128:].all() and zeros[:, columns:].all()
            assert zeros[:128, :columns].mean() < 1e-4 if is_real else zeros.all(), name
        else:
            assert zeros.mean() < 1e-4, name  # a normal F32 may be 0
            assert values.ndim == 2 or reader.dtype(name) == "F32"


def test_random_weights_spread_like_the_real_ones(tmp_path):
    inflate(tiny_model(tmp_path / "small"), tmp_path / "large", lambda s: grown(s, hidden=512, ffn=1024))
    gate = Reader(tmp_path / "large").get("model.layers.0.mlp.gate_proj.weight")
    assert gate[:, 128:].std() == pytest.approx(gate[:128, :128].std(), rel=0.02)
    assert len(np.unique(gate[128])) > 300  # no repeated tile
    assert not np.array_equal(gate[128], gate[129])


def test_the_same_seed_gives_the_same_bytes_in_any_shards(tmp_path):
    small = tiny_model(tmp_path / "small")
    for name, seed, limit in (("one", 1, 1 << 30), ("shards", 1, 100_000), ("other", 2, 1 << 30)):
        inflate(small, tmp_path / name, lambda s: grown(s, hidden=256), seed, limit)
    one, shards, other = (Reader(tmp_path / name) for name in ("one", "shards", "other"))
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 3
    assert one.names() == shards.names()
    assert all(np.array_equal(one.get(name), shards.get(name)) for name in one.names())
    name = "model.layers.0.mlp.up_proj.weight"
    assert not np.array_equal(one.get(name), other.get(name))


REFUSED = {
    "narrower": (dict(hidden=64), "hidden 64 is below"),
    "fewer_layers": (dict(layers=1), "layers 1 is below"),
    "another_head_size": (dict(head_dim=64), "head size 32 cannot change"),
    "no_whole_groups": (dict(heads=17), "do not divide"),
    "a_ratio_that_splits_groups": (dict(heads=18, kv_heads=6), "cannot hold"),
    "too_few_kv_heads": (dict(heads=16, kv_heads=2), "cannot hold"),
}


@pytest.mark.parametrize("changes,message", REFUSED.values(), ids=REFUSED.keys())
def test_what_does_not_fit_is_named(changes, message):
    with pytest.raises(ValueError, match=message):
        shapes.check(TINY, grown(TINY, **changes))


def test_padding_begins_on_a_multiple_of_128():
    odd = grown(TINY, hidden=192, ffn=320, vocab=200)
    shapes.check(odd, grown(odd, layers=9))  # nothing is padded
    for name, size in (("hidden", 256), ("ffn", 512), ("vocab", 256)):
        with pytest.raises(ValueError, match=f"padding of {name} would begin"):
            shapes.check(odd, grown(odd, **{name: size}))
    narrow = grown(TINY, heads=2, kv_heads=1)
    with pytest.raises(ValueError, match="padding of heads would begin at 64.*padding of kv_heads would begin at 32"):
        shapes.check(narrow, grown(narrow, heads=4, kv_heads=2))


def test_the_ready_shapes_hold_the_demo_pair():
    sizes = {}
    for name, model in (("target-1b", "target"), ("target-8b", "target"), ("draft-100m", "draft")):
        small = Shape.of_config(json.loads((ROOT / f"models/demo/{model}/config.json").read_text()))
        config = json.loads((ROOT / f"tools/inflate/shapes/{name}.json").read_text())
        large = shapes.like(small, config)
        shapes.check(small, large)
        assert large == Shape.of_config(config)
        sizes[name] = large.multiplies()
    assert 1.0e9 < sizes["target-1b"] < 1.4e9 and 7e9 < sizes["target-8b"] < 9e9
    assert 9 < sizes["target-1b"] / sizes["draft-100m"] < 13


def test_like_keeps_the_head_size_and_a_ratio_that_fits():
    llama = json.loads((ROOT / "bench/shapes/llama-3.2-1b/config.json").read_text())
    large = shapes.like(DEMO, llama)
    assert (large.hidden, large.layers, large.ffn, large.vocab) == (2048, 16, 8192, 128256)
    assert (large.heads, large.head_dim) == (64, 32) and large.ratio == DEMO.ratio
    assert shapes.like(TINY, llama).ratio == 4  # which that model has, too: taken as it is


def test_the_command_line_writes_or_says_why_not(tmp_path, monkeypatch, capsys):
    small = tiny_model(tmp_path / "small")
    arguments = ["inflate", "--model", str(small), "--out", str(tmp_path / "large"), "--hidden"]
    monkeypatch.setattr(sys, "argv", arguments + ["256"])
    assert main() == 0 and (tmp_path / "large/config.json").exists()
    monkeypatch.setattr(sys, "argv", arguments + ["100"])
    assert main() == 1 and "hidden 100 is below" in capsys.readouterr().err


def test_bf16_rounds_to_nearest_even():
    values = np.array([1.0, 1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-8 + 2**-20, -0.0], np.float32)
    assert f32_of_bits(bf16_bits(values)).tolist() == [1.0, 1.0, 1 + 2**-6, 1 + 2**-7, 0.0]


QUESTIONS = ["What is the capital of France?", "Repeat after me:\nred blue red", "Count from 3 to 9."]


def answers(folder: pathlib.Path, backend: str) -> list[tuple[list, np.ndarray]]:
    """Of the server, greedy in F32: tokens, and the 20 best log probabilities at each place."""
    from server_process import ServerProcess

    out = []
    with ServerProcess("--dtype", "f32", "--backend", backend, "--threads", "2", model=folder) as server:
        name = json.load(urllib.request.urlopen(f"{server.url}/v1/models"))["data"][0]["id"]
        for question in QUESTIONS:
            body = {"model": name, "temperature": 0, "max_tokens": 24, "logprobs": True, "top_logprobs": 20,
                    "messages": [{"role": "user", "content": question}]}  # fmt: skip
            request = urllib.request.Request(
                f"{server.url}/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
            )
            content = json.load(urllib.request.urlopen(request))["choices"][0]["logprobs"]["content"]
            tops = np.array([[top["logprob"] for top in token["top_logprobs"]] for token in content])
            out.append(([token["bytes"] for token in content], tops))
    return out


@pytest.mark.skipif(not os.path.exists(os.environ.get("RUNAHEAD_BINARY", "")), reason="RUNAHEAD_BINARY names no server")
@pytest.mark.parametrize("backend", ["ref", "cpu"])
def test_the_server_answers_the_same(tmp_path, backend):
    inflate(DEMO_DRAFT, tmp_path / "large", lambda shape: grown(shape, hidden=384, heads=8, kv_heads=8 // shape.ratio, ffn=640,
                                                                layers=3, vocab=4096))  # fmt: skip
    for (expected, expected_tops), (actual, tops) in zip(
        answers(DEMO_DRAFT, backend), answers(tmp_path / "large", backend), strict=True
    ):
        assert actual == expected
        # F32 sums of up to 640 products, relative 640 2^-24 = 4e-5 at worst, over logits of up to some 30.
        np.testing.assert_allclose(tops, expected_tops, atol=2e-3)


def same_top(folder: pathlib.Path, quantization: str) -> float:
    """Share of tokens of held-out text whose most likely successor stays when the weights are rounded."""
    report = subprocess.run(
        [os.environ["RUNAHEAD_BINARY"], "eval", "--model", folder, "--quantization", quantization, "--max-tokens", "2000",
         "--file", ROOT / "bench/text/demo_held_out.txt", "--threads", "2", "--json", "-"],
        check=True, capture_output=True, timeout=600)  # fmt: skip
    return json.loads(report.stdout)["same_top_1"]


@pytest.mark.skipif(not os.path.exists(os.environ.get("RUNAHEAD_BINARY", "")), reason="RUNAHEAD_BINARY names no program")
def test_rounding_costs_no_more_than_in_the_small_model(tmp_path):
    """Padding begins with a group of its own, so the real weights are rounded as before; what INT8 rounds in activations are
    groups, too. The share of 2000 tokens then differs by chance alone: by 3 deviations of a share of about 0.9, 0.02."""
    inflate(DEMO_DRAFT, tmp_path / "large", lambda shape: grown(shape, hidden=384, heads=8, kv_heads=8 // shape.ratio, ffn=640,
                                                                layers=3, vocab=4096))  # fmt: skip
    small = same_top(DEMO_DRAFT, "int4")
    assert 0.5 < small < 1  # it costs something, so that there is something to compare
    assert same_top(tmp_path / "large", "int4") == pytest.approx(small, abs=0.02)
