"""The page at / in a real browser: what people see, type, stop, and are told when the server goes away."""

import json
import random
import shutil
import signal
import socket
from contextlib import contextmanager

import httpx
import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

import page_checks
from server_process import DEMO_MODEL, ServerProcess, wait_until

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
KEY = "a key for tests"

pytestmark = pytest.mark.skipif(CHROMIUM is None or DRIVER is None, reason="no chromium and chromium-driver here")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--window-size=1280,900",
                 "--force-prefers-reduced-motion", f"--user-data-dir={tmp_path_factory.mktemp('browser')}",
                 "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"):  # neither page nor browser gets further
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def demo():
    with ServerProcess("--draft-model", str(DEMO_MODEL.parent / "draft"), "--served-model-name", "demo") as process:
        yield process


class Page:
    """The page in one browser, with the words of its users. Every wait is for a condition."""

    def __init__(self, driver, url: str):
        self.driver = driver
        self.url = url
        driver.get(url + "/page/icon.svg")  # of the same origin, and without scripts that would write again
        driver.execute_script("sessionStorage.clear(); localStorage.clear()")
        driver.get_log("browser")
        self.load()

    def load(self) -> None:
        self.driver.get(self.url + "/")
        self.wait(lambda: self.text("#connection") != "Connecting", "connected")

    def wait(self, condition, what: str) -> None:
        wait_until(condition, what, pause_s=0.05)  # looking costs the browser more than the page does

    def find(self, selector: str):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def count(self, selector: str) -> int:
        return self.script("return document.querySelectorAll(arguments[0]).length", selector)

    def text(self, selector: str) -> str:
        return self.script("return document.querySelector(arguments[0])?.textContent ?? ''", selector)

    def is_shown(self, selector: str) -> bool:
        return self.script("return document.querySelector(arguments[0]).checkVisibility()", selector)

    def script(self, code: str, *arguments):
        return self.driver.execute_script(code, *arguments)

    def set_field(self, name: str, value: str) -> None:
        field = self.find(f"#{name}")
        field.clear()
        field.send_keys(value)

    def say(self, text: str) -> None:
        self.find("#prompt").send_keys(text, Keys.ENTER)

    def ask(self, text: str) -> str:
        """Sends, and waits for the whole answer."""
        before = self.count(".answer")
        self.say(text)
        self.wait(lambda: self.count(".answer") == before + 1 and self.count(".answer.busy") == 0, "answered")
        return self.text(".answer:last-child .answer-text")

    def facts(self) -> dict[str, tuple[str, str]]:
        """What stands under the last answer: name to (value, explanation)."""
        return {name: (value, title) for name, value, title in self.script(
            "return [...document.querySelectorAll('.answer:last-child .fact')].map("
            "f => [f.children[0].textContent, f.children[1].textContent, f.title])")}

    def complaints(self) -> list[str]:
        """What the browser logged as wrong, requests without an answer aside: those the tests cause."""
        return [entry["message"] for entry in self.driver.get_log("browser")
                if entry["level"] == "SEVERE" and "Failed to load resource" not in entry["message"]]


@pytest.fixture
def page(browser, demo):
    page = Page(browser, demo.url)
    page.wait(lambda: page.text("#connection") == "Serving", "served")
    yield page
    assert page.complaints() == []


def chat(server, text: str, **fields) -> dict:
    answer = httpx.post(f"{server.url}/v1/chat/completions", timeout=120, json={
        "model": "demo", "messages": [{"role": "user", "content": text}], **fields})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_an_answer_streams_in_and_is_that_of_the_api(page, demo):
    page.set_field("temperature", "0")
    page.script("""
        window.lengths = new Set();
        new MutationObserver(() => lengths.add(document.querySelector('.answer-text')?.textContent.length ?? 0))
            .observe(document.getElementById('turns'), {childList: true, subtree: true, characterData: true});""")
    prompt = page.find("#prompt")
    prompt.send_keys("Count from", Keys.SHIFT, Keys.ENTER, Keys.NULL, "1 to 30.")
    assert prompt.get_attribute("value") == "Count from\n1 to 30." and page.count(".turn") == 0
    prompt.clear()
    text = page.ask("Count from 1 to 30.")
    assert text == chat(demo, "Count from 1 to 30.", temperature=0)["choices"][0]["message"]["content"]
    assert page.text(".question p") == "Count from 1 to 30."
    assert page.script("return lengths.size") > 5, "it grew before the reader's eyes"
    facts = page.facts()
    assert "end" not in facts and facts["first token"][0].endswith("s")
    assert int(facts["speed"][0].split()[0]) > 0
    assert page.text("#announcer") == f"Answer complete, {facts['tokens'][0]} tokens"


