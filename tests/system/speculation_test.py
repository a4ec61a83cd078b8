"""Speculation as its users meet it: the demo pair gives, over both doors and whatever it drafts, the bytes that the
model alone gives; usage, events and metrics say what was drafted."""

import json
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from openai import OpenAI

import patient_http as http
from server_process import BINARY, DEMO_MODEL, ROOT, ServerProcess, assert_metrics_reconcile

DRAFT_MODEL = ROOT / "models/demo/draft"
COUNT = [{"role": "user", "content": "Count from 3 to 9."}]
SPELL = [{"role": "user", "content": "Spell the word elephant."}]
SAY = [{"role": "user", "content": "Say this again: the red fox and the old dog sat by the river and the red fox sang."}]
AUTO, OFF = {"mode": "auto"}, {"mode": "off"}
# Hundreds of tiny steps: on a busy machine one thread waits for no other.
SERVE_PAIR = ("--draft-model", str(DRAFT_MODEL), "--threads", "1")


def fixed(k):
    return {"mode": "fixed", "max_tokens": k}


@pytest.fixture(scope="module")
def pair():
    with ServerProcess(*SERVE_PAIR) as process:
        yield process


@pytest.fixture(scope="module")
def alone():
    """The model without anybody who could draft."""
    with ServerProcess("--drafters", "none", "--threads", "1") as process:
        yield process


@pytest.fixture(scope="module")
def lookup():
    """One drafter, which asks no clock: the same request has the same drafts again."""
    with ServerProcess("--drafters", "ngram", "--threads", "1") as process:
        yield process


@pytest.fixture(scope="module")
def predictor():
    with ServerProcess("--drafters", "prediction", "--threads", "1") as process:
        yield process


@pytest.fixture(scope="module")
def itself():
    """An INT4 copy of the model drafts, over the model's own K/V."""
    with ServerProcess("--drafters", "self", "--threads", "1") as process:
        yield process


