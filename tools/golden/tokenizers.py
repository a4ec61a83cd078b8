"""Goldens of the tokenizer tests: trains small tokenizers and records what Hugging Face's `tokenizers` and
`sentencepiece` make of texts in many scripts.

    .venv/bin/python tools/golden/tokenizers.py        # writes tests/golden/tokenizers/

Needs tokenizers==0.23.3 and sentencepiece==0.2.3. Deterministic: a second run changes no byte.
"""

import io
import json
import pathlib
import random
import sys

# This file shares its name with the package; its own folder must not come first.
sys.path = [p for p in sys.path if pathlib.Path(p or ".").resolve() != pathlib.Path(__file__).resolve().parent]

import sentencepiece  # noqa: E402
from tokenizers import (  # noqa: E402
    AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers)

OUT = pathlib.Path(__file__).resolve().parents[2] / "tests" / "golden" / "tokenizers"

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")

SENTENCES = [
    "The quick brown fox jumps over the lazy dog, and the dog doesn't mind at all.",
    "She sells sea shells; they're the shells she's sold since 1984 - I'll bet you've seen them!",
    "for (int i = 0; i < num_tokens; ++i) {\n    total += tokens[i];\n}\n",
    "def encode(text):\n\treturn [ord(c) for c in text if c != '\\n']\n",
    "Der schnelle braune Fuchs springt über den faulen Hund; schöne Grüße aus Köln.",
    "Le cœur a ses raisons que la raison ne connaît point. L'été dernier à Nîmes.",
    "El veloz murciélago hindú comía feliz cardillo y kiwi. ¿Dónde está la niña?",
    "Съешь же ещё этих мягких французских булок, да выпей чаю.",
    "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία. Καλημέρα κόσμε.",
    "敏捷的棕色狐狸跳过懒狗。我们今天去学校,明天去公园。",
    "いろはにほへと ちりぬるを。東京は日本の首都です。カタカナもあります。",
    "다람쥐 헌 쳇바퀴에 타고파. 안녕하세요 세계.",
    "نص حكيم له سر قاطع وذو شأن عظيم مكتوب على ثوب أخضر.",
    "דג סקרן שט בים מאוכזב ולפתע מצא חברה.",
    "ऋषियों को सताने वाले दुष्ट राक्षसों के राजा रावण का सर्वनाश करने वाले।",
    "เป็นมนุษย์สุดประเสริฐเลิศคุณค่า กว่าบรรดาฝูงสัตว์เดรัจฉาน",
    "Zażółć gęślą jaźń. Pchnąć w tę łódź jeża lub ośm skrzyń fig.",
    "Numbers: 1 12 123 1234 12345 3.14159 1,000,000 0x1F 50% $9.99 No.42",
    "👋 Hello 🌍! Emoji like 🎉🎉 and 👩‍👩‍👧‍👦 are fun 😀.",
    "In  the   beginning    there     were      spaces.\n\nThen new lines.\r\n\tAnd tabs.",
]

