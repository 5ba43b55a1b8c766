#!/usr/bin/env python3
"""`hone serve` under load and faults. usage: load.py HONE [--seconds N] [--clients N] [TEST…]

200 clients ask for N seconds (20; `make load`: 120) and misbehave at random: they hang up, read
slowly, close half of their connection, send nonsense, come in bursts beyond the queue. Each asks
for an answer of one token that no other client has, so that a mixed-up answer is seen. Then faults:
killed servers, models that do not load, memory that runs short. Ends with `N passed, N failed`.
"""
import argparse
import asyncio
import collections
import contextlib
import hashlib
import http.client
import json
import os
import pathlib
import random
import resource
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))

import packages
import suite
from run import chat, wav
from safety import (CHAT, COMPLETIONS, STORIES, Hub, Repository, completion, connect, ended_within,
                    head, pull, resident, still_works)
from suite import MODEL, SPEECH, Server, wait_until

QUEUE, SLOTS = 48, 8
SMOLLM2 = packages.CACHE / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf"


# --- one request over a socket of its own ---


class Refused(Exception):
    """A status other than 200; retry: whether Retry-After came with it."""

    def __init__(self, status, retry):
        super().__init__(status)
        self.status, self.retry = status, retry


async def send(port, body, half=False):
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    writer.write(head("POST", CHAT, f"Content-Length: {len(data)}", "Connection: close") + data)
    if half:
        writer.write_eof()
    await writer.drain()
    return reader, writer


async def read_head(reader):
    top = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    status = int(top.split(" ", 2)[1])
    if status != 200:
        raise Refused(status, "retry-after:" in top)
    return "chunked" in top


async def read_body(reader, chunked, pause=0.0):
    if not chunked:
        return await reader.read()
    out = b""
    while size := int((await reader.readline()).strip() or b"0", 16):
        out += await reader.readexactly(size)
        await reader.readline()
        if pause:
            await asyncio.sleep(pause)
    return out


def text_of(body, stream):
    """(text, tokens) of a whole answer, whichever way it came."""
    if not stream:
        answer = json.loads(body)
        return answer["choices"][0]["message"]["content"], answer["usage"]["completion_tokens"]
    text, tokens, lines = "", 0, body.decode().split("\n\n")
    assert lines[-2] == "data: [DONE]", lines[-2:]
    for line in lines[:-2]:
        event = json.loads(line[6:])
        assert "error" not in event, event
        tokens = (event.get("usage") or {}).get("completion_tokens", tokens)
        text += "".join(c["delta"].get("content") or "" for c in event["choices"])
    return text, tokens


# --- clients ---


