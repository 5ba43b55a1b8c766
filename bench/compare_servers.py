#!/usr/bin/env python3
"""hone serve beside llama-server: the same file, the same machine, interleaved in one run.

    bench/compare_servers.py HONE LLAMA_SERVER MODEL [--clients 1,4,8,16] [--requests N] [--tokens N]
                             [--rounds N] [--threads N] [--json FILE]

Both servers run at once, one of them always idle; for each number of clients they take turns. A
client asks --requests questions one after the other: a system prompt of some 500 tokens that all
share, a question that nobody else asks, --tokens tokens of answer (stop tokens do not end it, and
one token is forced, so that every token is text and arrives as one event). Parallel slots and
prefix caches are on; a first round that is not measured fills them. HONE and LLAMA_SERVER may also be ports of servers that run (already filled:
then with --filled). Tokens are those of `usage`, times are the client's: to the first token, and
between one token and the next. Without LLAMA_SERVER ("-") only hone is measured.

With --overhead, hone bench decodes in process at the same depth in turn with one client of the
server; the ratio is what the server costs.
"""
import argparse
import asyncio
import json
import os
import re
import statistics
import subprocess
import tempfile
import time
import urllib.request

TEXT = ("You are a patient assistant for the staff of a town library. Answer in plain words, name the "
        "shelf where a book stands if you know it, and say so if you do not. Readers ask about "
        "opening hours, lost cards, reserved books, reading groups and the history of the house. ")


class Server:
    def __init__(self, name, command, ready, log):
        self.name, self.log = name, open(log, "w+")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=subprocess.STDOUT,
                                        env={**os.environ, "HONE_HOME": tempfile.mkdtemp()})
        self.port = ready(self)

    def text(self):
        self.log.flush()
        with open(self.log.name) as f:
            return f.read()

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=60)


def wait_for(server, look):
    for _ in range(600):
        if server.process.poll() is not None:
            break
        if found := look(server):
            return found
        time.sleep(0.1)
    raise SystemExit(f"{server.name} does not start:\n{server.text()[-2000:]}")


class Running:
    """A server that somebody else started on this port."""

    def __init__(self, name, port):
        self.name, self.port = name, int(port)

    def stop(self):
        pass


def start_hone(a):
    if a.hone.isdigit():
        return Running("hone", a.hone)

    def look(server):
        found = re.search(r"listening on http://.*:(\d+)/v1\n(?:.*\n)*keys:", server.text())
        return found and int(found[1])
    return Server("hone", [a.hone, "serve", a.model, "--port", "0", "--quiet", "-t", str(a.threads),
                           "--slots", str(max(a.clients)), "--cache", "2G", "--context", "2048"],
                  lambda s: wait_for(s, look), "/tmp/compare-hone.log")


def start_llama(a):
    if a.llama.isdigit():
        return Running("llama-server", a.llama)
    port = 18080

    def look(_):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1) as answer:
                return port if answer.status == 200 else None
        except OSError:
            return None
    return Server("llama-server", [a.llama, "-m", a.model, "--port", str(port), "-t", str(a.threads),
                                   "-np", str(max(a.clients)), "-c", str(2048 * max(a.clients)),
                                   "--no-ui", "--cache-reuse", "64"],
                  lambda s: wait_for(s, look), "/tmp/compare-llama.log")


# --- clients ---


async def ask(port, body, token_ms):
    """(time to the first token, gaps, answer's tokens, prompt's, cached) of one streamed request."""
    data = json.dumps(body).encode()
    begin = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
                 b"application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(data)
                 + data)
    times, usage, last = [], None, b""
    async for line in reader:
        last = line.strip() or last
        if not line.startswith(b"data: {"):
            continue
        if b'"content":"' in line and b'"content":""' not in line:
            times.append(time.perf_counter())
        if b'"usage":{' in line:
            usage = json.loads(line[6:])["usage"]
    writer.close()
    if not usage or not times:
        raise SystemExit(f"an answer without tokens or usage from port {port}: {last[:300]}")
    token_ms.extend((b - c) * 1e3 for b, c in zip(times[1:], times))
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
    return (times[0] - begin) * 1e3, usage["completion_tokens"], usage["prompt_tokens"], cached


asked = int(time.time()) % 10 ** 6 * 100  # so that runs on one server differ


