"""The arithmetic of bench/peers, what it reads of the peers' tools, the shape of the models it writes. No peer runs.

python -m pytest tests/tools/peers_test.py
"""

import argparse
import asyncio
import json
import pathlib
import struct
import sys

import pytest

np = pytest.importorskip("numpy")

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from bench.peers import gguf_header, gguf_model, http_load, report  # noqa: E402
from bench.peers.__main__ import peers_of, turned  # noqa: E402
from bench.peers.engines import read_batched_bench, read_llama_bench  # noqa: E402
from bench.peers.measurement import Measurement  # noqa: E402
from bench.peers.report import Row, Spread, Weights  # noqa: E402
from bench.peers.servers import write_checkpoint  # noqa: E402
from bench.peers.shape import Shape, Tensor  # noqa: E402

ONE = Measurement("decode", 1, 128, 32)
FIVE = Measurement("verify", 5, 128, 16)


def test_ratios_compare_within_a_round():
    # The machine halves its speed in the second round: every round's ratio is 2, and so is the median.
    assert report.ratios([100, 50, 100], [50, 25, 50]) == Spread(2, 2, 2)
    assert report.ratios([30, 10, 20], [10, 10, 10]) == Spread(2, 1, 3)
    with pytest.raises(ValueError, match="2 rounds of ours, 1"):
        report.ratios([1, 2], [1])


def test_time_over_the_floor_takes_the_higher_ceiling():
    weights = Weights(bytes=900, count=1000)
    # 900 bytes at 0.9 x 1000 a second: one second. 2 x 1000 operations at 0.65 x 1e6: next to nothing.
    assert report.floor_seconds(ONE, weights, 1000, 1e6) == pytest.approx(1)
    # 5 rows are 10 000 operations; at 0.65 x 10 000 a second they take longer than the bytes.
    assert report.floor_seconds(FIVE, weights, 1000, 1e4) == pytest.approx(10_000 / 6500)
    row = Row(FIVE, {"us": [2.5]}, [1000], [1e4])  # 5 rows in 2 seconds
    assert report.over_floor(row, "us", weights).median == pytest.approx(2 / (10_000 / 6500))


def test_a_prompt_needs_the_head_for_one_row():
    weights = Weights(bytes=1, count=1000, head=400)
    prompt = Measurement("prefill", 100, 0, 1)
    assert report.floor_seconds(prompt, weights, 1e12, 1 / 0.65) == pytest.approx(2 * (600 * 100 + 400))


def test_batch_one_per_byte_takes_smaller_weights_into_account():
    weights = {"us": Weights(400, 800), "they": Weights(450, 800)}
    row = Row(ONE, {"us": [90.0, 90.0], "they": [80.0, 80.0]}, [36e3, 36e3], [1.0, 1.0])
    assert weights["us"].bits_each == 4 and weights["they"].bits_each == 4.5
    assert report.ratio_per_byte(row, "us", "they", weights).median == pytest.approx(1)
    assert report.share_of_bandwidth(row, "us", weights["us"]).median == pytest.approx(1)
    text = report.tables([row, Row(FIVE, {"us": [100, 100], "they": [50, 50]}, [36e3, 36e3], [1, 1])], "us", weights)
    assert "| they | 4.50 |" in text
    assert ("| decode, batch 1, context 128 | 90.0 [90.0-90.0] tok/s | 80.0 [80.0-80.0] tok/s "
            "| 1.12 [1.12-1.12] |") in text
    assert ("| step of 5 rows of one sequence | 50.0 [50.0-50.0] ms | 100.0 [100.0-100.0] ms "
            "| 2.00 [2.00-2.00] |") in text
    assert "1.00 [1.00-1.00] they" in text


def test_everyone_goes_first_once():
    assert [turned(["a", "b", "c"], i)[0] for i in range(4)] == ["a", "b", "c", "a"]


