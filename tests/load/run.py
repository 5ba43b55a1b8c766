#!/usr/bin/env python3
"""`hone bench --url` against hone's own server and a stand-in that misbehaves. usage: run.py HONE [TEST…]

Ends with `N passed, N failed[, N skipped]`.
"""
import json
import os
import pathlib
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))

import suite

HONE = ""
HOME = ""


class StandIn:
    def __init__(self, *options):
        self.process = subprocess.Popen(
            [sys.executable, suite.ROOT / "tests" / "tools" / "answer_server.py", *options],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.url = f"http://127.0.0.1:{int(self.process.stdout.readline())}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def bench(url, *options, code=0):
    got = subprocess.run([HONE, "bench", "--url", url, "--json", "--decode", "16", "--prompt", "60", *options],
                         env={**os.environ, "HONE_HOME": HOME}, capture_output=True, text=True, timeout=300)
    assert got.returncode == code, (got.returncode, got.stdout, got.stderr)
    return json.loads(got.stdout) if code == 0 else got.stderr


def with_fault(fault, *options, n=12):
    with StandIn("--fault", fault) as server:
        return bench(server.url, "--requests", str(n), "--concurrency", "3", *options)


# What else runs while the tests do is no fault of the server.
MACHINE = re.compile("other programs used|processor time was given|processor's? (computed|quota)|container's processor|"
                     "swapped out|read from disk")


def sound(o):
    """Nothing speaks against the server; the machine may be busy."""
    return all(MACHINE.search(reason) for reason in o["reasons"])


def test_a_good_server_is_valid():
    with StandIn("--token-ms", "3") as server:
        for path in ("", "/", "/v1", "/v1/"):
            o = bench(server.url + path, "--requests", "12", "--concurrency", "3")
        assert sound(o), o["reasons"]
        assert o["api"] == "openai" and o["model"] == "stand-in" and o["done"] == 12, o
        assert o["most_open"] == 3 and sum(o["errors"].values()) == 0
        assert o["tpot_ms"]["p50"] > 2.5 and o["ttft_ms"]["p50"] >= 2.5, o
        assert o["e2e_ms"]["p99"] >= o["e2e_ms"]["p50"] >= o["ttft_ms"]["p50"]
        assert abs(o["output_tokens_per_s"] - 12 * 16 / o["seconds"]) < 1e-6 * o["output_tokens_per_s"]
        assert o["goodput"]["share"] == 1


def test_ollama():
    with StandIn("--api", "ollama") as server:
        o = bench(server.url, "--requests", "12", "--concurrency", "3")
        assert sound(o), o["reasons"]
        assert o["api"] == "ollama" and o["model"] == "stand-in:latest"
    with StandIn() as server:
        assert bench(server.url, "--requests", "10", "--api", "ollama")["api"] == "ollama"


def test_neither_api():
    with StandIn("--api", "none") as server:
        words = bench(server.url, code=1)
        assert "neither OpenAI's API" in words, words


def test_no_server():
    words = bench("http://127.0.0.1:9", code=1)
    assert "127.0.0.1:9" in words, words
    assert "not an http" in bench("ftp://127.0.0.1", code=2)


def test_arrivals_are_random_and_times_count_from_them():
    with StandIn("--token-ms", "1") as server:
        o = bench(server.url, "--requests", "40", "--rate", "40")
        assert sound(o), o["reasons"]
        assert 0.5 < o["seconds"] < 6, o["seconds"]
        # one at a time at a rate that it cannot keep: whoever waits is late from the planned arrival on
        slow = bench(server.url, "--requests", "40", "--rate", "400", "--concurrency", "1")
        assert slow["e2e_ms"]["p99"] > 5 * o["e2e_ms"]["p50"], (slow["e2e_ms"], o["e2e_ms"])
        assert not slow["valid"] and any("later than they were due" in r for r in slow["reasons"])


def test_goodput():
    o = with_fault("slow", "--ttft-limit", "100")
    assert o["goodput"]["share"] == 0 and o["goodput"]["requests_per_s"] == 0 and o["requests_per_s"] > 0
    o = with_fault("slow", "--ttft-limit", "5000", "--tpot-limit", "1000", "--answer-limit", "9000")
    assert o["goodput"]["share"] == 1


def expect(fault, *words, n=12):
    o = with_fault(fault, n=n)
    assert not o["valid"], fault
    for word in words:
        assert any(word in r for r in o["reasons"]), (fault, word, o["reasons"])
    return o


def test_counting_events_as_tokens():
    expect("counts_chunks", "seems to count events of the stream")
    expect("too_many", "are counted as longer than the 16 tokens")


def test_no_usage():
    o = expect("no_usage", "tells no usage")
    assert o["output_tokens_per_s"] == 0 and o["tpot_ms"] is None  # and nothing is made up instead


def test_cached_prompts():
    expect("cached", "found in the server's cache")


def test_truncated_prompts():
    expect("truncated", "left out a part of 12 of 12 prompts")


def test_early_end():
    expect("early", "12 of 12 answers ended before their 16 tokens")


def test_empty_answers():
    o = expect("empty", "12 of 12 answers are empty")
    assert o["ttft_ms"] is None and o["goodput"]["share"] == 0


def test_failures_are_kept_apart():
    o = expect("fails_some", "requests failed; the times are those of the others")
    assert o["errors"]["refused"] == 4 and o["done"] == 8 and o["ttft_ms"]["n"] == 8
    assert "out of tokens" in o["first_error"] and "500" in o["first_error"]
    o = expect("breaks", "requests failed")
    assert o["errors"]["broken"] == 4, o["errors"]
    o = expect("garbage", "requests failed")
    assert o["errors"]["malformed"] == 4, o["errors"]
    o = expect("error_event", "requests failed")
    assert o["errors"]["refused"] == 4 and "fell over" in o["first_error"], o
    o = expect("endless", "requests failed")
    assert o["errors"]["malformed"] == 12 and o["done"] == 0
    o = expect("long_line", "requests failed")
    assert o["errors"]["malformed"] == 4, o["errors"]


def test_timeouts():
    with StandIn("--fault", "slow") as server:
        words = bench(server.url, "--requests", "10", "--timeout", "0.1", code=1)
        assert "within the time" in words, words


def test_a_busy_machine_is_seen():
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count())]
    try:
        with StandIn("--token-ms", "2") as server:
            o = bench(server.url, "--requests", "20")
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
    assert not o["valid"] and any("other programs used" in reason for reason in o["reasons"]), o["reasons"]