def ask(server, **fields):
    body = {"model": "demo", "messages": COUNT, "temperature": 0, "max_tokens": 40, **fields}
    answer = http.post(f"{server.url}/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def ask_stream(server, **fields):
    """The same, put together again from chunks; with the chunk that carries the usage."""
    body = {"model": "demo", "messages": COUNT, "temperature": 0, "max_tokens": 40, "stream": True,
            "stream_options": {"include_usage": True}, **fields}
    answer = http.post(f"{server.url}/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    events = [block.removeprefix("data: ") for block in answer.text.split("\n\n") if block]
    assert events.pop() == "[DONE]"
    chunks = [json.loads(event) for event in events]
    choices = {}
    for chunk in chunks:
        for part in chunk["choices"]:
            choice = choices.setdefault(part["index"], {"index": part["index"], "content": "", "logprobs": [],
                                                        "drafted_by": []})
            choice["content"] += part["delta"].get("content") or ""
            choice["logprobs"] += (part["logprobs"] or {}).get("content", [])
            choice["drafted_by"] += part.get("drafted_by", [])
            choice["finish_reason"] = part["finish_reason"] or choice.get("finish_reason")
            choice["stop_reason"] = part.get("stop_reason") or choice.get("stop_reason")
    return {"choices": [choices[i] for i in sorted(choices)], "usage": chunks[-1]["usage"]}


def told(answer):
    """What a client is told that must not depend on speculation: every choice and the counts of tokens."""
    choices = [{"content": c["content"] if "content" in c else c["message"]["content"],
                "logprobs": c["logprobs"] if isinstance(c["logprobs"], list) else (c["logprobs"] or {}).get("content", []),
                "finish_reason": c["finish_reason"], "stop_reason": c["stop_reason"]} for c in answer["choices"]]
    return choices, answer["usage"]["prompt_tokens"], answer["usage"]["completion_tokens"]


CASES = {
    "greedy": {},
    "sampled": dict(temperature=1, seed=7),
    "hot": dict(temperature=1.6, seed=8, max_tokens=60, ignore_eos=True),
    "filtered": dict(temperature=0.9, seed=3, top_p=0.9, top_k=20, min_p=0.02),
    "penalties": dict(temperature=0.8, seed=5, presence_penalty=0.6, frequency_penalty=0.4, repetition_penalty=1.2,
                      messages=SAY, max_tokens=60, ignore_eos=True),
    "logprobs": dict(logprobs=True, top_logprobs=3, messages=SPELL),
    "sampled logprobs": dict(temperature=1, seed=2, logprobs=True, top_logprobs=2, max_tokens=30),
    "stop string": dict(stop=[", 6", "zebra"]),
    "stop inside a word": dict(messages=SAY, stop=["e old d"], logprobs=True, ignore_eos=True),
    "choices": dict(temperature=1, seed=11, n=3, max_tokens=24),
    "choices with stops": dict(temperature=1.2, seed=4, n=4, stop=["1", "e"], max_tokens=24, ignore_eos=True),
    "bias": dict(temperature=0.7, seed=6, logit_bias={"20": 4, "21": -100}),
    "lengths": dict(max_tokens=50, min_tokens=45),
    "one token": dict(max_tokens=1),
    "copying": dict(messages=SAY, max_tokens=64),
}


@pytest.fixture(scope="module")
def plain(alone):
    """What the model says to each case without speculation."""
    return {name: told(ask(alone, **case)) for name, case in CASES.items()}


@pytest.mark.parametrize("speculation", [AUTO, fixed(2), fixed(16)], ids=str)
@pytest.mark.parametrize("name", CASES)
def test_answers_do_not_depend_on_speculation(pair, plain, name, speculation):
    assert told(ask(pair, **CASES[name], speculation=speculation)) == plain[name]
    assert told(ask_stream(pair, **CASES[name], speculation=speculation)) == plain[name]


def test_neither_do_they_with_other_drafters(predictor, plain):
    for name, case in CASES.items():
        wrong = {"type": "content", "content": "3, 4, 5, 9, 8, 7"}
        assert told(ask(predictor, **case, speculation=fixed(5), prediction=wrong)) == plain[name], name


def test_nor_with_a_copy_of_the_model_in_fewer_bits(itself, plain):
    jobs = [(name, mode) for mode in (AUTO, fixed(1), fixed(5)) for name in CASES]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda job: told(ask(itself, **CASES[job[0]], speculation=job[1])), jobs))
    for (name, mode), answer in zip(jobs, answers):
        assert answer == plain[name], (name, mode)
    used = ask(itself, speculation={**fixed(4), "include_usage": True})["usage"]["speculation"]
    assert used["drafters"].keys() == {"self"}
    assert used["accepted_tokens"] > 0.6 * used["drafted_tokens"] > 0


def test_eight_at_once(pair, plain):
    jobs = [(name, mode) for mode in (AUTO, fixed(3), fixed(7)) for name in CASES]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda job: told(ask(pair, **CASES[job[0]], speculation=job[1])), jobs))
    for (name, mode), answer in zip(jobs, answers):
        assert answer == plain[name], (name, mode)


def test_greedy_answers_of_rejection_are_those_without_speculation(plain):
    with ServerProcess(*SERVE_PAIR, "--verification", "rejection") as server:
        for name in ("greedy", "logprobs", "stop string", "copying"):
            assert told(ask(server, **CASES[name], speculation=fixed(4))) == plain[name]
        used = ask(server, temperature=1, seed=1, ignore_eos=True,
                   speculation={**fixed(4), "include_usage": True})["usage"]
        assert used["completion_tokens"] == 40 and used["speculation"]["accepted_tokens"] > 0