def test_drafted_tokens_are_told_from_the_models_own(page):
    page.set_field("temperature", "0")
    page.find("input[value=fixed]").click()
    page.ask("Count from 1 to 30.")
    facts = page.facts()
    accepted, drafted = (int(word) for word in facts["accepted"][1].split() if word.isdigit())
    num_drafted = page.count(".token.by-model") + page.count(".token.by-ngram")
    assert 0 < num_drafted == accepted <= drafted
    assert num_drafted + page.count(".token.by-target") == int(facts["tokens"][0])
    tints = page.script("return ['model', 'target'].map(by => "
                        "getComputedStyle(document.querySelector(`.by-${by} .ink`)).backgroundColor)")
    assert tints[0] != tints[1] == "rgba(0, 0, 0, 0)"
    page.find("input[name=colours]").click()
    assert page.script("return getComputedStyle(document.querySelector('.by-model .ink')).backgroundColor") == tints[1]

    page.find("input[name=colours]").click()
    page.find("input[value=off]").click()
    page.ask("Count from 1 to 30.")
    assert page.count(".answer:last-child .token.by-target") == page.count(".answer:last-child .token") > 30
    assert "accepted" not in page.facts()


def test_a_token_tells_how_likely_it_was(page, demo):
    page.set_field("temperature", "0")
    page.ask("Name three animals.")
    answer = chat(demo, "Name three animals.", temperature=0, logprobs=True, top_logprobs=5)
    said = answer["choices"][0]["logprobs"]["content"]
    ActionChains(page.driver).move_to_element(page.find(".token:nth-child(3)")).perform()
    page.wait(lambda: page.is_shown("#inspector"), "shown")
    shown = page.script("return [...document.querySelectorAll('.likely-token')].map(e => e.textContent)")
    assert [text.replace("\u2423", " ").replace("\u23ce", "\n") for text in shown] == \
        [top["token"] for top in said[2]["top_logprobs"]] and len(shown) == 5
    assert page.text(".inspector-logprob") == f"logprob {said[2]['logprob']:.3f}".replace("-0.000", "0.000")
    assert page.text(".likely.chosen .likely-share") == page.text(".inspector-head strong")
    ActionChains(page.driver).move_to_element(page.find("#prompt")).perform()
    page.wait(lambda: not page.is_shown("#inspector"), "hidden")

    answer = page.find(".answer-text")
    answer.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert page.is_shown("#inspector") and page.script(
        "return document.querySelector('.looked-at') === document.querySelectorAll('.token')[1]")
    assert "%" in page.text("#announcer")
    answer.send_keys(Keys.ESCAPE)
    assert not page.is_shown("#inspector")


def test_copy_regenerate_reload_and_a_new_chat(page):
    page.set_field("temperature", "0")
    text = page.ask("Count from 1 to 30.")
    page.driver.execute_cdp_cmd("Browser.grantPermissions",
                                {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]})
    page.find(".actions button").click()
    page.wait(lambda: page.text(".actions button") == "Copied", "copied")
    assert page.driver.execute_async_script("navigator.clipboard.readText().then(arguments[0])") == text

    old = page.find(".answer")
    page.find(".regenerate").click()
    page.wait(lambda: page.count(".answer:not(.busy)") == 1 and page.find(".answer") != old, "answered again")
    assert page.text(".answer-text") == text and page.count(".question") == 1

    num_tokens, facts = page.count(".token"), page.facts()
    page.load()
    assert page.text(".answer-text") == text and page.count(".token") == num_tokens and page.facts() == facts
    assert page.find("#temperature").get_attribute("value") == "0", "parameters are remembered too"
    page.set_field("max_tokens", "20")
    page.ask("And from 31 to 40?")
    assert page.count(".turn") == 4
    page.find("#new-chat").click()
    page.wait(lambda: page.is_shown("#welcome"), "a fresh start")
    assert page.count(".turn") == 0
    page.load()
    assert page.count(".turn") == 0