def test_a_model_is_made_for_engines_asked_for_alone(tmp_path):
    models = tmp_path / "models"
    models.mkdir()
    (models / "shape-Q4_0.gguf").touch()  # IQ4_KS is not there: making it would need the tools
    args = argparse.Namespace(peers=tmp_path, shape="shape", llama=None, ik=tmp_path / "ik",
                              engines=["llama.cpp", "ik repacked"])
    assert [peer.name for peer in peers_of(args, "int4")] == ["llama.cpp", "ik repacked"]
    args.ik, args.engines = None, []
    assert [peer.name for peer in peers_of(args, "int4")] == ["llama.cpp"]


def test_reads_the_tools_tables():
    table = """
|    PP |     TG |    B |   N_KV |   T_PP s | S_PP t/s |   T_TG s | S_TG t/s |      T s |    S t/s |
|-------|--------|------|--------|----------|----------|----------|----------|----------|----------|
|   128 |     32 |    1 |    160 |    0.500 |   256.00 |    0.640 |    50.00 |    1.140 |   140.35 |
|   128 |     32 |    8 |   1280 |    4.000 |   256.00 |    2.438 |   105.00 |    6.438 |   198.82 |
"""
    assert read_batched_bench(table) == {1: 50.0, 8: 105.0}
    assert read_llama_bench('warning\n[{"n_prompt": 512, "n_gen": 0, "avg_ts": 259.1}]') == {512: 259.1}


def test_shapes_have_the_weights_of_their_models():
    one_b = Shape.named("llama-3.2-1b")
    assert sum(t.weights for t in one_b.tensors()) == 1_235_814_400  # as Hugging Face counts them
    assert [t.name for t in one_b.step_tensors()][0] == "token_embd.weight", "the head too"
    assert sum(t.weights for t in Shape.named("tinyllama-1.1b").tensors()) == 1_100_048_384
    eight_b = Shape.named("llama-3.1-8b")
    assert sum(t.weights for t in eight_b.tensors()) == 8_030_261_248
    assert eight_b.step_weights == 8_030_261_248 - 128256 * 4096 - (2 * 32 + 1) * 4096