def system_prompt(a, port):
    """A text of some a.system tokens, whatever the tokenizer."""
    body = json.dumps({"prompt": TEXT * 4, "max_tokens": 1}).encode()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/completions", body) as answer:
        tokens = json.load(answer)["usage"]["prompt_tokens"]
    return (TEXT * 40)[:len(TEXT) * 4 * a.system // tokens]


async def crowd(a, port, n_clients, n_requests):
    """What n clients, each with n requests one after the other, get."""
    first, gaps, tokens, prompts, cached = [], [], 0, 0, 0

    async def client(_):
        global asked
        nonlocal tokens, prompts, cached
        for _ in range(n_requests):
            asked += 1
            question = f"Question {asked}: where do I find number {asked * 7919 % 10007}, and who wrote it?"
            answer = await ask(port, {
                "model": "", "stream": True, "stream_options": {"include_usage": True},
                "max_tokens": a.tokens, "temperature": 0, "ignore_eos": True,
                "logit_bias": {str(a.token): 100}, "messages": [
                    {"role": "system", "content": a.text},
                    {"role": "user", "content": question}]}, gaps)
            first.append(answer[0])
            tokens += answer[1]
            prompts += answer[2]
            cached += answer[3]
    begin = time.perf_counter()
    await asyncio.gather(*(client(i) for i in range(n_clients)))
    return {"seconds": time.perf_counter() - begin, "first": first, "gaps": gaps, "tokens": tokens,
            "prompts": prompts, "cached": cached}


def p95(values):
    return sorted(values)[min(len(values) - 1, len(values) * 95 // 100)]


def add(total, more):
    for key, value in more.items():
        total[key] = total[key] + value if key in total else value
    return total


def compare(a, servers):
    rows = []
    for s in servers if not a.filled else []:  # fills slots and caches
        asyncio.run(crowd(a, s.port, max(a.clients), 1))
    print(f"{'clients':>7} {'server':>14} {'tokens/s':>9} {'first p50':>10} {'first p95':>10} "
          f"{'gap p50':>8} {'gap p95':>8} {'gap max':>8} {'cached':>7}")
    for n in a.clients:
        totals = {s.name: {} for s in servers}
        for i in range(a.rounds):
            for s in servers if i % 2 == 0 else servers[::-1]:
                add(totals[s.name], asyncio.run(crowd(a, s.port, n, a.requests)))
        for name, t in totals.items():
            row = {"clients": n, "server": name, "tokens_per_s": t["tokens"] / t["seconds"],
                   "ttft_p50": statistics.median(t["first"]), "ttft_p95": p95(t["first"]),
                   "gap_p50": statistics.median(t["gaps"]), "gap_p95": p95(t["gaps"]),
                   "gap_max": max(t["gaps"]), "cached": t["cached"] / t["prompts"]}
            rows.append(row)
            print(f"{n:>7} {name:>14} {row['tokens_per_s']:>9.1f} {row['ttft_p50']:>10.1f} "
                  f"{row['ttft_p95']:>10.1f} {row['gap_p50']:>8.2f} {row['gap_p95']:>8.2f} "
                  f"{row['gap_max']:>8.1f} {row['cached']:>6.0%}", flush=True)
        if len(servers) == 2:
            ours, theirs = rows[-2:]
            print(f"{n:>7} {'hone/llama':>14} {ours['tokens_per_s'] / theirs['tokens_per_s']:>8.2f}× "
                  f"{'':>10} {ours['ttft_p95'] / theirs['ttft_p95']:>9.2f}× {'':>8} "
                  f"{ours['gap_p95'] / theirs['gap_p95']:>7.2f}×", flush=True)
    return rows


def overhead(a, server):
    """Decoding in process beside the server's gaps, at about the same depth, in turns."""
    ratios, depth = [], 560
    for _ in range(a.rounds + 2):
        made = subprocess.run([a.hone, "bench", a.model, "-t", str(a.threads), "-p", "16", "-n",
                               str(a.tokens), "-d", str(depth), "-r", "1", "--json"],
                              capture_output=True, text=True, check=True)
        inside = json.loads(made.stdout)["decode"]["tokens_per_s"]
        t = asyncio.run(crowd(a, server.port, 1, 2))
        outside = 1e3 / statistics.mean(t["gaps"])
        ratios.append(inside / outside - 1)
        print(f"in process {inside:.2f}, through the server {outside:.2f} tokens/s")
    print(f"overhead of the server: {statistics.median(ratios):.1%}")
    return statistics.median(ratios)


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("hone")
    a.add_argument("llama")
    a.add_argument("model")
    a.add_argument("--clients", default="1,4,8,16")
    a.add_argument("--requests", type=int, default=2)
    a.add_argument("--tokens", type=int, default=48)
    a.add_argument("--rounds", type=int, default=2)
    a.add_argument("--threads", type=int, default=os.cpu_count())
    a.add_argument("--token", type=int, default=1000, help="the token that is forced")
    a.add_argument("--system", type=int, default=500, help="tokens of the system prompt")
    a.add_argument("--filled", action="store_true")
    a.add_argument("--overhead", action="store_true")
    a.add_argument("--json")
    a = a.parse_args()
    a.clients = [int(n) for n in a.clients.split(",")]
    servers = [start_hone(a)] + ([start_llama(a)] if a.llama != "-" else [])
    a.text = system_prompt(a, servers[0].port)
    try:
        result = {"overhead": overhead(a, servers[0])} if a.overhead else \
            {"rows": compare(a, servers)}
        if a.json:
            with open(a.json, "w") as out:
                json.dump(result, out, indent=1)
    finally:
        for s in servers:
            s.stop()


if __name__ == "__main__":
    main()