# Texts whose encoding is recorded; bytes are not valid UTF-8.
TEXTS = [
    "", " ", "  ", "   ", "\t", "\n", "\n\n", "\r\n", " \n", "\n ", " \t \n  x", "a", " a", "a ", "  a  b  ",
    "Hello world", " Hello world", "Hello, world!", "HELLO World", "don't I'll WE'VE she'S it'ſ 'Tis",
    "The quick brown fox doesn't jump.", "3", "33", "333", "3333", "123456789012", "3.14 1,000 x2y3", "½ ² ٣٤ Ⅷ ൧൨",
    "über Köln straße ÅÄÖ", "cafe\u0301 café Å Å ﬁ ① ＡＢＣ", "Съешь ещё ЙОД", "Καλημέρα ΣΊΣΥΦΟΣ", "İstanbul ıI",
    "敏捷的棕色狐狸,我们。", "東京は日本の首都です。カタカナ", "안녕하세요 세계 한글", "مكتوب على ثوب أخضر ١٢٣",
    "דג סקרן שָׁלוֹם", "राक्षसों के राजा क्षि", "เป็นมนุษย์สุด", "Tiếng Việt có dấu: Nguyễn", "ქართული ენა", "አማርኛ",
    "🎉", "👋 Hello 🌍!", "👩‍👩‍👧‍👦 family", "🏳️‍🌈🇩🇪👍🏽", "😶‍🌫️ ✅ 🦙.cpp", "e\u200dx\u200bz\ufeffq", "\u00a0a\u3000b\u2028c\u0085d",
    "\u180ea \u1680b\u202fc\u205fd", "a\u0300\u0301\u0302b", "\x00\x01\x7f\x1b[0m", "___ __init__ snake_case", "a_b\u203fc",
    "for (int i = 0; i < n; ++i) {\n    x += i;\n}\n", "def f(x):\n\treturn x\n\n\n", "\n\n\n    indented\n\n",
    "!!!!!! ... --- ***", "https://example.com/a?b=c&d=%20#e", "{\"key\": [1, 2.5, null, true]}", "∑∫√∞≠ αβγ 𝒜𝓑 𐍈",
    "<s>", "</s> <s>Hello</s>", "a<unk>b <unk>", "<0x41><0x0A>", "▁▁a ▁b", "Ġthe Ċ",
    "<|endoftext|>", "a<|endoftext|>b", "x <|begin_of_text|> y<|eot_id|>\n\nz<|eot_id|>",
    "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", "<tool_call>\n{}\n</tool_call>", "<|im_start", "<|im_start|><|im_end|>",
    "a <strip>  b", "x  <left>  y", "x  <right>  y", "x <word> y a<word> <word>b <word>,<word>", "Yesterday yesterday YESTERDAY xyesterday",
    "<ab><abc><abcd>", "<abcx", "  <strip>  <strip>  ", "<right>  <left>", "unsplittable word unsplittable",
    "a" * 300, " " * 100 + "x", "ab" * 120 + " " + "ab" * 33, "\n" * 50, "🎉" * 20, "1" * 50, "é" * 40, "the" * 40, "a b " * 50,
    b"\xff", b"abc\xe4\xbd", b"\xe4\xbd\xa0\xff\xfe ok \x80", b"\xed\xa0\x80 \xc0\xaf \xf4\x90\x80\x80", b"\xf0\x9f\x8e trunc", b"caf\xe9 \xe9t\xe9",
]


def as_text(text):
    """What a tokenizer that takes strings is given for invalid UTF-8."""
    return text.decode("utf-8", errors="replace") if isinstance(text, bytes) else text


def corpus():
    rng = random.Random(7)
    for _ in range(60):
        yield " ".join(rng.sample(SENTENCES, 4))


def trained(vocab_size, specials=(), byte_level=True, **options):
    tokenizer = Tokenizer(models.BPE(**options))
    tokenizer.pre_tokenizer = (pre_tokenizers.ByteLevel(add_prefix_space=False) if byte_level
                               else pre_tokenizers.Metaspace())
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=list(specials), show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()) if byte_level else [])
    tokenizer.train_from_iterator(list(corpus()), trainer)
    return tokenizer


def gpt2():
    tokenizer = trained(700)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken("<|endoftext|>", special=True, normalized=True)])
    data = json.loads(tokenizer.to_str())
    data["model"]["merges"] = [" ".join(pair) for pair in data["model"]["merges"]]  # the older spelling
    return data


def llama3():
    tokenizer = trained(760)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(LLAMA3), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    data = json.loads(tokenizer.to_str())
    data["model"]["ignore_merges"] = True
    # Tokens that no merge makes, so that only ignore_merges finds them.
    for word in ("Ġunsplittable", "unsplittable", "Ġworld", "ĠWorld", "123"):
        data["model"]["vocab"].setdefault(word, len(data["model"]["vocab"]))
    tokenizer = Tokenizer.from_str(json.dumps(data))
    tokenizer.add_special_tokens(["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"])
    begin = tokenizer.token_to_id("<|begin_of_text|>")
    tokenizer.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single="<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", begin)])])
    return json.loads(tokenizer.to_str())


def qwen2():
    tokenizer = trained(720)
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(QWEN2), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    tokenizer.add_tokens([AddedToken(t, normalized=False) for t in ("<tool_call>", "</tool_call>")])
    return json.loads(tokenizer.to_str())


