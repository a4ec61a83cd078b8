"""Writes tests/golden/chat_templates/*.json with jinja2, set up as Hugging Face transformers does.

Usage: python3 tools/golden/chat_templates.py <directory of published *.jinja templates>
The published templates themselves are not copied: the goldens hold inputs and outputs.
Needs Jinja2 (tools/requirements.txt).
"""

import copy
import datetime
import json
import pathlib
import sys

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

from jinja_snippets import CONTEXT, EXPRESSIONS, TEMPLATES

NOW = 1732147200  # 2024-11-21 00:00:00 UTC
OUT = pathlib.Path(__file__).resolve().parents[2] / "tests/golden/chat_templates"


class Generation(jinja2.ext.Extension):
    """{% generation %}: renders its body, in a frame of its own."""

    tags = {"generation"}

    def parse(self, parser):
        lineno = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(lineno)

    def _body(self, caller):
        return caller()


def make_environment():
    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(
            x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
        )

    def strftime_now(format):
        return datetime.datetime.fromtimestamp(NOW, datetime.timezone.utc).strftime(format)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = strftime_now
    return environment


def render(environment, source, variables):
    """{"output": text} or {"error": type, "message": text}."""
    try:
        return {"output": environment.from_string(source).render(**variables)}
    except jinja2.exceptions.TemplateError as error:
        raised = type(error) is jinja2.exceptions.TemplateError
        result = {"error": type(error).__name__}
        if raised:
            result["message"] = str(error)
        return result
    except Exception as error:  # what the template's Python raises
        return {"error": type(error).__name__}


def write(name, document):
    path = OUT / name
    path.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n")
    print(path, path.stat().st_size)


def snippets(environment):
    sources = ["{{ " + expression + " }}" for expression in EXPRESSIONS] + TEMPLATES
    cases = []
    for source in sources:
        result = render(environment, source, copy.deepcopy(CONTEXT))  # indent changes lists
        try:
            json.dumps(result, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            result = {"error": "UnicodeEncodeError"}
        cases.append({"template": source, **result})
    return {"now": NOW, "context": CONTEXT, "cases": cases}


WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a place, with \"units\" & <more>.",
        "parameters": {
            "type": "object",
            "properties": {
                "place": {"type": "string", "description": " City, e.g. Łódź or 東京 "},
                "unit": {"type": ["string", "null"], "enum": ["c", "f"], "description": "Unit"},
                "days": {"type": "integer", "description": "Days", "default": 3},
                "where": {
                    "type": "array",
                    "items": {"type": "number"},
                    "description": "Coordinates",
                },
                "more": {
                    "type": "object",
                    "additionalProperties": {"type": "boolean"},
                    "description": "Flags",
                },
            },
            "required": ["place"],
        },
        "return": {"type": "string", "description": "A sentence"},
    },
}
CLOCK = {
    "type": "function",
    "function": {
        "name": "now",
        "description": "The time.",
        "parameters": {"type": "object", "properties": {}},
    },
}


def call(name, arguments, call_id="a1B2c3D4e"):
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def user(content):
    return {"role": "user", "content": content}


def assistant(content, **more):
    return {"role": "assistant", "content": content, **more}


def system(content):
    return {"role": "system", "content": content}


