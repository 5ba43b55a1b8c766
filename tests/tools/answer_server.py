#!/usr/bin/env python3
"""A stand-in for a language model's server: OpenAI's and Ollama's API, streamed, with faults on order.

usage: answer_server.py [--fault NAME] [--token-ms N] [--api openai|ollama|both|none]

Listens on a free port of loopback and prints it. One word is one token. Faults: counts_chunks (four
words an event, and the events counted as tokens), cached (all of the prompt said to be cached),
truncated (only 20 tokens of a prompt are read), early (ends after 5 words), empty (no text), no_usage,
fails_some (every third request gets 500), breaks (every third stream ends in its middle), endless (no
end is announced), garbage (no JSON), error_event, slow (the first token takes 300 ms), strict (refuses
ignore_eos), long_line (an event of 3 MB), too_many (counts twice the tokens), nul (a NUL character
behind each word).
"""
import argparse
import http.server
import json
import threading
import time

TEMPLATE_TOKENS = 12


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # as servers that stream have it
    count = 0
    lock = threading.Lock()

    def log_message(self, *_):
        pass

    def give(self, code, value):
        data = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        api = self.server.options.api
        if self.path == "/v1/models" and api in ("openai", "both"):
            self.give(200, {"object": "list", "data": [{"id": "stand-in", "object": "model"}]})
        elif self.path == "/api/tags" and api in ("ollama", "both"):
            self.give(200, {"models": [{"name": "stand-in:latest"}]})
        else:
            self.give(404, {"error": "no such path"})

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        fault, ollama = self.server.options.fault, self.path == "/api/chat"
        with Handler.lock:
            number = Handler.count
            Handler.count += 1
        assert body["stream"] is True
        limit = body["options"]["num_predict"] if ollama else body["max_tokens"]
        prompt = TEMPLATE_TOKENS + sum(len(m["content"].split()) for m in body["messages"])
        learning = number < 2
        if fault == "strict" and "ignore_eos" in body:
            return self.give(400, {"error": {"message": "ignore_eos: unknown field"}})
        if fault == "fails_some" and not learning and number % 3 == 0:
            return self.give(500, {"error": {"message": "out of tokens"}})
        if fault == "truncated" and not learning:
            prompt = 20
        if fault == "slow":
            time.sleep(0.3)
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson" if ollama else "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        n = 5 if fault == "early" and not learning else 0 if fault == "empty" else limit
        step = 4 if fault == "counts_chunks" else 1
        events = 0
        self.event(ollama, "", None)
        for at in range(0, n, step):
            time.sleep(self.server.options.token_ms / 1000 * step)
            words = "".join(f"word{i} " for i in range(at, min(n, at + step)))
            self.event(ollama, words + "\0" * (fault == "nul"), None)
            events += 1
            if not learning and number % 3 == 0 and events == 2:
                if fault == "breaks":
                    self.close_connection = True
                    return self.connection.close()
                if fault == "garbage":
                    self.chunk(b"data: {\"choices\": [nonsense\n\n")
                if fault == "error_event":
                    self.chunk(b'data: {"error": {"message": "the model fell over"}}\n\n')
                if fault == "long_line":
                    self.chunk(b"data: " + b"x" * 3000000)
        tokens = events if fault == "counts_chunks" else 2 * n if fault == "too_many" else n
        usage = {"prompt_tokens": prompt, "completion_tokens": tokens}
        if fault == "cached" and not learning:
            usage["prompt_tokens_details"] = {"cached_tokens": prompt}
        if fault == "no_usage":
            usage = None
        if not (fault == "endless" and not learning):
            self.event(ollama, "", "stop" if n < limit else "length", usage)
        self.chunk(b"")

    def event(self, ollama, text, finish, usage=None):
        if ollama:
            value = {"model": "stand-in", "message": {"role": "assistant", "content": text}, "done": bool(finish)}
            if finish:
                value["done_reason"] = finish
                if usage:
                    value.update(prompt_eval_count=usage["prompt_tokens"], eval_count=usage["completion_tokens"])
            return self.chunk(json.dumps(value).encode() + b"\n")
        choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
        self.chunk(b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n")
        if finish and usage:
            self.chunk(b"data: " + json.dumps({"choices": [], "usage": usage}).encode() + b"\n\n")
        if finish:
            self.chunk(b"data: [DONE]\n\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fault", default="")
    parser.add_argument("--token-ms", type=float, default=1)
    parser.add_argument("--api", default="both")
    http.server.ThreadingHTTPServer.daemon_threads = True
    http.server.ThreadingHTTPServer.request_queue_size = 256
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.options = parser.parse_args()
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