class Client:
    """Asks for its own token, over and over, and counts what became of it."""

    def __init__(self, load, number, token, text):
        self.load, self.number, self.token, self.text = load, number, token, text
        self.random = random.Random(number)
        self.latencies = []

    def body(self, stream, n):
        r = self.random
        shared = "You are a helpful assistant. " * r.choice((0, 2, 6))
        body = chat(shared + f"Client {self.number}: " + "word " * r.randrange(12), max_tokens=n,
                    stream=stream, logit_bias={str(self.token): 100}, ignore_eos=True)
        if stream:
            body["stream_options"] = {"include_usage": True}
        return body

    async def ask(self, pause=0.0):
        """An answer that must be whole and ours, or a refusal for want of room."""
        n, stream = self.random.randrange(4, 20), self.random.random() < 0.5
        begin = time.monotonic()
        reader, writer = await send(self.load.port, self.body(stream, n))
        try:
            text, tokens = text_of(await read_body(reader, await read_head(reader), pause), stream)
        finally:
            writer.close()
        assert text == self.text * n, f"client {self.number}: {text!r} is not {n} times {self.text!r}"
        assert tokens == n, (tokens, n)
        return time.monotonic() - begin

    async def plain(self):
        self.latencies.append(await self.ask())

    async def slow(self):
        await self.ask(pause=0.05)

    async def burst(self):
        """More at once than the queue holds."""
        results = await asyncio.gather(*(self.ask() for _ in range(QUEUE + SLOTS + 10)),
                                       return_exceptions=True)
        for result in results:
            if isinstance(result, Refused):
                self.load.refused(result)
            elif isinstance(result, Exception):
                raise result

    async def hang_up(self):
        reader, writer = await send(self.load.port, self.body(True, 200))
        with contextlib.suppress(Refused):
            await read_head(reader)
            for _ in range(self.random.randrange(4)):
                await reader.readline()
        if self.random.random() < 0.5:  # with a reset
            writer.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.close()

    async def half_closed(self):
        """Taken for one that has left; what comes all the same must be whole."""
        reader, writer = await send(self.load.port, self.body(False, 8), half=True)
        with contextlib.suppress(Refused, asyncio.IncompleteReadError, ConnectionError):
            body = await read_body(reader, await read_head(reader))
            assert text_of(body, False) == (self.text * 8, 8)
        writer.close()

    async def nonsense(self):
        r = self.random
        good = json.dumps(self.body(False, 4)).encode()
        body = r.choice((good[:r.randrange(len(good))], b"\0" * 50, r.randbytes(200), b"[" * 3000,
                         good.replace(b"4", b"-4"), b'{"messages": 5}', good + b"}"))
        reader, writer = await send(self.load.port, body)
        try:
            await read_head(reader)
            raise AssertionError(f"{body[:60]} was accepted")
        except Refused as refusal:
            assert refusal.status in (400, 404, 503), refusal.status
        finally:
            writer.close()

    async def broken(self):
        _, writer = await asyncio.open_connection("127.0.0.1", self.load.port)
        writer.write(self.random.choice((b"", b"GET", head("POST", CHAT, "Content-Length: 90") + b"{",
                                         b"\x16\x03\x01\x02", head("GET", "/"))))
        await writer.drain()
        await asyncio.sleep(self.random.random())
        writer.close()

    async def run(self, until):
        acts = (self.plain,) * 12 + (self.slow, self.hang_up, self.hang_up, self.half_closed,
                                     self.nonsense, self.broken)
        await asyncio.sleep(self.random.random() * 2)
        while time.monotonic() < until:
            act = self.burst if self.random.random() < 0.002 else self.random.choice(acts)
            try:
                await act()
                self.load.done[act.__name__] += 1
            except Refused as refusal:
                self.load.refused(refusal)
            except Exception as e:  # all that should not happen
                self.load.failures.append(f"{act.__name__}: {e!r}")
            await asyncio.sleep(0.5 + 2 * self.random.random())


class Load:
    def __init__(self, server, n_clients):
        self.server, self.port = server, server.port
        self.done, self.failures = collections.Counter(), []
        self.clients = [Client(self, i, *token) for i, token in
                        enumerate(own_tokens(server, n_clients))]

    def refused(self, refusal):
        self.done[f"status {refusal.status}"] += 1
        if refusal.status != 503 or not refusal.retry:
            self.failures.append(f"refused with {refusal.status}, Retry-After: {refusal.retry}")

    def run(self, seconds):
        until = time.monotonic() + seconds

        async def everybody():
            await asyncio.wait_for(asyncio.gather(*(c.run(until) for c in self.clients)),
                                   seconds + 60)
        asyncio.run(everybody())


