"""The gRPC door, spoken to with grpcio, and side by side with HTTP: same tokens, usage, errors and metrics."""

import signal
import socket
import threading

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

import patient_http as http
from server_process import ENDLESS_TOKENS, ServerProcess, assert_metrics_reconcile, endless_flags, wait_until

QUESTION = [{"role": "user", "content": "What is the opposite of hot?"}]


@pytest.fixture
def stub(api, server):
    with grpc.insecure_channel(server.grpc_target) as channel:
        yield api[1].InferenceServiceStub(channel)


def chat_request(pb, messages=None, **options):
    sampling = {k: options.pop(k) for k in list(options) if k in pb.SamplingOptions.DESCRIPTOR.fields_by_name}
    return pb.ChatRequest(messages=[pb.Message(**m) for m in (QUESTION if messages is None else messages)],
                          options=pb.GenerationOptions(sampling=pb.SamplingOptions(**sampling), **options))


def collect(stream, n=1):
    """(texts, token ids, finish reasons) by choice, and the usage."""
    texts, tokens, reasons, usage = [""] * n, [[] for _ in range(n)], [0] * n, None
    for message in stream:
        if message.HasField("usage"):
            usage = message.usage
            continue
        assert usage is None, "usage must come last"
        texts[message.index] += message.text
        tokens[message.index] += [t.id for t in message.tokens]
        reasons[message.index] = message.finish_reason or reasons[message.index]
    return texts, tokens, reasons, usage


def http_chat(server, **fields):
    body = {"model": model_name(server), "messages": QUESTION, **fields}
    return http.post(f"{server.url}/v1/chat/completions", json=body)


def model_name(server):
    return http.get(f"{server.url}/v1/models").json()["data"][0]["id"]


