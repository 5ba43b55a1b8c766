#!/usr/bin/env python3
"""`model: "auto"` and strategies over several models, under plain HTTP. usage: auto.py HONE [TEST…]

The models are tiny ones of the reference data, with random weights: what they say does not count.
Ends with `N passed, N failed`.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))

import suite
from suite import MODEL, SHARED, Server

TALE = SHARED / "models" / "stories260K.gguf"  # it has no chat template
QUESTION = "What is 17 + 25?"


def pulled(hone, home, **names):
    """An environment whose store has these models and no others."""
    env = {"HONE_HOME": home, "HF_HUB_CACHE": home, "OLLAMA_MODELS": home}
    for name, path in names.items():
        subprocess.run([hone, "pull", "--name", name + ":1", str(path)], check=True, capture_output=True,
                       env={**os.environ, **env})
    return env


def write_rules(home, *rules):
    os.makedirs(os.path.join(home, "config"), exist_ok=True)
    with open(os.path.join(home, "config", "route.json"), "w", encoding="utf-8") as f:
        json.dump({"rules": rules}, f)


def post(server, path, status=200, **body):
    got, _, text = server.ask("POST", path, body)
    assert got == status, (got, text)
    return json.loads(text)


def ask(server, path="/v1/chat/completions", status=200, **fields):
    return post(server, path, status, **{
        "model": "auto", "messages": [{"role": "user", "content": QUESTION}], "max_tokens": 4, **fields})


def unload(server, name):
    server.ask("POST", "/api/generate", {"model": name, "keep_alive": 0})
    end = time.monotonic() + 10
    while name in server.ask("GET", "/api/ps")[2].decode() and time.monotonic() < end:
        time.sleep(0.02)


def test_the_choice_and_its_reasons_are_told(server):
    answer = ask(server)
    route = answer["hone"]["route"]
    assert answer["model"] == route["model"] == "one:1" and route["task"]["kind"] == "mathematics"
    assert route["basis"] == "default" and route["priority"] == "balanced", route
    assert route["reasons"][0].startswith("the prompt reads as mathematics") and route["rows"] == []
    named = ask(server, model="one:1")
    assert "hone" not in named


def test_the_first_chunk_of_a_stream_tells_the_choice(server):
    status, _, text = server.ask("POST", "/v1/chat/completions", {
        "model": "auto", "stream": True, "max_tokens": 4, "messages": [{"role": "user", "content": "Hi"}]})
    chunks = [json.loads(line[6:]) for line in text.decode().split("\n\n")
              if line.startswith("data: {")]
    assert status == 200 and chunks[0]["hone"]["route"]["model"] == "one:1"
    assert not any("hone" in c for c in chunks[1:])


def test_a_model_that_cannot_chat_is_passed_over_with_its_reason(server):
    """The smallest file, which speed would take, has no template; then the one that is loaded counts."""
    unload(server, "one:1")
    route = ask(server, priority="speed")["hone"]["route"]
    assert route["model"] == "one:1" and route["fallback"] and route["priority"] == "speed"
    assert "tale:1 cannot answer: it has no chat template" in route["reasons"], route
    unload(server, "tale:1")
    again = ask(server, priority="speed")["hone"]["route"]
    assert again["model"] == "one:1" and "(loaded)" in again["reasons"][-1] and not again["fallback"]
    assert ask(server, priority="fast", status=400)["error"]["message"].startswith("priority is")
    ask(server, model="one:1", priority=3, status=400)


def test_a_rule_decides_settings_system_and_strategy(server):
    write_rules(server.store, {"kinds": ["mathematics"], "model": "nobody:1"},
                {"kinds": ["mathematics"], "model": "one:1", "strategy": "sample2 & first",
                 "system": "Be brief.", "settings": {"temperature": 0.5, "max_tokens": 3}})
    try:
        answer = ask(server, max_tokens=None)
        route, trace = answer["hone"]["route"], answer["hone"]["trace"]
        assert route["basis"] == "rule" and route["fallback"] and "nobody:1" in route["reasons"][1]
        assert [round(d["temperature"], 3) for d in trace["draws"]] == [0.7, 0.7]  # draws are to differ
        assert all(d["completion_tokens"] <= 3 for d in trace["draws"])
        plain = ask(server, model="one:1")["usage"]["prompt_tokens"]
        assert trace["draws"][0]["prompt_tokens"] > plain  # the system text
        assert len(ask(server, strategy="sample3 & first")["hone"]["trace"]["draws"]) == 3
        both = ask(server, logprobs=True)  # no strategy there
        assert "trace" not in both["hone"] and both["choices"][0]["logprobs"]
        assert any("left out" in r for r in both["hone"]["route"]["reasons"])
        write_rules(server.store, {"strategy": "chain with nobody:1"})
        alone = ask(server)["hone"]
        assert "trace" not in alone and "lacks one of its models" in alone["route"]["reasons"][-1]
        write_rules(server.store, 7)
        broken = ask(server)["hone"]["route"]
        assert broken["fallback"] and any("cannot be read" in r for r in broken["reasons"])
    finally:
        os.remove(os.path.join(server.store, "config", "route.json"))


def test_ollamas_chat_chooses_too(server):
    last = ask(server, path="/api/chat", stream=False, max_tokens=None, options={"num_predict": 3},
               priority="quality")
    assert last["model"] == "one:1" and last["hone"]["route"]["priority"] == "quality"
    write_rules(server.store, {"model": "one:1", "strategy": "sc4", "system": "Be brief.",
                               "settings": {"temperature": 0.5, "max_tokens": 2}})
    try:
        def chat(options=None, **fields):
            return ask(server, path="/api/chat", stream=False, max_tokens=None, options={"seed": 1, **(options or {})},
                       **fields)

        ruled = chat()
        assert ruled["eval_count"] <= 2 and ruled["done_reason"] == "length", ruled
        assert ruled["prompt_eval_count"] > last["prompt_eval_count"], ruled
        assert "Ollama's API has none" in ruled["hone"]["route"]["reasons"][-1]
        assert chat(options={"num_predict": 3})["eval_count"] == 3
        own = chat(messages=[{"role": "system", "content": "x"}, {"role": "user", "content": QUESTION}])
        assert own["prompt_eval_count"] < ruled["prompt_eval_count"]
        told = ask(server, path="/api/generate", stream=False, prompt="Once", messages=None, max_tokens=None)
        assert told["eval_count"] <= 2
    finally:
        os.remove(os.path.join(server.store, "config", "route.json"))
    unload(server, "one:1")
    written = ask(server, path="/api/generate", stream=False, prompt="Once", messages=None,
                  max_tokens=None, options={"num_predict": 3}, priority="speed")
    assert written["hone"]["route"]["model"] == "tale:1", written  # no template is needed


def test_responses_choose_too(server):
    """A rule's settings and system text come under this endpoint's names; only chats take its strategy."""
    def respond(status=200, **fields):
        return post(server, "/v1/responses", status, **{"model": "auto", "input": QUESTION,
                                                        "max_output_tokens": 4, **fields})

    plain = respond(input=[{"role": "system", "content": "Hi"}, {"role": "user", "content": QUESTION}])
    assert plain["model"] == plain["hone"]["route"]["model"] == "one:1"
    assert plain["hone"]["route"]["task"]["kind"] == "mathematics"
    named = respond(model="one:1")
    assert "hone" not in named
    respond(priority="fast", status=400)
    write_rules(server.store, {"model": "one:1", "strategy": "sample2 & first", "system": "Be brief.",
                               "settings": {"temperature": 0.5, "max_tokens": 3}})
    try:
        ruled = respond(max_output_tokens=None)
        assert ruled["instructions"] == "Be brief." and ruled["temperature"] == 0.5
        assert ruled["max_output_tokens"] == 3 and ruled["usage"]["output_tokens"] <= 3
        assert ruled["usage"]["input_tokens"] > named["usage"]["input_tokens"]
        assert any("only chat completions" in r for r in ruled["hone"]["route"]["reasons"])
        own = respond(instructions="Sing.", temperature=0, max_output_tokens=2)
        assert own["instructions"] == "Sing." and own["temperature"] == 0 and own["max_output_tokens"] == 2
    finally:
        os.remove(os.path.join(server.store, "config", "route.json"))
    _, _, text = server.ask("POST", "/v1/responses", {"model": "auto", "input": "Hi", "stream": True,
                                                      "max_output_tokens": 3})
    events = [json.loads(line[6:]) for line in text.decode().splitlines() if line.startswith("data: {")]
    told = [e["response"]["hone"]["route"]["model"] for e in events if "response" in e]
    assert told == ["one:1"] * 3, told


def test_what_is_measured_meanwhile_is_seen(server):
    """Rules and rows are kept between requests; one that is new counts from the next request on."""
    question = [{"role": "user", "content": "If A implies B and B is false, what follows about A?"}]
    before = ask(server, messages=question)["hone"]["route"]
    assert before["basis"] == "default" and before["task"]["kind"] == "reasoning" and not before["rows"]
    for model in ("one:1", "tale:1"):
        subprocess.run([server.hone, "eval", model, "--tasks", "logic", "--limit", "6", "--seed", "3"], check=True,
                       capture_output=True, env={**os.environ, "HONE_TASKS": str(suite.ROOT / "tasks"),
                                                 "HONE_HOME": server.store})
    after = ask(server, messages=question)["hone"]["route"]
    assert sorted(r["model"] for r in after["rows"]) == ["one:1", "tale:1"], after
    assert ask(server, messages=question)["hone"]["route"] == after
    assert not ask(server)["hone"]["route"]["rows"]  # another kind has its own
    for name in os.listdir(server.store):
        if name.startswith("results.db"):
            os.remove(os.path.join(server.store, name))
    assert not ask(server, messages=question)["hone"]["route"]["rows"]


def test_completions_choose_too(server):
    """Prompts are gone on with without a template, so that the smallest model will do for speed."""
    def complete(status=200, **fields):
        return post(server, "/v1/completions", status, **{"model": "auto", "prompt": "Once", "max_tokens": 4,
                                                          **fields})

    unload(server, "one:1")
    answer = complete(priority="speed")
    assert answer["model"] == answer["hone"]["route"]["model"] == "tale:1"
    several = complete(prompt=["def fib(n):", "def prime(n):"])
    assert several["hone"]["route"]["task"]["kind"] == "code" and len(several["choices"]) == 2
    assert "name it" in complete(prompt=[1, 2], status=400)["error"]["message"]
    assert "name it" in complete(prompt=[[1, 2]], status=400)["error"]["message"]
    write_rules(server.store, {"model": "tale:1", "system": "Be brief.", "settings": {"max_tokens": 2}})
    try:
        ruled = complete(max_tokens=None)
        assert ruled["usage"]["completion_tokens"] <= 2
        assert any("system text is left out" in r for r in ruled["hone"]["route"]["reasons"])
    finally:
        os.remove(os.path.join(server.store, "config", "route.json"))


def test_several_models_answer_one_request(server):
    answer = ask(server, model="one:1", strategy="ensemble4 with one:1 + tale:1", seed=3)
    told = answer["hone"]
    assert told["models"] == ["one:1", "one:1", "tale:1"] and "route" not in told
    draws = told["trace"]["draws"]
    assert [d["model"] for d in draws] == [0, 1, 2, 2], draws
    assert [d["finish"] for d in draws[2:]] == ["failed"] * 2 and "template" in draws[2]["error"]
    assert answer["usage"]["completion_tokens"] == sum(d["completion_tokens"] for d in draws)
    again = ask(server, model="one:1", strategy="ensemble4 with one:1 + tale:1", seed=3)
    assert [d["text"] for d in again["hone"]["trace"]["draws"]] == [d["text"] for d in draws]
    missing = ask(server, model="one:1", strategy="chain with nobody:1", status=404)
    assert "nobody:1" in missing["error"]["message"]
    ask(server, model="one:1", strategy="chain", status=400)


def test_examples_come_with_the_request(server):
    plain = ask(server, model="one:1", strategy="none")["usage"]["prompt_tokens"]
    examples = [{"question": "1 + 1?", "answer": "2"}, {"question": "2 + 2?", "answer": "4"}]
    shown = ask(server, model="one:1", strategy="nearest2", strategy_examples=examples)
    assert shown["usage"]["prompt_tokens"] > plain
    for wrong in (7, [{"question": "1"}], [7]):
        ask(server, model="one:1", strategy="shots2", strategy_examples=wrong, status=400)
    ask(server, model="one:1", strategy="shots2", status=400)


def test_without_a_store_the_open_model_answers(served):
    with tempfile.TemporaryDirectory() as home:
        server = Server(served.hone, env=pulled(served.hone, home), models=(MODEL,))
        try:
            route = ask(server)["hone"]["route"]
            assert route["model"] == str(MODEL) and route["fallback"] and route["basis"] == "default"
        finally:
            server.stop()
        server = Server(served.hone, env=pulled(served.hone, home), models=())
        try:
            ask(server, status=404)
        finally:
            server.stop()


def main():
    hone, wanted = suite.arguments()
    if not MODEL.exists():
        return suite.skip_all(f"{MODEL} is not there")
    tally = suite.Tally()
    with tempfile.TemporaryDirectory() as home:
        server = Server(hone, env=pulled(hone, home, one=MODEL, tale=TALE), models=())
        server.store, server.hone = home, hone
        tally.run_all(suite.find(globals(), wanted), server)
        tally.check("the server ends with 0", server.stop() == 0)
    return tally.end()


if __name__ == "__main__":
    sys.exit(main())