def test_parameters_reach_the_server(page, demo):
    page.set_field("max_tokens", "5")
    page.set_field("seed", "7")
    page.set_field("top_p", "0.9")
    page.set_field("temperature", "1.5")
    page.find("#system").send_keys("Answer briefly.")
    text = page.ask("Tell me a short story about a fox.")
    messages = [{"role": "system", "content": "Answer briefly."},
                {"role": "user", "content": "Tell me a short story about a fox."}]
    same = chat(demo, "", messages=messages, max_tokens=5, seed=7, top_p=0.9, temperature=1.5)
    assert text == same["choices"][0]["message"]["content"]
    assert (page.facts()["tokens"][0], page.facts()["end"][0]) == ("5", "cut at the limit")

    page.script("const slider = document.getElementById('temperature-slider');"
                "slider.value = 0.5; slider.dispatchEvent(new Event('input', {bubbles: true}))")
    assert page.find("#temperature").get_attribute("value") == "0.5"
    page.set_field("temperature", "9")
    page.say("Hello")
    assert page.is_shown("#settings-problem") and page.text("#settings-problem").startswith("Temperature: ")
    assert page.driver.switch_to.active_element == page.find("#temperature") and page.count(".question") == 1
    page.set_field("temperature", "1")
    assert not page.is_shown("#settings-problem")

    page.find("input[name=details]").click()
    page.find("#prompt").clear()
    page.ask("Hello")
    assert page.count(".answer:last-child .token") == 0 and page.facts()["tokens"][0] == "5"


def test_tiles_show_the_servers_own_figures(page, demo):
    page.script("""
        window.speeds = [];
        new MutationObserver(() => speeds.push(Number(document.querySelector('#tile-speed .tile-value').textContent)))
            .observe(document.querySelector('#tile-speed .tile-value'), {childList: true});""")
    page.find("input[value=fixed]").click()

    def has_shown_a_speed() -> bool:  # a machine that stalls for seconds makes the page start its minute afresh
        page.ask("Count from 1 to 30.")
        return page.script("return speeds.some((speed) => speed > 0)")

    page.wait(has_shown_a_speed, "a speed")
    page.wait(lambda: page.text("#tile-requests .tile-body") == "0running0 waiting", "idle again")
    metrics = demo.metrics()
    figures = {tile: page.text(f"#tile-{tile} .tile-body") for tile in ("ttft", "kv", "hits", "acceptance", "k")}
    assert all(any(c.isdigit() for c in figure) for figure in figures.values()), figures
    num_blocks = sum(value for name, value in metrics.items() if name.startswith("runahead_kv_cache_blocks{"))
    assert f"of {num_blocks:.0f} blocks" in figures["kv"]
    assert "ms" in figures["ttft"] or "s" in figures["ttft"]
    points = "return document.querySelector('#tile-speed .chart-line').getAttribute('points')"
    before = page.script(points)
    page.wait(lambda: page.script(points) != before, "moved on")


def test_metrics_are_read_as_prometheus_reads_them(page):
    result = page.driver.execute_async_script("""
        const done = arguments[arguments.length - 1];
        import("/page/metrics.js").then((m) => {
          const text = ['# HELP x', 'x{model="a",le="not } a bound"} 2', 'x{model="b"} 3e0', 'h_bucket{le="0.1"} 2',
                        'h_bucket{le="0.2"} 6', 'h_bucket{le="+Inf"} 8', 'lonely 4', ''].join("\\n");
          const families = m.parse(text);
          const list = m.buckets(families, "h");
          done([m.sum(families, "x"), m.sum(families, "x", {model: "b"}), m.mean(families, "x"),
                m.mean(families, "none"), m.quantile(list, 0.5), m.quantile(list, 0.99), m.quantile([], 0.5),
                m.sum(families, "lonely"),
                m.quantile(m.bucketsSince(list, [[0.1, 2], [0.2, 2], [Infinity, 4]]), 0.5)]);
        });""")
    assert result == [5, 3, 2.5, None, pytest.approx(0.15), 0.2, None, 4, pytest.approx(0.15)]


