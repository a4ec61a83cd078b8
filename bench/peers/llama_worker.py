"""llama.cpp through llama-cpp-python: answers measurements as `runahead bench steps --measure -` does.

    DIR/venv/bin/python bench/peers/llama_worker.py MODEL.gguf THREADS

One line of JSON says what it is, then each line of standard input ("decode ROWS CONTEXT REPEATS", "verify ..",
"prefill ..") is answered by one more. A step is one llama_decode and, as in llama.cpp's own benches, nobody samples.
"""

import ctypes
import json
import sys
import time

import llama_cpp as lc

KEPT_FROM = 1024  # tokens of context
MAX_STEP = 2048  # tokens of one llama_decode, as the tools have it by default; inside it works in batches of 512


@lc.llama_log_callback
def _say_nothing(level, text, user_data):
    del level, text, user_data


class Context:
    """Enough cache for one measurement, as llama-batched-bench makes it: each sequence has its own stream."""

    def __init__(self, model, threads: int, sequences: int, tokens_each: int):
        params = lc.llama_context_default_params()
        params.n_ctx = sequences * (-(-tokens_each // 256) * 256)
        params.n_batch = MAX_STEP
        params.n_seq_max = sequences
        params.n_threads = params.n_threads_batch = threads
        params.no_perf = True
        self._context = lc.llama_init_from_model(model, params)
        if not self._context:
            raise MemoryError(f"llama.cpp gave no context of {params.n_ctx} tokens")
        self._memory = lc.llama_get_memory(self._context)
        self._batch = lc.llama_batch_init(MAX_STEP, 0, 1)
        self._vocab = lc.llama_vocab_n_tokens(lc.llama_model_get_vocab(model))
        self._filled = 0  # tokens of sequence 0

    def close(self) -> None:
        lc.llama_batch_free(self._batch)
        lc.llama_free(self._context)

    def run(self, rows: list[tuple[int, int, bool]]) -> None:
        """One step. Each row is (sequence, position, wants logits)."""
        batch = self._batch
        batch.n_tokens = len(rows)
        for i, (sequence, position, wants_logits) in enumerate(rows):
            batch.token[i] = i * 7919 % self._vocab
            batch.pos[i] = position
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = sequence
            batch.logits[i] = wants_logits
        if lc.llama_decode(self._context, batch) != 0:
            raise RuntimeError("llama_decode failed")
        lc.llama_synchronize(self._context)

    def fill(self, tokens: int) -> None:
        """Sequence 0, as far as it was not before."""
        for begin in range(self._filled, tokens, MAX_STEP):
            end = min(tokens, begin + MAX_STEP)
            self.run([(0, position, position == end - 1) for position in range(begin, end)])
        self._filled = tokens

    def forget(self, sequence: int, position: int) -> None:
        if not lc.llama_memory_seq_rm(self._memory, sequence, position, -1):
            raise RuntimeError("llama_memory_seq_rm failed")

    def copy(self, source: int, target: int) -> None:
        lc.llama_memory_seq_cp(self._memory, source, target, -1, -1)


def timed(body) -> float:
    start = time.perf_counter()
    body()
    return time.perf_counter() - start


def decode(context: Context, rows: int, past: int, repeats: int) -> list[float]:
    context.fill(past)
    for sequence in range(1, rows):
        context.copy(0, sequence)
    seconds = []
    for position in [past, *range(past, past + repeats)]:  # the first is not counted
        step = [(sequence, position, True) for sequence in range(rows)]
        for sequence in range(rows):
            context.forget(sequence, position)
        seconds.append(timed(lambda step=step: context.run(step)))
    return seconds[1:]


def verify(context: Context, rows: int, past: int, repeats: int) -> list[float]:
    context.fill(past)
    seconds = []
    for _ in range(repeats + 1):
        context.forget(0, past)
        seconds.append(timed(lambda: context.run([(0, past + i, True) for i in range(rows)])))
    return seconds[1:]


def prefill(context: Context, rows: int, past: int, repeats: int) -> list[float]:
    context.fill(past)
    steps = []
    for begin in range(past, past + rows, MAX_STEP):
        end = min(past + rows, begin + MAX_STEP)
        steps.append([(0, position, position == past + rows - 1) for position in range(begin, end)])
    seconds = []
    for i in range(repeats + 1):
        context.forget(0, past)
        if i == 0:
            context.run(steps[0][:1])  # warms up as llama-bench's first run does, but cheaper
            context.forget(0, past)
        else:
            seconds.append(timed(lambda: [context.run(step) for step in steps]))
    return seconds


KINDS = {"decode": decode, "verify": verify, "prefill": prefill}


def answer(model, threads: int, line: str, kept: dict[str, Context]) -> dict:
    """`kept` holds contexts that took long to fill, for when their line comes again."""
    kind, rows, past, repeats = line.split()
    rows, past, repeats = int(rows), int(past), int(repeats)
    sequences = rows if kind == "decode" else 1
    tokens_each = past + (repeats if kind == "decode" else rows)
    context = kept.pop(line, None) or Context(model, threads, sequences, tokens_each)
    seconds = KINDS[kind](context, rows, past, repeats)
    if past >= KEPT_FROM:
        kept[line] = context
    else:
        context.close()
    return {"measured": line, "tokens_per_second": rows * repeats / sum(seconds),
            "median_ms": sorted(seconds)[len(seconds) // 2] * 1e3}


def main(path: str, threads: int) -> None:
    lc.llama_log_set(_say_nothing, ctypes.c_void_p(0))
    lc.llama_backend_init()
    model = lc.llama_model_load_from_file(path.encode(), lc.llama_model_default_params())
    if not model:
        raise SystemExit(f"llama.cpp does not load {path}")
    print(json.dumps({"measured": "model", "version": f"llama-cpp-python {lc.__version__}",
                      "device": lc.llama_print_system_info().decode(), "threads": threads}), flush=True)
    kept: dict[str, Context] = {}
    for line in sys.stdin:
        try:
            result = answer(model, threads, line.strip(), kept)
        except (KeyError, ValueError, RuntimeError, MemoryError) as error:
            result = {"error": f"{line.strip()}: {error!r}"}
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