SETTINGS = [
    dict(temperature=0, max_tokens=24),
    dict(temperature=1, seed=7, max_tokens=24),
    dict(temperature=0.8, seed=3, top_p=0.9, top_k=40, max_tokens=16),
    dict(temperature=1, seed=11, n=3, max_tokens=12),
    dict(temperature=0, max_tokens=32, stop=["."]),
    dict(temperature=1, seed=5, presence_penalty=0.5, frequency_penalty=0.5, repetition_penalty=1.1, max_tokens=16),
    dict(temperature=0, max_tokens=8, ignore_eos=True, min_tokens=8),
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_same_answer_through_both_doors(api, stub, server, settings):
    n = settings.get("n", 1)
    texts, _, reasons, usage = collect(stub.Chat(chat_request(api[0], **settings)), n)
    answer = http_chat(server, **settings).json()
    assert texts == [choice["message"]["content"] for choice in answer["choices"]]
    names = {api[0].FINISH_REASON_STOP: "stop", api[0].FINISH_REASON_LENGTH: "length"}
    assert [names[r] for r in reasons] == [choice["finish_reason"] for choice in answer["choices"]]
    assert (usage.prompt_tokens, usage.completion_tokens) == (
        answer["usage"]["prompt_tokens"], answer["usage"]["completion_tokens"])


def test_logprobs_equal_those_of_http(api, stub, server):
    settings = dict(temperature=0, max_tokens=6)
    messages = [m for m in stub.Chat(chat_request(api[0], logprobs=3, **settings))]
    tokens = [t for m in messages for t in m.tokens]
    content = http_chat(server, logprobs=True, top_logprobs=3, **settings).json()["choices"][0]["logprobs"]["content"]
    assert len(tokens) == len(content) > 0
    for mine, theirs in zip(tokens, content):
        assert mine.logprob == pytest.approx(theirs["logprob"], abs=1e-6)
        assert [t.logprob for t in mine.top] == pytest.approx([t["logprob"] for t in theirs["top_logprobs"]], abs=1e-6)


def test_generate_from_text_and_from_its_token_ids_agree(api, stub):
    pb = api[0]
    ids = stub.Tokenize(pb.TokenizeRequest(text="The opposite of hot is")).ids
    assert len(ids) > 0
    options = pb.GenerationOptions(max_tokens=8, sampling=pb.SamplingOptions(temperature=0))
    from_text = collect(stub.Generate(pb.GenerateRequest(text="The opposite of hot is", options=options)))
    from_ids = collect(stub.Generate(pb.GenerateRequest(tokens=pb.TokenIds(ids=ids), options=options)))
    assert from_text[:3] == from_ids[:3]


def test_tokenize_and_detokenize_are_inverse(api, stub, server):
    pb = api[0]
    text = "Grüße, 你好 🙂!"
    ids = stub.Tokenize(pb.TokenizeRequest(text=text, add_special_tokens=False)).ids
    assert stub.Detokenize(pb.DetokenizeRequest(ids=ids)).text == text
    answer = http.post(f"{server.url}/tokenize", json={"prompt": text, "add_special_tokens": False}).json()
    assert list(ids) == answer["tokens"]


def test_list_models(api, stub, server):
    models = stub.ListModels(api[0].ListModelsRequest()).models
    assert [m.id for m in models] == [m["id"] for m in http.get(f"{server.url}/v1/models").json()["data"]]


ERRORS = [
    (dict(temperature=3.0), grpc.StatusCode.INVALID_ARGUMENT, 400, "temperature"),
    (dict(top_p=1.5), grpc.StatusCode.INVALID_ARGUMENT, 400, "top_p"),
    (dict(n=1000), grpc.StatusCode.INVALID_ARGUMENT, 400, "n"),
    (dict(max_tokens=0), grpc.StatusCode.INVALID_ARGUMENT, 400, "max_tokens"),
    (dict(temperature=float("nan")), grpc.StatusCode.INVALID_ARGUMENT, None, "temperature"),
]


@pytest.mark.parametrize("options,code,http_status,param", ERRORS, ids=str)
def test_errors_match_those_of_http(api, stub, server, options, code, http_status, param):
    with pytest.raises(grpc.RpcError) as error:
        collect(stub.Chat(chat_request(api[0], **options)))
    assert error.value.code() == code
    assert param in error.value.details()
    if http_status is not None:
        answer = http_chat(server, **options)
        assert answer.status_code == http_status
        assert answer.json()["error"]["message"] == error.value.details()


def test_wrong_model_is_not_found(api, stub):
    request = chat_request(api[0])
    request.model = "nobody"
    with pytest.raises(grpc.RpcError) as error:
        collect(stub.Chat(request))
    assert error.value.code() == grpc.StatusCode.NOT_FOUND


def test_no_messages_and_unknown_roles_are_refused(api, stub):
    for messages in ([], [{"role": "wizard", "content": "hi"}]):
        with pytest.raises(grpc.RpcError) as error:
            collect(stub.Chat(chat_request(api[0], messages=messages)))
        assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_too_long_a_prompt_is_refused(api, stub):
    pb = api[0]
    with pytest.raises(grpc.RpcError) as error:
        collect(stub.Generate(pb.GenerateRequest(text="word " * 100_000)))
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT


@pytest.fixture
def endless_stub(api, endless):
    with grpc.insecure_channel(endless.grpc_target) as channel:
        yield api[1].InferenceServiceStub(channel)


def endless_request(pb, **options):
    return chat_request(pb, **{"max_tokens": ENDLESS_TOKENS, "ignore_eos": True, "temperature": 1, "seed": 1, **options})


def in_flight(server):
    return server.metric("runahead_requests_running") + server.metric("runahead_requests_waiting")


def test_cancelling_stops_the_work(api, endless_stub, endless):
    before = endless.metric("runahead_requests_cancelled_total")
    stream = endless_stub.Chat(endless_request(api[0]))
    next(stream)
    stream.cancel()
    wait_until(lambda: endless.metric("runahead_requests_cancelled_total") == before + 1, "counted as cancelled")
    wait_until(lambda: in_flight(endless) == 0, "nothing runs")


def test_deadline_reaches_the_scheduler(api, endless_stub, endless):
    """The client's clock ends the call too, perhaps before the server's or before the request is there: then again."""
    for timeout in [0.15] * 10 + [1, 5, 25]:
        before = endless.metric("runahead_requests_expired_total")
        with pytest.raises(grpc.RpcError) as error:
            collect(endless_stub.Chat(endless_request(api[0]), timeout=timeout))
        assert error.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        wait_until(lambda: in_flight(endless) == 0, "nothing runs")
        if endless.metric("runahead_requests_expired_total") == before + 1:
            return
    pytest.fail("no request was ever counted as expired")


def test_many_streams_at_once_agree_with_one_alone(api, server):
    pb, pb_grpc = api
    with grpc.insecure_channel(server.grpc_target) as channel:
        stub = pb_grpc.InferenceServiceStub(channel)
        open_question = [{"role": "user", "content": "Tell me a story."}]  # one with many answers
        alone = collect(stub.Chat(chat_request(pb, open_question, temperature=1, seed=42, max_tokens=24)))[0]
        answers, failures = [], []

        def run(seed):
            try:
                request = chat_request(pb, open_question, temperature=1, seed=seed, max_tokens=24)
                answers.append((seed, collect(stub.Chat(request))[0]))
            except grpc.RpcError as error:
                failures.append(error)

        threads = [threading.Thread(target=run, args=(seed,)) for seed in range(32, 64)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not failures
    assert dict((seed, text) for seed, text in answers)[42] == alone
    assert len({tuple(text) for _, text in answers}) > 1, "seeds must matter"


def test_health_and_reflection(server):
    with grpc.insecure_channel(server.grpc_target) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for name in ("", "runahead.v1.InferenceService"):
            assert health.Check(health_pb2.HealthCheckRequest(service=name)).status == 1
        with pytest.raises(grpc.RpcError) as error:
            health.Check(health_pb2.HealthCheckRequest(service="nobody"))
        assert error.value.code() == grpc.StatusCode.NOT_FOUND
        services = ProtoReflectionDescriptorDatabase(channel).get_services()
        assert "runahead.v1.InferenceService" in services and "grpc.health.v1.Health" in services


def test_metrics_reconcile_after_all_this(server):
    assert_metrics_reconcile(server.metrics())


def test_no_call_outlives_its_cancel(api):
    """A cancel may cross the write that is under way. A call that were never done would keep the server from ending."""
    pb, pb_grpc = api
    with ServerProcess() as server:
        def cancel_many(seed):
            with grpc.insecure_channel(server.grpc_target) as channel:
                stub = pb_grpc.InferenceServiceStub(channel)
                for i in range(50):
                    stream = stub.Chat(chat_request(pb, max_tokens=60, ignore_eos=True, temperature=1, seed=seed))
                    for _ in range(i % 7 + 1):
                        next(stream)
                    stream.cancel()

        threads = [threading.Thread(target=cancel_many, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert server.terminate() == 0


def test_api_keys(api):
    pb, pb_grpc = api
    with ServerProcess("--api-key", "secret") as server, grpc.insecure_channel(server.grpc_target) as channel:
        stub = pb_grpc.InferenceServiceStub(channel)
        for metadata in ((), (("authorization", "Bearer wrong"),)):
            with pytest.raises(grpc.RpcError) as error:
                stub.ListModels(pb.ListModelsRequest(), metadata=metadata)
            assert error.value.code() == grpc.StatusCode.UNAUTHENTICATED
        assert stub.ListModels(pb.ListModelsRequest(), metadata=(("authorization", "Bearer secret"),)).models
        health = health_pb2_grpc.HealthStub(channel)
        assert health.Check(health_pb2.HealthCheckRequest()).status == 1


def test_sigterm_finishes_streams_and_exits_0(api, endless_model):
    pb, pb_grpc = api
    flags = endless_flags("--drain-timeout-ms", "3600000")
    with ServerProcess(*flags, model=endless_model) as server, grpc.insecure_channel(server.grpc_target) as channel:
        stub = pb_grpc.InferenceServiceStub(channel)
        stream = stub.Chat(endless_request(pb, max_tokens=1000))
        first = next(stream)
        code = []
        waiter = threading.Thread(target=lambda: code.append(server.terminate()))
        waiter.start()
        rest = collect(stream)
        channel.close()  # an idle grpcio channel hears of the server's end only every 5 s
        waiter.join()
    assert code == [0]
    assert rest[3].completion_tokens == 1000
    assert len(first.tokens) + len(rest[1][0]) == 1000


def test_a_draining_server_turns_new_calls_away(api, endless_model):
    """A door that stays open to say no would get all calls of a balancer that looks for the fewest under way."""
    pb, pb_grpc = api
    flags = endless_flags("--drain-timeout-ms", "3600000")
    with ServerProcess(*flags, model=endless_model) as server, grpc.insecure_channel(server.grpc_target) as channel:
        statuses = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert next(statuses).status == health_pb2.HealthCheckResponse.SERVING
        stub = pb_grpc.InferenceServiceStub(channel)
        stream = stub.Chat(endless_request(pb))
        next(stream)
        server.process.send_signal(signal.SIGTERM)
        assert next(statuses).status == health_pb2.HealthCheckResponse.NOT_SERVING
        host, port = server.grpc_target.split(":")

        def is_refused() -> bool:
            try:
                socket.create_connection((host, int(port)), timeout=5).close()
                return False
            except ConnectionRefusedError:
                return True

        wait_until(is_refused, "closed to new connections")
        codes = []

        def is_unavailable() -> bool:
            with pytest.raises(grpc.RpcError) as error:
                stub.ListModels(pb.ListModelsRequest())
            codes.append(error.value.code())
            return codes[-1] == grpc.StatusCode.UNAVAILABLE

        # Until this channel has heard that the server goes, its calls are cancelled.
        wait_until(is_unavailable, "unavailable")
        assert set(codes) <= {grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE}
        next(stream)  # what runs goes on
        stream.cancel()
        # Who watches health does not keep the server for the hour that a drain may take.
        assert server.process.wait(timeout=60) == 0