def llama2():
    """As Hugging Face converts Llama 2's SentencePiece model."""
    specials = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]
    tokenizer = trained(900, specials, byte_level=False, unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    data = json.loads(tokenizer.to_str())
    # Rare characters leave the vocabulary, so that they fall back to bytes.
    rare = set("ऋωゐ鼠Ж🎉🌍ź") & set(data["model"]["vocab"])
    data["model"]["merges"] = [m for m in data["model"]["merges"] if not rare & set("".join(m))]
    for token in list(data["model"]["vocab"]):
        if rare & set(token):
            del data["model"]["vocab"][token]
    data["added_tokens"] = [t for t in data["added_tokens"] if not t["content"].startswith("<0x")]
    data["pre_tokenizer"] = None
    tokenizer = Tokenizer.from_str(json.dumps(data))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                           decoders.Strip(" ", 1, 0)])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return json.loads(tokenizer.to_str())


def mixed():
    """Many stages at once, unknown characters that are not fused, and added tokens of every kind."""
    tokenizer = trained(500, ["<unk>"], byte_level=False, unk_token="<unk>")
    tokenizer.normalizer = normalizers.Sequence([
        normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase(), normalizers.Replace(Regex(r"\s{3,}"), "  "),
        normalizers.Strip(left=False, right=True)])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.Punctuation("isolated"),
        pre_tokenizers.Metaspace(prepend_scheme="first", split=True)])
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
    tokenizer.post_processor = processors.TemplateProcessing(single="$A <unk>", special_tokens=[("<unk>", 0)])
    tokenizer.add_special_tokens([AddedToken("<strip>", lstrip=True, rstrip=True, special=True, normalized=False)])
    tokenizer.add_tokens([
        AddedToken("<left>", lstrip=True, normalized=False), AddedToken("<right>", rstrip=True, normalized=False),
        AddedToken("<word>", single_word=True, normalized=False), AddedToken("Yesterday", normalized=True, single_word=True),
        AddedToken("<ab>", normalized=False), AddedToken("<abc>", normalized=False), AddedToken("<abc", normalized=True)])
    return json.loads(tokenizer.to_str())


def encoded(text):
    return {"hex": text.hex()} if isinstance(text, bytes) else {"text": text}


def record(data):
    tokenizer = Tokenizer.from_str(json.dumps(data))
    cases = []
    for text in TEXTS:
        case = encoded(text)
        case["ids"] = tokenizer.encode(as_text(text), add_special_tokens=False).ids
        with_frame = tokenizer.encode(as_text(text)).ids
        if with_frame != case["ids"]:
            case["framed"] = with_frame
        tokenizer.encode_special_tokens = True
        unparsed = tokenizer.encode(as_text(text), add_special_tokens=False).ids
        tokenizer.encode_special_tokens = False
        if unparsed != case["ids"]:
            case["unparsed"] = unparsed
        case["decoded"] = tokenizer.decode(case["ids"], skip_special_tokens=False)
        skipped = tokenizer.decode(case["ids"], skip_special_tokens=True)
        if skipped != case["decoded"]:
            case["skipped"] = skipped
        cases.append(case)
    rng = random.Random(11)
    size = tokenizer.get_vocab_size()
    decodes = []
    for length in [1] * 12 + [2, 3, 5, 8, 13] * 6:
        ids = [rng.randrange(size) for _ in range(length)]
        decodes.append({"ids": ids, "decoded": tokenizer.decode(ids, skip_special_tokens=False),
                        "skipped": tokenizer.decode(ids, skip_special_tokens=True)})
    return {"cases": cases, "decodes": decodes}