def test_answers_may_hold_any_character():
    o = with_fault("nul")
    assert o["done"] == 12 and sound(o), o


def test_few_requests():
    with StandIn() as server:
        o = bench(server.url, "--requests", "3")
        assert any("say little about percentiles" in r for r in o["reasons"]), o["reasons"]


def test_a_server_that_refuses_unknown_fields():
    with StandIn("--fault", "strict") as server:
        o = bench(server.url, "--requests", "12")
        assert o["done"] == 12 and not o["ends_are_ignored"]


def test_it_is_kept():
    db = sqlite3.connect(f"{HOME}/results.db")
    kept = db.execute("SELECT id, state FROM result WHERE kind = 'load' ORDER BY id LIMIT 1").fetchone()
    assert kept[1] == "finished"
    assert db.execute("SELECT count(*) FROM item WHERE result = ?", kept[:1]).fetchone()[0] == 12
    assert db.execute("SELECT name, file LIKE 'http://127.0.0.1:%' FROM subject WHERE result = ?",
                      kept[:1]).fetchone() == ("stand-in", 1)  # the server's own name for its model
    metrics = {row[0] for row in db.execute("SELECT name FROM metric WHERE result = ?", kept[:1])}
    assert {"ttft", "tpot", "e2e", "goodput", "output_tokens"} <= metrics, metrics


def test_an_interrupt_ends_it():
    with StandIn("--token-ms", "50") as server:
        process = subprocess.Popen([HONE, "bench", "--url", server.url, "--requests", "100"],
                                   env={**os.environ, "HONE_HOME": HOME}, stdout=subprocess.DEVNULL)
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130


def test_hones_own_server():
    if not suite.MODEL.exists():
        raise suite.Skip(f"{suite.MODEL} is not there")
    with suite.Server(HONE, models=(suite.MODEL,)) as server:
        o = bench(f"http://127.0.0.1:{server.port}", "--requests", "16", "--concurrency", "4", "--prompt", "48")
        assert o["done"] == 16 and o["ends_are_ignored"], o
        assert sound(o), o["reasons"]
        assert o["output_tokens_per_s"] > 0 and o["ttft_ms"]["n"] == 16


def main():
    global HONE, HOME
    HONE, wanted = suite.arguments()
    tally = suite.Tally()
    with tempfile.TemporaryDirectory(prefix="hone-load-") as HOME:
        tally.run_all(suite.find(globals(), wanted))
    return tally.end()


if __name__ == "__main__":
    sys.exit(main())