CONVERSATIONS = {
    "one": {"messages": [user("Hello, who are you?")]},
    "system": {"messages": [system("Be brief."), user("Hi")]},
    "turns": {
        "messages": [system("You count."), user("one"), assistant("two"), user("three")]
    },
    "closed": {"messages": [user("one"), assistant("two")], "add_generation_prompt": False},
    "no_prompt": {"messages": [user("a"), assistant("b"), user("c")], "add_generation_prompt": False},
    "empty_content": {"messages": [system(""), user(""), assistant(""), user(" ")]},
    "spaces": {"messages": [user("  padded\n\n"), assistant("\n reply "), user("\tmore")]},
    "unicode": {"messages": [user("Zażółć gęślą 🦊 漢字 \u200d \u00a0<|x|>'\"\\")]},
    "two_users": {"messages": [user("a"), user("b")]},
    "starts_with_assistant": {"messages": [assistant("a"), user("b")]},
    "unknown_role": {"messages": [{"role": "wizard", "content": "abracadabra"}]},
    "no_messages": {"messages": []},
    "null_content": {"messages": [user("a"), assistant(None), user("b")]},
    "missing_content": {"messages": [user("a"), {"role": "assistant"}, user("b")]},
    "parts": {"messages": [user([{"type": "text", "text": "hello"}])]},
    "tools": {"messages": [user("Weather in Łódź?")], "tools": [WEATHER, CLOCK]},
    "tools_system": {
        "messages": [system("Use tools."), user("Weather?"), assistant("Where?"), user("Here")],
        "tools": [WEATHER],
    },
    "no_tools": {"messages": [user("a")], "tools": []},
    "tool_call": {
        "messages": [
            user("Weather in Łódź?"),
            assistant("", tool_calls=[call("get_weather", {"place": "Łódź", "days": 2})]),
        ],
        "tools": [WEATHER],
        "add_generation_prompt": False,
    },
    "tool_result": {
        "messages": [
            system("Use tools."),
            user("Weather in Łódź?"),
            assistant(None, tool_calls=[call("get_weather", {"place": "Łódź", "unit": None})]),
            {"role": "tool", "name": "get_weather", "content": "{\"t\": 3.5}", "tool_call_id": "a1B2c3D4e"},
            assistant("It is 3.5 degrees."),
            user("Thanks"),
        ],
        "tools": [WEATHER, CLOCK],
    },
    "tool_result_object": {
        "messages": [
            user("Weather?"),
            assistant("", tool_calls=[call("get_weather", {"place": "x", "where": [1.5, -2]})]),
            {"role": "tool", "name": "get_weather", "content": {"t": 3.0, "sky": "clear"}, "tool_call_id": "a1B2c3D4e"},
        ],
        "tools": [WEATHER],
    },
    "two_calls": {
        "messages": [
            user("Both?"),
            assistant(
                "",
                tool_calls=[
                    call("get_weather", {"place": "a"}, "aaaaaaaaa"),
                    call("now", {}, "bbbbbbbbb"),
                ],
            ),
            {"role": "tool", "name": "get_weather", "content": "rain", "tool_call_id": "aaaaaaaaa"},
            {"role": "tool", "name": "now", "content": "12:00", "tool_call_id": "bbbbbbbbb"},
        ],
        "tools": [WEATHER, CLOCK],
    },
    "call_arguments_as_text": {
        "messages": [
            user("Weather?"),
            assistant("", tool_calls=[call("get_weather", "{\"place\": \"x\"}")]),
            {"role": "tool", "name": "get_weather", "content": "rain", "tool_call_id": "a1B2c3D4e"},
        ],
        "tools": [WEATHER],
    },
    "options": {
        "messages": [user("a")],
        "date_string": "1 Jan 2030",
        "tools_in_user_message": False,
        "tools": [CLOCK],
    },
    "documents": {
        "messages": [user("a")],
        "documents": [{"title": "T", "text": "D"}],
    },
}
TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}


def published(environment, directory):
    results = []
    for path in sorted(pathlib.Path(directory).glob("*.jinja")):
        source = path.read_text()
        for name, conversation in CONVERSATIONS.items():
            variables = {"add_generation_prompt": True, "tools": None, "documents": None}
            variables.update(TOKENS)
            variables.update(conversation)
            result = render(environment, source, variables)
            results.append({"template": path.name, "conversation": name, **result})
    return {"now": NOW, "tokens": TOKENS, "conversations": CONVERSATIONS, "results": results}


def main():
    environment = make_environment()
    OUT.mkdir(parents=True, exist_ok=True)
    write("snippets.json", snippets(environment))
    if len(sys.argv) > 1:
        write("published.json", published(environment, sys.argv[1]))


if __name__ == "__main__":
    main()