def stages():
    """Single stages: a configuration as a tokenizer.json holds it, and what it makes of texts."""
    texts = [as_text(t) for t in TEXTS if 0 < len(t) <= 40][::2]
    split = pre_tokenizers.Split
    pre = [
        pre_tokenizers.ByteLevel(add_prefix_space=True), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        pre_tokenizers.Digits(individual_digits=False), pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.Whitespace(), pre_tokenizers.WhitespaceSplit(), pre_tokenizers.BertPreTokenizer(),
        pre_tokenizers.Punctuation("removed"), pre_tokenizers.Punctuation("merged_with_previous"),
        pre_tokenizers.CharDelimiterSplit("o"),
        pre_tokenizers.Metaspace(prepend_scheme="always"), pre_tokenizers.Metaspace(prepend_scheme="never", split=False),
        *[split("a", behavior) for behavior in
          ("removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous")],
        *[split(Regex(r"\d+|\w+"), behavior, invert) for invert in (False, True) for behavior in
          ("removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous")],
        split(Regex(LLAMA3), "removed", True), split(Regex(QWEN2), "isolated"), split(Regex(r"[^\s\p{L}]+|\S"), "isolated"),
        split(Regex(r"^x|[\S&]$"), "isolated"), split(Regex(r"\h+"), "isolated"), split(Regex("x*"), "isolated"),
        pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="first")]),
    ]
    norms = [
        normalizers.NFC(), normalizers.NFD(), normalizers.NFKC(), normalizers.NFKD(), normalizers.Lowercase(),
        normalizers.StripAccents(), normalizers.Strip(), normalizers.Strip(left=True, right=False), normalizers.Prepend("▁"),
        normalizers.Replace("a", ""), normalizers.Replace(Regex(r"\s+"), " "), normalizers.ByteLevel(),
        normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase()]),
    ]
    tokens = ["▁Hello", "▁", "wor", "ld", "<0xE4>", "<0xBD>", "<0xA0>", "!", "<0xFF>", "<0x41>", "x", "Ġthe", "Ċ", " ", "ä", "▁▁▁a▁"]
    decs = [
        decoders.ByteLevel(), decoders.ByteFallback(), decoders.Fuse(), decoders.Metaspace(),
        decoders.Metaspace(prepend_scheme="never"), decoders.Replace("▁", " "), decoders.Replace(Regex("[lo]+"), "_"),
        decoders.Strip("l", 1, 1), decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                                      decoders.Strip(" ", 1, 1)]),
    ]

    def config(stage, key):
        holder = Tokenizer(models.BPE())
        setattr(holder, key, stage)
        return json.loads(holder.to_str())[key]

    rng = random.Random(3)
    lists = [tokens] + [rng.sample(tokens, n) for n in (1, 1, 2, 3, 5, 8)]
    return {
        "texts": texts,
        "lists": lists,
        "pre_tokenizers": [{"config": config(s, "pre_tokenizer"),
                            "pieces": [[p for p, _ in s.pre_tokenize_str(t)] for t in texts]} for s in pre],
        "normalizers": [{"config": config(s, "normalizer"), "results": [s.normalize_str(t) for t in texts]} for s in norms],
        "decoders": [{"config": config(s, "decoder"), "results": [s.decode(x) for x in lists]} for s in decs],
    }


def sentencepiece_model(name, **options):
    """A SentencePiece model and what sentencepiece itself makes of the texts that name no control piece."""
    buffer = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(s for s in SENTENCES for _ in range(3)), model_writer=buffer, model_type="bpe", num_threads=1,
        minloglevel=2, **options)
    (OUT / f"{name}.model").write_bytes(buffer.getvalue())
    processor = sentencepiece.SentencePieceProcessor(model_proto=buffer.getvalue())
    cases = []
    for text in TEXTS:
        if any(word in as_text(text) for word in ("<s>", "</s>", "<unk>", "\0")):
            continue
        ids = processor.encode(as_text(text))
        cases.append({**encoded(text), "ids": ids, "decoded": processor.decode(ids)})
    write(f"{name}.model.golden.json", {"cases": cases})


def write(name, data):
    (OUT / name).write_text(json.dumps(data, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    for make in (gpt2, llama3, qwen2, llama2, mixed):
        data = make()
        write(f"{make.__name__}.json", data)
        write(f"{make.__name__}.golden.json", record(data))
    write("stages.golden.json", stages())
    sentencepiece_model("identity", vocab_size=800, normalization_rule_name="identity", byte_fallback=True,
                        remove_extra_whitespaces=False, character_coverage=0.98)
    rules = OUT / "rules.tsv"
    rules.write_text("FB01\t66 69\n41 301\t61\nFF21\t41\n3000\t20\n9\t20\nA\t20\nD\t\nAD\t\n", encoding="ascii")
    sentencepiece_model("rules", vocab_size=600, normalization_rule_tsv=str(rules), user_defined_symbols=["<|im_end|>", "▁▁", "é"],
                        character_coverage=0.98)
    rules.unlink()


if __name__ == "__main__":
    main()