def test_tokens_are_laid_over_the_text_whatever_they_hold(page):
    pieces = page.driver.execute_async_script("""
        const done = arguments[arguments.length - 1];
        import("/page/tokens.js").then(({ TokenView }) => {
          const view = new TokenView(document.createElement("div"));
          const say = (bytes, token) => view.addToken({ token, bytes, logprob: -1, top_logprobs: [] }, null);
          const utf8 = (text) => [...new TextEncoder().encode(text)];
          view.addText("<b>\\u00e9");
          say(utf8(" <b>"), " <b>");           // a blank that the text does not begin with
          say([0xc3], "?");                     // half a character
          say([0xa9], "?");
          view.addText("lost go");
          say(utf8(" go"), " go");              // behind text that no token told of
          view.addText("STO");
          say(utf8("STOP"), "STOP");            // cut where a stop string ends
          say(utf8("<|end|>"), "<|end|>");
          view.addText("!");
          const { element } = view;
          done([element.textContent, view.pieces.map(([text, data]) => [text, data?.token ?? null]),
                element.querySelectorAll(":not(.token, .ink)").length]);
        });""")
    assert pieces == ["<b>\u00e9lost goSTO!", [
        ["<b>", " <b>"], ["", "?"], ["\u00e9", "?"], ["lost", None], [" go", " go"], ["STO", "STOP"], ["", "<|end|>"],
        ["!", None]], 0]


def test_nothing_that_is_said_becomes_markup(page):
    hostile = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    page.ask(hostile)
    assert page.text(".question p") == hostile and page.count("#turns img, #turns script") == 0
    refused = page.script("""
        const names = [];
        const attempts = [() => (document.createElement("p").innerHTML = "<img src=x onerror=alert(1)>"),
                          () => (document.createElement("script").textContent = "alert(1)"),
                          () => document.createElement("p").setAttribute("onclick", "alert(1)")];
        for (const attempt of attempts) {
          try { attempt(); } catch (error) { names.push(error.name); }
        }
        return names;""")
    assert refused == ["TypeError"] * 3, "text that becomes code is refused by the browser itself"
    page.complaints()  # about these attempts


def test_it_can_be_used_by_all(page):
    page.set_field("temperature", "0")
    page.ask("Count from 1 to 30.")
    roles = page_checks.check_names(page.driver)
    assert {"banner", "main", "complementary"} <= roles.keys() and roles["heading"] >= 3
    for scheme in ("light", "dark"):
        page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia",
                                    {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
        assert page_checks.ground_is_dark(page.driver) == (scheme == "dark")
        ActionChains(page.driver).move_to_element(page.find(".token")).perform()
        assert page_checks.faint_texts(page.driver) == []
    page.find("#theme").click()
    assert not page_checks.ground_is_dark(page.driver), "chosen against the system"
    page.load()
    assert not page_checks.ground_is_dark(page.driver)
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})

    page.find("#prompt").click()
    order = []
    for _ in range(3):
        ActionChains(page.driver).key_down(Keys.SHIFT).send_keys(Keys.TAB).key_up(Keys.SHIFT).perform()
        order.append(page.script("return document.activeElement.className"))
    assert order[0].startswith("quiet small") and order[2] == "answer-text tokens", order


def test_it_fits_a_phone(page):
    # Windows have a least width; the emulated device has none.
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                                {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True})
    try:
        page.ask("Count from 1 to 30.")
        assert page.script("return document.documentElement.scrollWidth") <= 360
        assert not page.is_shown("#panel")
        page.find("#panel-toggle").click()
        assert page.is_shown("#tile-speed") and page.script("return document.documentElement.scrollWidth") <= 360
        ActionChains(page.driver).send_keys(Keys.ESCAPE).perform()
        assert not page.is_shown("#panel")
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.fixture(scope="module")
def ceaseless_model(tmp_path_factory):
    """The demo model's shape and tokenizer, with room for minutes of text and no token that ends it."""
    directory = tmp_path_factory.mktemp("ceaseless")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(DEMO_MODEL / name, directory)
    config = json.loads((DEMO_MODEL / "config.json").read_text())
    config.pop("eos_token_id")
    (directory / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 1 << 16}))
    return directory