def own_tokens(server, n):
    """(id, text) of n tokens with different texts, none of them the beginning of what others say."""
    found = {}
    for token in range(300, 3000):
        status, _, body = server.ask("POST", "/v1/completions", {
            "model": "", "prompt": "a", "max_tokens": 2, "temperature": 0, "ignore_eos": True,
            "logit_bias": {str(token): 100}})
        text = json.loads(body)["choices"][0]["text"] if status == 200 else ""
        if text and text.isascii() and text.strip() == text and text[:len(text) // 2] * 2 == text:
            found.setdefault(text[:len(text) // 2], token)
        if len(found) == n:
            return [(token, text) for text, token in found.items()]
    raise AssertionError(f"only {len(found)} tokens have texts of their own")


def settle(server):
    """(resident bytes, sockets and files, threads) once the server has come to rest."""
    wait_until(lambda: server.metric("hone_requests_open") == 0, "the end of all requests")
    time.sleep(1)
    process = f"/proc/{server.process.pid}"
    return resident(server), len(os.listdir(f"{process}/fd")), len(os.listdir(f"{process}/task"))


def test_many_clients_that_misbehave(hone, seconds=20, n_clients=200):
    with Server(hone, "--slots", str(SLOTS), "--queue", str(QUEUE), "--patience", "10", "--quiet",
                models=(MODEL,)) as server:
        load = Load(server, n_clients)
        load.run(seconds / 3)  # until everything that grows once has grown
        before = settle(server)
        load.run(seconds * 2 / 3)
        after = settle(server)
        still_works(server)
        print(f"       {dict(load.done)}")
        print(f"       memory {before[0] >> 20} then {after[0] >> 20} MB, files {before[1]} then "
              f"{after[1]}, threads {before[2]} then {after[2]}")
        assert not load.failures, (len(load.failures), load.failures[:5])
        assert load.done["plain"] > n_clients and load.done["hang_up"] and load.done["half_closed"]
        assert after[0] < before[0] * 1.1 + (8 << 20), (before, after)
        assert after[1] <= before[1] + 1 and after[2] <= before[2] + 1, (before, after)
        means = sorted(statistics.mean(c.latencies) for c in load.clients if len(c.latencies) > 2)
        middle = statistics.median(means)
        everything = sorted(t for c in load.clients for t in c.latencies)
        print(f"       latency: median {statistics.median(everything) * 1e3:.0f} ms, 95 % under "
              f"{everything[len(everything) * 95 // 100] * 1e3:.0f} ms; clients' means from "
              f"{means[0] * 1e3:.0f} to {means[-1] * 1e3:.0f} ms")
        assert means[len(means) * 95 // 100] < 4 * middle + 0.1, "some clients wait for the others"


def test_a_burst_beyond_the_queue_is_refused_and_nothing_else_happens(hone):
    with Server(hone, "--slots", "2", "--queue", "8", models=(MODEL,)) as server:
        load = Load(server, 2)
        client = load.clients[0]

        async def burst():
            return await asyncio.gather(*(client.ask() for _ in range(200)), return_exceptions=True)
        results = asyncio.run(burst())
        refused = [r for r in results if isinstance(r, Refused)]
        assert all(r.status == 503 and r.retry for r in refused), refused[:5]
        assert 0 < len(refused) < 195
        assert all(isinstance(r, (float, Refused)) for r in results), results[:5]
        still_works(server)


def test_long_prompts_do_not_stall_a_stream(hone):
    """docs/serving.md states 250 ms; a machine that others use, too, is given more."""
    if not SMOLLM2.exists():
        raise ImportError(f"{SMOLLM2} is not there")
    with Server(hone, "--slots", "4", models=(SMOLLM2,)) as server:
        times, prompts = [], []

        def stream():
            with connect(server) as s:
                body = json.dumps(chat(stream=True, ignore_eos=True, max_tokens=1500)).encode()
                s.sendall(head("POST", CHAT, f"Content-Length: {len(body)}") + body)
                while len(prompts) < 2 and s.recv(65536):
                    times.append(time.monotonic())

        def long_prompt(i):
            server.ask("POST", CHAT, chat(f"Document {i}. " + f"the {i} cats and dogs sat, " * 160,
                                          max_tokens=1))
            prompts.append(i)

        threads = [threading.Thread(target=stream)]
        threads[0].start()
        while len(times) < 12:
            time.sleep(0.01)
        threads += [threading.Thread(target=long_prompt, args=(i,)) for i in range(2)]
        begin = time.monotonic()
        for thread in threads[1:]:
            thread.start()
        for thread in threads:
            thread.join()
        took = time.monotonic() - begin
        gaps = sorted(b - a for a, b in zip(times, times[1:]) if b > begin)
        print(f"       two prompts took {took:.2f} s; the stream's gaps meanwhile: median "
              f"{statistics.median(gaps) * 1e3:.0f} ms, longest {gaps[-1] * 1e3:.0f} ms")
        assert took > 0.5, "too quick to prove anything"
        # whole prompts between two tokens would leave a gap of half that time at least
        assert gaps[-1] < max(0.3, took / 3), gaps[-5:]


# --- faults ---


def long_stream(server, **fields):
    """A thread that reads a long stream; .text and .ended tell."""
    class Reader(threading.Thread):
        text, ended = b"", False

        def run(self):
            with connect(server) as s:
                body = json.dumps(chat(stream=True, ignore_eos=True, **{
                    "temperature": 1, "n": 8, "max_tokens": 400, **fields})).encode()
                s.sendall(head("POST", CHAT, f"Content-Length: {len(body)}") + body)
                with contextlib.suppress(ConnectionError, TimeoutError):
                    while b"data: [DONE]" not in self.text[-200:] and (piece := s.recv(65536)):
                        self.text += piece
            self.ended = True

        def wait_begin(self):
            while b"delta" not in self.text and not self.ended:
                time.sleep(0.005)
            return self
    reader = Reader(daemon=True)
    reader.start()
    return reader.wait_begin()


@contextlib.contextmanager
def started(hone, **more):
    """A server that the test ends itself; what is left of it goes."""
    server = Server(hone, **{"models": (MODEL,), **more})
    try:
        yield server
    finally:
        server.process.kill()
        server.process.wait()
        server.home.cleanup()


def ask_and_forget(server, path, body):
    with contextlib.suppress(OSError, http.client.HTTPException):
        server.ask("POST", path, body)


def hone_in(server, hone, *words):
    return subprocess.run([hone, *words], capture_output=True, text=True, timeout=300,
                          env={**os.environ, "HONE_HOME": server.home.name})


def test_killed_in_mid_answer_the_store_is_sound(hone):
    with started(hone) as server:
        assert pull(hone, server, "kept", STORIES.read_bytes())
        assert server.ask("POST", COMPLETIONS, completion("kept:x"))[0] == 200
        reader = long_stream(server)
        server.process.kill()
        server.process.wait()
        reader.join(10)
        assert reader.ended and b"[DONE]" not in reader.text
        checked = hone_in(server, hone, "verify")
        assert checked.returncode == 0, checked
        with Server(hone, models=(MODEL,), env={"HONE_HOME": server.home.name}) as again:
            assert again.ask("POST", COMPLETIONS, completion("kept:x"))[0] == 200


def test_killed_in_mid_pull_the_next_pull_goes_on(hone):
    data = STORIES.read_bytes() + bytes(24_000_000)
    hub = Hub({"owner/large": Repository({"large-q8_0.gguf": data})})
    env, body = {"HF_ENDPOINT": hub.endpoint}, {"model": "hf.co/owner/large:Q8_0"}
    with contextlib.closing(hub), started(hone, env=env) as server:
        hub.slow_s = 0.02
        threading.Thread(target=ask_and_forget, args=(server, "/api/pull", body), daemon=True).start()
        deadline = time.monotonic() + 30
        while hub.sent < 12_000_000 and time.monotonic() < deadline:
            time.sleep(0.02)
        server.process.kill()
        server.process.wait()
        hub.slow_s = 0
        assert "owner/large" not in hone_in(server, hone, "list").stdout
        with Server(hone, models=(MODEL,), env={**env, "HONE_HOME": server.home.name}) as again:
            status, _, answer = again.ask("POST", "/api/pull", {**body, "stream": False})
            assert status == 200 and b"success" in answer, answer
            assert hub.sent < len(data) + 14_000_000, "it began again from the start"
        checked = hone_in(server, hone, "verify")
        assert checked.returncode == 0, checked


def test_killed_in_mid_create_the_store_is_sound(hone):
    data = STORIES.read_bytes()
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    home, made = tempfile.TemporaryDirectory(prefix="hone-serve-"), 0
    try:
        for pause in (0, 3, 6, 12, 20, 40, 80, 160, 320, 640):
            with started(hone, env={"HONE_HOME": home.name}) as server:
                server.ask("POST", f"/api/blobs/{digest}", data)
                body = {"model": f"made:{pause}", "files": {"x.gguf": digest}, "quantize": "q4_k_m"}
                threading.Thread(target=ask_and_forget, daemon=True,
                                 args=(server, "/api/create", body)).start()
                time.sleep(pause / 1e3)
        with Server(hone, models=(MODEL,), env={"HONE_HOME": home.name}) as again:
            for entry in json.loads(again.ask("GET", "/api/tags")[2])["models"]:
                made += 1  # what has a name is whole
                status, _, answer = again.ask("POST", COMPLETIONS, completion(entry["name"]))
                assert status == 200, (entry, answer)
            status, _, answer = again.ask("POST", "/api/create", {
                "model": "made:last", "files": {"x.gguf": digest}, "quantize": "q4_k_m", "stream": False})
            assert status == 200 and b"success" in answer, answer
            again.home.cleanup()
        for words in (("verify",), ("prune",), ("verify",)):
            run = subprocess.run([hone, *words], capture_output=True, text=True,
                                 env={**os.environ, "HONE_HOME": home.name})
            assert run.returncode == 0, run
        print(f"       {made} of 10 were made before the kill")
    finally:
        home.cleanup()


def test_models_that_do_not_load_leave_the_others_alone(hone):
    whole = STORIES.read_bytes()
    with Server(hone, models=(MODEL,)) as server:
        damaged = bytearray(whole)
        damaged[len(whole) // 2:] = b"\xff" * (len(whole) - len(whole) // 2)  # no numbers
        names = [name for name, data in {"cut": whole[:len(whole) // 3], "nan": bytes(damaged),
                                         "head": whole[:100]}.items()
                 if pull(hone, server, name, data)]
        assert names
        reader = long_stream(server)
        for name in names * 5:
            status, _, body = server.ask("POST", COMPLETIONS, completion(f"{name}:x"))
            assert status in (400, 500) and json.loads(body)["error"]["message"], (name, status)
        reader.join(60)
        assert b"[DONE]" in reader.text and b'"error"' not in reader.text
        still_works(server)


def test_memory_that_runs_short_in_one_request_leaves_the_others_alone(hone):
    with Server(hone, models=(MODEL,)) as server:
        still_works(server)
        reader = long_stream(server)
        size = int(pathlib.Path(f"/proc/{server.process.pid}/statm").read_text().split()[0]) * 4096
        limit = size + (96 << 20)
        resource.prlimit(server.process.pid, resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
        with connect(server) as s:
            s.sendall(head("POST", CHAT, "Content-Length: 250000000"))
            with contextlib.suppress(ConnectionError):
                for _ in range(240):
                    s.sendall(b" " * 1_000_000)
            assert ended_within(s, 5)
        reader.join(60)
        assert b"[DONE]" in reader.text and b'"error"' not in reader.text
        still_works(server)


def goes_down(server):
    return any("answers under way may end" in line for line in server.lines)


def test_sigterm_drains(hone):
    with started(hone) as server:
        reader = long_stream(server)
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: server.ask("GET", "/ready")[0] == 503, "the way down")
        status, headers, _ = server.ask("POST", CHAT, chat())
        assert status == 503 and headers["Retry-After"], status
        assert server.ask("GET", "/health")[0] == 200
        code = server.process.wait(timeout=40)
        reader.join(60)
        assert code == 0 and b"[DONE]" in reader.text and b'"error"' not in reader.text


def test_a_second_signal_ends_at_once_and_answers_keep_what_they_have(hone):
    with started(hone) as server:
        readers = [long_stream(server, n=16, max_tokens=1000) for _ in range(12)]
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: goes_down(server), "the way down")
        begin = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        code = server.process.wait(timeout=60)
        took = time.monotonic() - begin
        assert code == 0 and took < 15, (code, took)  # without the second signal it would be 30 s
        for reader in readers:
            reader.join(60)
            assert reader.ended
        assert any(b'"length"' in r.text or b"delta" not in r.text for r in readers)


def test_a_second_signal_ends_transcriptions_too(hone):
    with started(hone, models=(MODEL, SPEECH)) as server:
        second = wav(1)
        samples = second[44:] * 1200
        upload = second[:40] + struct.pack("<I", len(samples)) + samples
        form = (f'--boundary7\r\nContent-Disposition: form-data; name="model"\r\n\r\n{SPEECH}\r\n'
                '--boundary7\r\nContent-Disposition: form-data; name="file"; filename="x.wav"\r\n'
                "Content-Type: audio/wav\r\n\r\n").encode() + upload + b"\r\n--boundary7--\r\n"
        answers = []
        asking = threading.Thread(target=lambda: answers.append(server.ask(
            "POST", "/v1/audio/transcriptions", form, {"Content-Type": "multipart/form-data; boundary=boundary7"})))
        asking.start()
        time.sleep(1.5)
        assert not answers, f"too quick to prove anything: {answers[0][0]} {answers[0][2][:200]}"
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: goes_down(server), "the way down")
        begin = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(timeout=60) == 0 and time.monotonic() - begin < 15
        asking.join(60)


def main():
    a = argparse.ArgumentParser()
    a.add_argument("hone")
    a.add_argument("tests", nargs="*")
    a.add_argument("--seconds", type=float, default=20)
    a.add_argument("--clients", type=int, default=200)
    a = a.parse_args()
    if not MODEL.exists():
        return suite.skip_all(f"{MODEL} is not there")
    hone, tally = os.path.abspath(a.hone), suite.Tally()
    for test in suite.find(globals(), a.tests):
        tally.run(test, hone, *((a.seconds, a.clients) if test is test_many_clients_that_misbehave else ()))
    return tally.end()


if __name__ == "__main__":
    sys.exit(main())