def test_completions_too(pair, alone):
    def complete(server, **fields):
        body = {"model": "demo", "prompt": ["One, two, three, one, two,", "The red fox and the red"], "max_tokens": 16,
                "temperature": 1, "seed": 4, "n": 2, "echo": True, "logprobs": 1, "ignore_eos": True, **fields}
        answer = http.post(f"{server.url}/v1/completions", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    bare = complete(alone)
    answer = complete(pair, speculation={**fixed(3), "include_usage": True, "include_drafter": True},
                      prediction={"type": "content", "content": " three, one, two"})
    names = [choice.pop("drafted_by") for choice in answer["choices"]]
    assert answer["choices"] == bare["choices"]
    used = answer["usage"].pop("speculation")
    assert [len(n) for n in names] == [16] * 4, "an echoed prompt was drafted by nobody"
    assert used["accepted_tokens"] == sum(name is not None for n in names for name in n)
    assert used["target_steps"] == 64 - used["accepted_tokens"]
    assert answer["usage"]["completion_tokens"] == bare["usage"]["completion_tokens"] == 64


# gRPC

@pytest.fixture
def stub(api, pair):
    with grpc.insecure_channel(pair.grpc_target) as channel:
        yield api[1].InferenceServiceStub(channel)


def grpc_request(pb, messages=COUNT, speculation=None, prediction=None, **options):
    if options.pop("logprobs", False):
        options["logprobs"] = options.pop("top_logprobs", 0)
    if "logit_bias" in options:
        options["logit_bias"] = {int(token): bias for token, bias in options["logit_bias"].items()}
    options = {"temperature": 0, "max_tokens": 40, **options}
    sampling = {k: options.pop(k) for k in list(options) if k in pb.SamplingOptions.DESCRIPTOR.fields_by_name}
    modes = {"auto": pb.SPECULATION_MODE_AUTO, "off": pb.SPECULATION_MODE_OFF, "fixed": pb.SPECULATION_MODE_FIXED}
    if speculation is not None:
        speculation = {k: modes[v] if k == "mode" else v for k, v in speculation.items()}
        options["speculation"] = pb.SpeculationOptions(**speculation)
    return pb.ChatRequest(messages=[pb.Message(**m) for m in messages],
                          options=pb.GenerationOptions(sampling=pb.SamplingOptions(**sampling), prediction=prediction,
                                                       **options))


def ask_grpc(pb, stub, n=1, **fields):
    """(texts, finish reasons, tokens) of the choices, and the usage."""
    texts, reasons, tokens, usage = [""] * n, [0] * n, [[] for _ in range(n)], None
    for message in stub.Chat(grpc_request(pb, n=n, **fields)):
        if message.HasField("usage"):
            usage = message.usage
            continue
        texts[message.index] += message.text
        tokens[message.index] += message.tokens
        reasons[message.index] = message.finish_reason or reasons[message.index]
    return texts, reasons, tokens, usage


@pytest.mark.parametrize("speculation", [AUTO, fixed(4)], ids=str)
@pytest.mark.parametrize("name", CASES)
def test_grpc_gives_the_same(api, stub, plain, name, speculation):
    texts, reasons, tokens, usage = ask_grpc(api[0], stub, **CASES[name], speculation=speculation)
    choices, prompt_tokens, completion_tokens = plain[name]
    names = {api[0].FINISH_REASON_STOP: "stop", api[0].FINISH_REASON_LENGTH: "length"}
    assert texts == [c["content"] for c in choices]
    assert [names[r] for r in reasons] == [c["finish_reason"] for c in choices]
    assert (usage.prompt_tokens, usage.completion_tokens) == (prompt_tokens, completion_tokens)
    if "logprobs" in CASES[name]:
        for mine, theirs in zip(tokens, choices):
            assert [t.logprob for t in mine] == pytest.approx([t["logprob"] for t in theirs["logprobs"]], abs=1e-6)


def test_both_doors_tell_the_same_of_drafts(api, lookup):
    show = {**fixed(3), "include_usage": True, "include_drafter": True}
    fields = dict(messages=SAY, max_tokens=48, ignore_eos=True)
    answer = ask(lookup, **fields, speculation=show)
    with grpc.insecure_channel(lookup.grpc_target) as channel:
        stub = api[1].InferenceServiceStub(channel)
        _, _, tokens, usage = ask_grpc(api[0], stub, **fields, speculation=show)
        assert not ask_grpc(api[0], stub, **fields, speculation=fixed(3))[3].HasField("speculation")
    used = answer["usage"]["speculation"]
    assert usage.speculation.target_steps == used["target_steps"]
    assert usage.speculation.drafted_tokens == used["drafted_tokens"]
    assert usage.speculation.accepted_tokens == used["accepted_tokens"]
    names = {api[0].DRAFTER_MODEL: "model", api[0].DRAFTER_NGRAM: "ngram", api[0].DRAFTER_PREDICTION: "prediction"}
    assert {names[d.drafter]: {"drafted_tokens": d.drafted_tokens, "accepted_tokens": d.accepted_tokens}
            for d in usage.speculation.drafters} == used["drafters"]
    assert [names.get(t.drafted_by) for t in tokens[0]] == answer["choices"][0]["drafted_by"]
    assert used["accepted_tokens"] > 0


# What is told of drafts

def test_usage_adds_up(pair):
    for case in (dict(), dict(temperature=1, seed=3), dict(n=3, temperature=1, seed=5)):
        answer = ask(pair, **case, ignore_eos=True, speculation={**fixed(4), "include_usage": True,
                                                                 "include_drafter": True})
        used = answer["usage"]["speculation"]
        # Every step of the target gives the drafts it accepts and one token of its own.
        assert used["target_steps"] + used["accepted_tokens"] == answer["usage"]["completion_tokens"]
        assert 0 < used["accepted_tokens"] <= used["drafted_tokens"]
        for count in ("drafted_tokens", "accepted_tokens"):
            assert sum(d[count] for d in used["drafters"].values()) == used[count]
        names = [name for choice in answer["choices"] for name in choice["drafted_by"]]
        assert len(names) == answer["usage"]["completion_tokens"]
        for name, counts in used["drafters"].items():
            assert names.count(name) == counts["accepted_tokens"]


def test_streams_tell_as_much(lookup):
    fields = dict(messages=SAY, logprobs=True, speculation={**fixed(4), "include_usage": True, "include_drafter": True})
    whole, streamed = ask(lookup, **fields), ask_stream(lookup, **fields)
    assert streamed["usage"]["speculation"] == whole["usage"]["speculation"]
    assert streamed["choices"][0]["drafted_by"] == whole["choices"][0]["drafted_by"]
    assert len(streamed["choices"][0]["drafted_by"]) == len(streamed["choices"][0]["logprobs"])


def test_nothing_is_told_unasked(pair):
    answer = ask(pair, speculation=fixed(4))
    assert "speculation" not in answer["usage"] and "drafted_by" not in answer["choices"][0]


def test_counts_end_at_the_stop_string(predictor):
    fields = dict(messages=SAY, ignore_eos=True)
    text = ask(predictor, **fields)["choices"][0]["message"]["content"]
    fields |= dict(prediction={"type": "content", "content": text},
                   speculation={**fixed(8), "include_usage": True, "include_drafter": True})
    full = ask(predictor, **fields)
    cut = ask(predictor, **fields, stop=[text[20:24]])
    used, names = cut["usage"]["speculation"], cut["choices"][0]["drafted_by"]
    assert len(names) == cut["usage"]["completion_tokens"] < full["usage"]["completion_tokens"]
    assert names == full["choices"][0]["drafted_by"][:len(names)]
    assert used["accepted_tokens"] == used["drafted_tokens"] == names.count("prediction") > 0


def test_off_drafts_nothing(pair):
    drafts = "runahead_spec_decode_drafts_total"
    before = pair.metric(drafts), pair.metric("runahead_spec_decode_catch_up_tokens_total")
    answer = ask(pair, messages=SAY, prediction={"type": "content", "content": "the red fox"},
                 speculation={**OFF, "include_usage": True})
    used = answer["usage"]["speculation"]
    assert used == {"target_steps": answer["usage"]["completion_tokens"], "drafted_tokens": 0, "accepted_tokens": 0,
                    "drafters": {}}
    assert (pair.metric(drafts), pair.metric("runahead_spec_decode_catch_up_tokens_total")) == before


def test_the_server_may_leave_it_to_requests():
    with ServerProcess(*SERVE_PAIR, "--speculation", "off", "--draft-tokens", "3") as server:
        assert "speculation: off, up to 3 drafts of " in server.log()
        ask(server)
        assert server.metric("runahead_spec_decode_drafts_total") == 0
        show = {**fixed(9), "include_usage": True}
        used = ask(server, max_tokens=40, ignore_eos=True, speculation=show)["usage"]["speculation"]
        assert 0 < used["drafted_tokens"] <= 3 * used["target_steps"]


# Predicted outputs

def test_a_prediction_that_comes_true(predictor):
    with OpenAI(base_url=f"{predictor.url}/v1", api_key="none", max_retries=0, timeout=120) as client:
        def create(**options):
            return client.chat.completions.create(model="demo", messages=SAY, temperature=0, max_tokens=48, **options)

        text = create().choices[0].message.content
        for content in (text, [{"type": "text", "text": text[:9]}, {"type": "text", "text": text[9:]}]):
            answer = create(prediction={"type": "content", "content": content},
                            extra_body={"speculation": {**fixed(8), "include_usage": True}})
            assert answer.choices[0].message.content == text
            details = answer.usage.completion_tokens_details
            assert details.accepted_prediction_tokens > answer.usage.completion_tokens / 2
            assert answer.usage.speculation["target_steps"] <= answer.usage.completion_tokens / 3
        usage = list(create(prediction={"type": "content", "content": text}, stream=True,
                            stream_options={"include_usage": True}, extra_body={"speculation": fixed(8)}))[-1].usage
        assert usage.completion_tokens_details.accepted_prediction_tokens == details.accepted_prediction_tokens


def test_a_prediction_with_an_edit_finds_its_place_again(predictor):
    fields = dict(messages=SAY, max_tokens=48)
    text = ask(predictor, **fields)["choices"][0]["message"]["content"]
    words = text.split(" ")
    words[3] = "purple"
    answer = ask(predictor, **fields, prediction={"type": "content", "content": " ".join(words)}, speculation=fixed(4))
    assert answer["choices"][0]["message"]["content"] == text
    details = answer["usage"]["completion_tokens_details"]
    assert details["rejected_prediction_tokens"] > 0
    assert details["accepted_prediction_tokens"] > answer["usage"]["completion_tokens"] / 3


def test_a_prediction_over_grpc(api, predictor):
    pb = api[0]
    text = ask(predictor, messages=SAY)["choices"][0]["message"]["content"]
    over_http = ask(predictor, messages=SAY, prediction={"type": "content", "content": text}, speculation=fixed(8))
    with grpc.insecure_channel(predictor.grpc_target) as channel:
        texts, _, _, usage = ask_grpc(pb, api[1].InferenceServiceStub(channel), messages=SAY, prediction=text,
                                      speculation=fixed(8))
    assert texts == [text]
    details = over_http["usage"]["completion_tokens_details"]
    assert usage.accepted_prediction_tokens == details["accepted_prediction_tokens"] > 0
    assert usage.rejected_prediction_tokens == details["rejected_prediction_tokens"]


# Errors

@pytest.mark.parametrize("speculation, param", [
    ({"mode": "fast"}, "speculation.mode"),
    ({"mode": "fixed"}, "speculation.max_tokens"),
    ({"max_tokens": 17}, "speculation.max_tokens"),
    ({"max_tokens": -1}, "speculation.max_tokens"),
])
def test_errors_name_the_parameter_at_both_doors(api, stub, pair, speculation, param):
    answer = http.post(f"{pair.url}/v1/chat/completions",
                       json={"model": "demo", "messages": COUNT, "speculation": speculation})
    assert answer.status_code == 400 and answer.json()["error"]["param"] == param
    request = grpc_request(api[0], speculation={k: v for k, v in speculation.items() if v != "fast"})
    if speculation.get("mode") == "fast":
        request.options.speculation.mode = 9
    with pytest.raises(grpc.RpcError) as error:
        list(stub.Chat(request))
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert error.value.details() == answer.json()["error"]["message"]


# Metrics

def test_metrics_are_what_the_answers_say(pair):
    def scrape():
        metrics = pair.metrics()
        assert_metrics_reconcile(metrics)
        return metrics

    def moved(name, **labels):
        wanted = [f'{k}="{v}"' for k, v in labels.items()]
        return sum(after[series] - before[series] for series in after
                   if series.split("{")[0] == f"runahead_spec_decode_{name}" and all(w in series for w in wanted))

    before = scrape()
    answers = [ask(pair, **case, ignore_eos=True, speculation={**fixed(4), "include_usage": True})
               for case in (dict(), dict(messages=SAY), dict(temperature=1, seed=1, n=2))]
    after = scrape()
    for name in ("model", "ngram", "prediction"):
        for count in ("drafted_tokens", "accepted_tokens"):
            used = sum(a["usage"]["speculation"]["drafters"].get(name, {}).get(count, 0) for a in answers)
            assert moved(count.replace("drafted", "draft") + "_total", drafter=name) == used, (name, count)
        for count in ("draft_tokens", "accepted_tokens"):
            assert moved(f"{count}_per_position_total", drafter=name) == moved(f"{count}_total", drafter=name)
        assert moved("acceptance_length_tokens_count", drafter=name) == moved("drafts_total", drafter=name)
        assert moved("acceptance_length_tokens_sum", drafter=name) == moved("accepted_tokens_total", drafter=name)
    steps = sum(a["usage"]["speculation"]["target_steps"] for a in answers)
    assert moved("tokens_per_step_count") == steps
    assert moved("tokens_per_step_sum") == sum(a["usage"]["completion_tokens"] for a in answers)
    assert moved("catch_up_tokens_total") > 0
    assert 0 < moved("verify_seconds_count") <= steps and moved("verify_seconds_sum") > 0
    assert 0 < moved("draft_seconds_count") <= steps and moved("draft_seconds_sum") > 0


# Start-up and commands

def test_start_up_says_what_speculation_is_on(pair, alone):
    line = next(line for line in pair.log().splitlines() if line.startswith("speculation: "))
    assert re.search(r"auto, up to 16 drafts of .*model.*coupled; draft model \S+draft, [\d.]+ K weights.*"
                     r"one of its steps costs \d\.\d\d of the model's", line), line
    assert "speculation: none" in alone.log()


def test_another_vocabulary_is_refused_at_start(tmp_path):
    shutil.copytree(DRAFT_MODEL, tmp_path / "draft")
    tokenizer = json.loads((tmp_path / "draft/tokenizer.json").read_text())
    vocab = tokenizer["model"]["vocab"]
    first, second = (next(word for word, i in vocab.items() if i == wanted) for wanted in (900, 901))
    vocab[first], vocab[second] = 901, 900
    (tmp_path / "draft/tokenizer.json").write_text(json.dumps(tokenizer))
    run = subprocess.run([BINARY, "serve", "--model", DEMO_MODEL, "--draft-model", tmp_path / "draft", "--http-port",
                          "0", "--grpc-port", "0"], capture_output=True, text=True, timeout=120)
    assert run.returncode == 1
    assert re.search(r"id 900 is \".*\" to the draft and \".*\" to the model", run.stderr), run.stderr


def test_plan_and_inspect_show_the_pair():
    def output(*arguments):
        return subprocess.run([BINARY, *arguments], check=True, capture_output=True, text=True, cwd=ROOT).stdout

    plan = output("plan", "--model", DEMO_MODEL, "--draft-model", DRAFT_MODEL)
    sizes = {label: int(size) for label, size in re.findall(r"^(.{15}) +(\d+) bytes", plan, re.M)}
    sizes = {label.strip(): size for label, size in sizes.items()}
    assert sizes.pop("total") == sum(sizes.values())
    assert {"weights", "KV cache", "workspace", "draft weights", "draft KV cache", "draft workspace"} == set(sizes)
    inspected = output("inspect", str(DEMO_MODEL), "--draft-model", str(DRAFT_MODEL))
    assert "the pair has one vocabulary" in inspected


def test_chat_runs_the_pair():
    run = subprocess.run([BINARY, "chat", "--config", "configs/demo.json", "--temperature", "0", "--max-tokens", "24",
                          "--counts"],
                         input="What is the opposite of hot?\n", capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert run.returncode == 0, run.stderr
    assert "draft model models/demo/draft" in run.stderr
    assert re.search(r"\[\d+ tokens in \d+ steps of the model", run.stdout), run.stdout