@contextmanager
def locked_server(model, port: int):
    with ServerProcess("--load-format", "dummy", "--api-key", KEY, model=model, http_port=port) as process:
        yield process


def lasting_port() -> int:
    """A free port below those that systems hand out, so that nobody takes it while its server is away."""
    while True:
        port = random.randrange(15_000, 30_000)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port


def test_keys_stopping_and_a_server_that_goes_away(browser, ceaseless_model):
    port = lasting_port()
    with locked_server(ceaseless_model, port) as server:
        page = Page(browser, server.url)
        page.wait(lambda: page.is_shown("#key-dialog"), "asked for a key")
        page.find("#key-input").send_keys("wrong", Keys.ENTER)
        page.wait(lambda: page.is_shown("#key-problem"), "refused")
        page.find("#key-input").send_keys(KEY, Keys.ENTER)
        page.wait(lambda: page.text("#connection") == "Serving", "let in")
        assert not page.is_shown("#key-dialog") and page.is_shown("#key")
        assert KEY in page.script("return Object.values(sessionStorage)")
        assert page.script("return Object.values(localStorage).join() + document.cookie").find(KEY) < 0

        page.set_field("temperature", "0")
        page.say("Go on for ever.")
        page.wait(lambda: page.count(".answer.busy .token") > 20, "under way")
        assert page.is_shown("#stop") and not page.is_shown("#send")
        ActionChains(page.driver).send_keys(Keys.ESCAPE).perform()
        page.wait(lambda: page.count(".answer.busy") == 0, "stopped")
        assert page.facts()["end"][0] == "stopped" and page.is_shown("#send")
        wait_until(lambda: server.metric("runahead_requests_running") == 0, "given up by the server")
        assert server.metric("runahead_requests_cancelled_total", phase="running") == 1

        page.find(".regenerate").click()
        page.wait(lambda: page.count(".answer.busy .token") > 20, "under way again")
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
        page.wait(lambda: page.is_shown("#outage"), "told")
        page.wait(lambda: page.count(".answer.busy") == 0, "ended")
        assert "connection was lost" in page.text(".answer .problem") and page.count(".token") > 20
        assert page.text("#connection") == "Not answering" and page.count(".tiles.stale") == 1
        page.ask("Anyone?")
        assert page.text(".answer:last-child .problem") == "The server cannot be reached."

    with locked_server(ceaseless_model, port):
        page.wait(lambda: not page.is_shown("#outage"), "recovered")
        page.wait(lambda: page.text("#announcer") == "The server is back.", "said so")
        assert page.text("#connection") == "Serving" and page.count(".tiles.stale") == 0
        page.find(".answer:last-child .regenerate").click()
        page.wait(lambda: page.count(".answer:last-child.busy .token") > 20, "served again")
        page.find("#stop").click()
        page.wait(lambda: page.count(".answer.busy") == 0, "stopped")
        assert page.driver.switch_to.active_element == page.find("#prompt")
        assert page.complaints() == []


def test_one_flag_turns_it_off(monkeypatch):
    with ServerProcess("--page", "false") as server:
        assert httpx.get(server.url + "/").status_code == 404
        assert httpx.get(server.url + "/page/app.js").status_code == 404
        assert httpx.get(server.url + "/health").status_code == 200
        assert "In a browser" not in server.log()
    monkeypatch.setenv("RUNAHEAD_PAGE", "false")
    with ServerProcess("--page") as server:  # a flag overrides the environment
        answer = httpx.get(server.url + "/")
        assert answer.status_code == 200 and answer.headers["content-type"] == "text/html; charset=utf-8"
        again = httpx.get(server.url + "/", headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"") and "content-length" not in again.headers
        head = httpx.head(server.url + "/")
        assert (head.status_code, head.headers["content-length"]) == (200, str(len(answer.content)))
        assert f"In a browser: {server.url}/" in server.log()
