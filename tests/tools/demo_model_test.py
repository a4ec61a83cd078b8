"""The demo corpus: the same seed gives the same text, no instance is on both sides, and checks accept their own references.

python -m pytest tests/tools/demo_model_test.py
"""

import itertools
import json
import pathlib
import random
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tools.demo_model import held_out_text, questions  # noqa: E402
from tools.demo_model.corpus import (
    MAKERS,
    Example,
    conversations,
    draw,
    is_held_out,
    split_of,
)  # noqa: E402
from tools.demo_model.corpus.copying import _swap_word  # noqa: E402

COUNT = 4000


def take(seed: int, split: str, count: int = COUNT) -> list[Example]:
    return list(itertools.islice(conversations(seed, split), count))


def test_the_same_seed_gives_the_same_text():
    assert take(5, "train", 500) == take(5, "train", 500)
    assert take(5, "train", 500) != take(6, "train", 500)


def test_training_and_held_out_share_no_instance():
    train = {key for example in take(1, "train") if not example.closed for key in example.keys()}
    held_out = {key for example in take(2, "held_out") for key in example.keys()}
    assert not train & held_out
    assert all(is_held_out(key) for key in held_out)


def test_about_one_instance_in_sixteen_is_held_out():
    share = sum(is_held_out(f"key {i}") for i in range(16000)) / 16000
    assert 0.05 < share < 0.075


@pytest.mark.parametrize("maker", MAKERS, ids=lambda maker: maker.__name__)
def test_every_family_alternates_roles_and_passes_its_own_check(maker):
    rng = random.Random(3)
    for _ in range(200):
        example = maker(rng)
        roles = [role for role, _ in example.turns]
        assert roles[-2:] == ["user", "assistant"] and split_of(example) in ("train", "held_out")
        assert all(text.strip() == text and text for _, text in example.turns), example.turns
        if example.check is not None:
            assert questions.is_right(example, example.turns[-1][1])


def test_a_wrong_answer_fails_the_check():
    rng = random.Random(4)
    for _ in range(500):
        example = draw(rng, "held_out")
        if example.check is not None:
            assert not questions.is_right(example, "no such answer")


def test_swap_replaces_whole_words_only():
    assert _swap_word("cat, category cat.", "cat", "dog") == "dog, category dog."


@pytest.mark.parametrize("name", ["target", "draft"])
def test_committed_config_matches_the_weights(name):
    folder = ROOT / "models/demo" / name
    config = json.loads((folder / "config.json").read_text())
    with (folder / "model.safetensors").open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    assert header["model.embed_tokens.weight"]["shape"] == [
        config["vocab_size"],
        config["hidden_size"],
    ]
    assert header["model.embed_tokens.weight"]["dtype"] == "BF16"
    queries = [config["num_attention_heads"] * config["head_dim"], config["hidden_size"]]
    assert header["model.layers.0.self_attn.q_proj.weight"]["shape"] == queries
    assert f"model.layers.{config['num_hidden_layers'] - 1}.mlp.up_proj.weight" in header


def test_the_pair_shares_one_tokenizer_and_stays_small():
    target, draft = ROOT / "models/demo/target", ROOT / "models/demo/draft"
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (target / name).read_bytes() == (draft / name).read_bytes()
    assert (
        sum(path.stat().st_size for path in (ROOT / "models/demo").rglob("*") if path.is_file())
        <= 20 << 20
    )


def test_the_draft_starts_with_copying():
    torch = pytest.importorskip("torch")
    from tools.demo_model.induction import start_copying
    from tools.demo_model.model import SHAPES, Llama

    torch.manual_seed(3)
    unit = torch.randint(6, 2048, (8, 30))
    ids = torch.cat([unit, unit, unit], 1)

    def copied(draft) -> float:
        """Share of the repeats that are among the two likeliest tokens."""
        with torch.no_grad():
            likeliest = draft(ids[:, :-1])[:, 30:].topk(2).indices
        return (likeliest == ids[:, 31:, None]).any(-1).float().mean().item()

    draft = Llama(SHAPES["draft"])
    assert copied(draft) < 0.02
    start_copying(draft)
    assert copied(draft) > 0.2


def test_the_text_for_evaluation_is_what_the_generator_writes():
    text = (ROOT / "bench/text/demo_held_out.txt").read_text()
    assert text == held_out_text.held_out_text()
    assert 40_000 < len(text.encode()) <= held_out_text.MAX_BYTES
