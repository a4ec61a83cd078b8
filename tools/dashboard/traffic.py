"""Mixed traffic for a server, so that every panel has something to show: chats of many kinds, long shared beginnings,
streams that clients leave, deadlines that pass, requests that are refused."""

import random
import ssl
import threading
import time

import httpx

QUESTIONS = ["Count from 3 to 9.", "What is the opposite of hot?", "What is 37 plus 45?", "What is the capital of France?",
             "Spell the word elephant.", "Tell me a short story.", "Name three colours.", "What is 12 times 3?"]
LINES = [f"Line {i}: the red fox and the old dog sat by the river, and the red fox sang song {i}." for i in range(20)]
COPY = "Say this again: the red fox and the old dog sat by the river and the red fox sang."
WEIGHTS = {"ask": 12, "copy": 5, "shared_beginning": 6, "sample": 5, "choices": 2, "leave": 2, "too_late": 1, "refused": 1}


class Traffic:
    """Threads that each ask one thing after another. Leave the `with` block to end them; what they have begun is finished."""

    def __init__(self, url: str, model: str, num_clients: int, seed: int = 0):
        self._url, self._model, self._seed = url, model, seed
        self._pause = 0.0
        self._is_over = threading.Event()
        self._active = 0
        self._threads = [threading.Thread(target=self._client, args=(i,)) for i in range(num_clients)]
        self._lock = threading.Lock()  # of num_sent
        self.num_sent = {name: 0 for name in WEIGHTS}
        self.unexpected: list[str] = []  # answers nobody should get, and what broke

    def __enter__(self) -> "Traffic":
        self.set_load(len(self._threads))
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def set_load(self, num_clients: int, pause_s: float = 0) -> None:
        """The first so many clients ask, the others rest; each waits so long between two requests."""
        self._active, self._pause = num_clients, pause_s

    def _client(self, number: int) -> None:
        dice = random.Random(f"{self._seed} {number}")
        verify = ssl.create_default_context() if self._url.startswith("https") else False
        with httpx.Client(base_url=self._url, timeout=120, verify=verify) as client:
            while not self._is_over.is_set():
                if number >= self._active:
                    time.sleep(0.05)
                    continue
                kind = dice.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
                try:
                    getattr(self, "_" + kind)(client, dice)
                except httpx.HTTPError as error:
                    self.unexpected.append(f"{kind}: {error!r}")
                with self._lock:
                    self.num_sent[kind] += 1
                self._is_over.wait(self._pause * dice.uniform(0.5, 1.5))

    def _chat(self, content: str, **fields) -> dict:
        return {"model": self._model, "messages": [{"role": "user", "content": content}], "temperature": 0,
                "max_tokens": 48, **fields}

    def _post(self, client: httpx.Client, body: dict, *expected: int) -> None:
        answer = client.post("/v1/chat/completions", json=body)
        if answer.status_code == 429:  # a full queue is an answer too
            self._is_over.wait(float(answer.headers["Retry-After"]))
        elif answer.status_code not in (expected or (200,)):
            self.unexpected.append(f"{answer.status_code}: {answer.text[:200]}")

    def _ask(self, client: httpx.Client, dice: random.Random) -> None:
        self._post(client, self._chat(dice.choice(QUESTIONS)))

    def _copy(self, client: httpx.Client, dice: random.Random) -> None:
        self._post(client, self._chat(COPY, max_tokens=dice.randint(24, 64)))

    def _shared_beginning(self, client: httpx.Client, dice: random.Random) -> None:
        self._post(client, self._chat("\n".join(LINES) + f"\n{dice.choice(QUESTIONS)}", max_tokens=32))

    def _sample(self, client: httpx.Client, dice: random.Random) -> None:
        self._post(client, self._chat(dice.choice(QUESTIONS), temperature=1.2, seed=dice.randrange(1 << 30),
                                      max_tokens=dice.randint(16, 96), ignore_eos=True))

    def _choices(self, client: httpx.Client, dice: random.Random) -> None:
        self._post(client, self._chat(dice.choice(QUESTIONS), temperature=1, n=3, max_tokens=24))

    def _leave(self, client: httpx.Client, dice: random.Random) -> None:
        body = self._chat("Tell me a short story.", stream=True, max_tokens=600, ignore_eos=True)
        with client.stream("POST", "/v1/chat/completions", json=body) as answer:
            for _ in zip(range(dice.randint(2, 8)), answer.iter_lines()):
                pass

    def _too_late(self, client: httpx.Client, dice: random.Random) -> None:
        body = self._chat(dice.choice(QUESTIONS), timeout=0.002, max_tokens=400, ignore_eos=True)
        self._post(client, body, 504)

    def _refused(self, client: httpx.Client, dice: random.Random) -> None:
        wrong = {400: {"temperature": -1}, 404: {"model": "nobody"}}
        status = dice.choice(list(wrong))
        self._post(client, self._chat("Hello") | wrong[status], status)
