"""A thin asyncio client for many streams at once: one socket a stream, no library between test and bytes."""

import asyncio
import json
from dataclasses import dataclass, field


@dataclass
class StreamResult:
    """What one client saw. `error` is empty for a stream that ended with [DONE]."""
    text: str = ""
    num_chunks: int = 0
    finish_reason: str | None = None
    usage: dict = field(default_factory=dict)
    error: str = ""


async def stream_chat(host: str, port: int, body: dict, hang_up_after: int | None = None) -> StreamResult:
    """POSTs a streamed chat completion; closes the socket after `hang_up_after` content chunks, if given."""
    result = StreamResult()
    reader, writer = await asyncio.open_connection(host, port)
    try:
        payload = json.dumps({"stream": True, "stream_options": {"include_usage": True}, **body}).encode()
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
                     b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(payload) + payload)
        await writer.drain()
        status = (await reader.readline()).split()
        if len(status) < 2 or status[1] != b"200":
            result.error = f"status {status[1:2]}"
            return result
        async for line in reader:
            if not line.startswith(b"data: "):
                continue  # headers, chunk sizes, blank lines
            data = line[6:].strip()
            if data == b"[DONE]":
                return result
            _book(json.loads(data), result)
            if hang_up_after is not None and result.num_chunks >= hang_up_after:
                return result
        result.error = "the stream ended without [DONE]"
        return result
    finally:
        writer.close()


def _book(chunk: dict, result: StreamResult) -> None:
    if "error" in chunk:
        result.error = chunk["error"]["message"]
        return
    if chunk.get("usage"):
        result.usage = chunk["usage"]
    for choice in chunk["choices"]:
        content = choice["delta"].get("content") or ""
        result.text += content
        result.num_chunks += bool(content)
        result.finish_reason = choice["finish_reason"] or result.finish_reason