@pytest.mark.parametrize("kind, row_bytes", [("Q4_0", 2048 // 32 * 18), ("Q8_0", 2048 // 32 * 34), ("BF16", 4096)])
def test_random_weights_have_the_types_bytes_and_unit_products(kind, row_bytes):
    tensor = Tensor("x", 64, 2048)
    rows = gguf_model.random_rows(tensor, kind, np.random.default_rng(1))
    assert rows.dtype == np.uint8 and rows.shape == (64, row_bytes) and rows.size == tensor.bytes(kind)
    if kind == "BF16":
        values = (rows.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    else:
        blocks = rows.reshape(-1, 18 if kind == "Q4_0" else 34)
        scales = blocks[:, :2].copy().view(np.float16).astype(np.float32)
        integers = blocks[:, 2:]
        if kind == "Q4_0":
            integers = np.concatenate([integers & 15, integers >> 4], axis=1).astype(np.int32) - 8
        else:
            integers = integers.view(np.int8)
        values = scales * integers
    assert values.std() * 2048 ** 0.5 == pytest.approx(1, rel=0.05)


def test_refuses_rows_that_are_no_whole_blocks():
    with pytest.raises(ValueError, match="rows of 100 weights, Q4_0 has blocks of 32"):
        Tensor("x", 2, 100).bytes("Q4_0")


def test_the_vocabulary_has_every_byte_and_the_shapes_size():
    pieces, scores, kinds = gguf_model.vocabulary(1000)
    assert len(pieces) == len(scores) == len(kinds) == len(set(pieces)) == 1000
    assert pieces[3:6] == [b"<0x00>", b"<0x01>", b"<0x02>"] and pieces[258] == b"<0xFF>"
    with pytest.raises(ValueError, match="no room"):
        gguf_model.vocabulary(100)


def text_value(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()


def tiny_gguf(path: pathlib.Path, tensors: dict[str, int]) -> pathlib.Path:
    """As the format's document says: three values of metadata, then tensors of so many bytes each."""
    data = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), 3)
    data += text_value("general.architecture") + struct.pack("<I", 8) + text_value("llama")
    data += text_value("general.alignment") + struct.pack("<II", 4, 64)
    data += text_value("tokens") + struct.pack("<IIQ", 9, 8, 2) + text_value("a") + text_value("bc")
    offset = 0
    for name, size in tensors.items():
        data += text_value(name) + struct.pack("<IQQIQ", 2, 32, 7, 2, offset)
        offset += size
    data += b"\0" * (-len(data) % 64)
    path.write_bytes(data + b"\0" * offset)
    return path


def test_counts_the_bytes_a_step_reads(tmp_path):
    sizes = {"token_embd.weight": 640, "output_norm.weight": 64, "blk.0.ffn_up.weight": 128}
    tied = tiny_gguf(tmp_path / "tied", sizes)
    assert gguf_header.tensor_bytes(tied) == sizes
    assert gguf_header.step_bytes(tied) == 768
    own = tiny_gguf(tmp_path / "own", {"token_embd.weight": 640, "output.weight": 640, "blk.0.ffn_up.weight": 128})
    assert gguf_header.step_bytes(own) == 768
    (tmp_path / "none").write_bytes(b"GGML" * 8)
    with pytest.raises(ValueError, match="no GGUF file"):
        gguf_header.tensor_bytes(tmp_path / "none")


def test_a_written_model_reads_back(tmp_path):
    gguf = pytest.importorskip("gguf")  # in the peers' own environment
    shape = Shape("tiny", 300, 64, 96, 1, 2, 1, 32, False, 128, 1e4, 1e-5)
    for kind in ("Q4_0", "BF16"):
        gguf_model.write_model(shape, kind, tmp_path / kind)
        read = {t.name: (tuple(t.shape), t.n_bytes) for t in gguf.GGUFReader(tmp_path / kind).tensors}
        assert read["blk.0.ffn_down.weight"] == ((96, 64), 96 * 64 * (18 / 32 if kind == "Q4_0" else 2))
        exact = sum(t.bytes(kind) for t in shape.step_tensors())
        assert exact <= gguf_header.step_bytes(tmp_path / kind) < exact + 32 * len(shape.tensors()), "but for alignment"


def test_prompts_share_what_they_should_and_no_turn_repeats_another():
    traffic = http_load.TRAFFIC["shared+32"]
    ids = http_load.prompts(traffic, True, 1)
    assert len(ids) == 32 and all(len(prompt) == 544 for prompt in ids)
    assert len({tuple(p[:512]) for p in ids}) == 1 and len({tuple(p[512:]) for p in ids}) == 32
    assert http_load.prompts(traffic, True, 2)[0][:512] != ids[0][:512]
    assert all(isinstance(p, str) and len(p) == 544 for p in http_load.prompts(traffic, False, 1))


def test_our_server_gets_a_name_for_every_id(tmp_path):
    shape = Shape.named("tinyllama-1.1b")
    write_checkpoint(shape, tmp_path)
    vocabulary = json.loads((tmp_path / "tokenizer.json").read_text())["model"]["vocab"]
    assert sorted(vocabulary.values()) == list(range(shape.vocab))
    assert json.loads((tmp_path / "config.json").read_text())["hidden_size"] == shape.hidden


@pytest.mark.parametrize(("reason", "counted", "is_whole"),
                         [("length", 4, True), ("stop", 4, True), ("stop", 3, False), (None, 0, False)])
def test_an_answer_is_whole_when_its_limit_ended_it(reason, counted, is_whole):
    """ik_llama.cpp says "stop" at the limit as well; a short one must not count as fast."""
    async def answer(reader, writer):
        await reader.readuntil(b"}")
        chunks = [{"choices": [{"text": "a", "finish_reason": None}]},
                  {"choices": [{"text": "b", "finish_reason": reason}]},
                  {"choices": [], "usage": {"completion_tokens": counted}}]
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + b"".join(b"data: %s\n\n" % json.dumps(c).encode() for c in chunks)
                     + b"data: [DONE]\n\n")
        writer.close()

    async def ask():
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            return await http_load._complete(port, {"prompt": "p", "max_tokens": 4})

    if is_whole:
        assert len(asyncio.run(ask()).gaps) == 1
    else:
        with pytest.raises(RuntimeError, match="a stream of 2 chunks"):
            asyncio.run(ask())
