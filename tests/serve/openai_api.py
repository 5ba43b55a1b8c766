#!/usr/bin/env python3
"""OpenAI's API as its clients see it. usage: openai_api.py HONE [TEST…]

Clients: OpenAI's package for Python (every resource method that belongs to the endpoints, sync and
async, streamed and not, raw, with the parsing helpers), the one for Node, LangChain; schemathesis tries
what /openapi.json describes; the answers are held against OpenAI's own description. The models are tiny ones
with random weights, one of them with the chat template of Qwen 2.5 and one with DeepSeek-R1's, so what
they say means nothing, and grammars make them call tools. Ends with `N passed, N failed`.
"""
import asyncio
import base64
import functools
import json
import math
import os
import pathlib
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))

import suite
from run import run_node
from suite import MODEL, ROOT, SHARED, Server, wait_until

PACKAGES = ["openai==3.54.0", "langchain-openai==1.7.3", "schemathesis==4.32.5"]
TEMPLATES = SHARED / "data" / "vectors" / "templates"
MESSAGES = [{"role": "user", "content": "Once"}]
NO_END = {str(token): -100 for token in range(6)}  # the tokens that end an answer
NOOP = {"type": "function", "function": {"name": "noop", "description": "Does nothing"}}
WEATHER = {"type": "function", "function": {
    "name": "get_weather", "parameters": {
        "type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}, "days": {"enum": [1, 2]}},
        "required": ["city", "days"], "additionalProperties": False}}}


def make_model(folder, template):
    """The tiny model with room for long prompts, and with that chat template."""
    folder.mkdir()
    for file in MODEL.iterdir():
        if file.name not in ("chat_template.jinja", "config.json"):
            (folder / file.name).symlink_to(file)
    config = json.loads((MODEL / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 8192}))
    shutil.copy(template, folder / "chat_template.jinja")
    return folder


def client(server, **more):
    import openai
    return openai.OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="none", timeout=300,
                         max_retries=0, **more)


def run_async(server, work):
    import openai

    async def run():
        async with openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="none",
                                      timeout=300, max_retries=0) as c:
            return await work(c)

    return asyncio.run(run())


def refused(error, call, **fields):
    try:
        call(**fields)
    except error as e:
        assert e.body["message"], e
        return e.body["message"]
    raise AssertionError(f"{fields} was accepted")


# --- chat completions ---


def chat_settings(**more):
    return {"model": str(MODEL), "messages": MESSAGES, "max_tokens": 12, "temperature": 0.8, "seed": 7,
            **more}


def test_chat_sync_async_streamed_and_raw_agree(server):
    c = client(server)
    whole = c.chat.completions.create(**chat_settings())
    expected = whole.choices[0].message.content
    raw = c.chat.completions.with_raw_response.create(**chat_settings())
    assert raw.parse().choices[0].message.content == expected
    assert raw.headers["x-request-id"].startswith("req-")
    with c.chat.completions.with_streaming_response.create(**chat_settings()) as response:
        assert response.parse().choices[0].message.content == expected
    with c.chat.completions.stream(**chat_settings()) as stream:
        for _ in stream:
            pass
        assert stream.current_completion_snapshot.choices[0].message.content == expected

    async def work(a):
        one = await a.chat.completions.create(**chat_settings())
        chunks = await a.chat.completions.create(**chat_settings(stream=True))
        text = "".join([x.choices[0].delta.content or "" async for x in chunks])
        raw = await a.chat.completions.with_raw_response.create(**chat_settings())
        return one.choices[0].message.content, text, raw.parse().choices[0].message.content

    assert run_async(server, work) == (expected, expected, expected)


def test_chat_choices_and_usage(server):
    answer = client(server).chat.completions.create(**chat_settings(n=4))
    assert [x.index for x in answer.choices] == [0, 1, 2, 3]
    u = answer.usage
    assert u.total_tokens == u.prompt_tokens + u.completion_tokens and u.completion_tokens <= 48
    extra = answer.model_extra
    assert extra["timings"]["predicted_n"] <= 12 and extra["timings"]["ttft_ms"] > 0
    assert extra["memory"]["resident_bytes"] > 0
    again = client(server).chat.completions.create(**chat_settings())
    assert again.usage.prompt_tokens_details.cached_tokens == again.model_extra["timings"]["cache_n"] > 0


def test_chat_by_a_strategy(server):
    c = client(server)
    settings = chat_settings(temperature=1, seed=3, extra_body={"strategy": "sample4 & first"})
    answer = c.chat.completions.create(**settings)
    trace = answer.model_extra["hone"]["trace"]
    assert answer.model_extra["hone"]["strategy"] == "sample4 & first" and len(trace["draws"]) == 4
    assert answer.choices[0].message.content == trace["draws"][trace["chosen"]]["text"]
    assert answer.usage.completion_tokens == sum(d["completion_tokens"] for d in trace["draws"])
    assert len({d["text"] for d in trace["draws"]}) > 1
    assert c.chat.completions.create(**settings).choices[0].message.content == \
        answer.choices[0].message.content
    plain = {k: v for k, v in settings.items() if k not in ("extra_body", "model")}
    slug = c.chat.completions.create(model="sample4&first-" + settings["model"], **plain)
    assert slug.model_extra["hone"]["strategy"] == "sample4 & first"
    chunks = list(c.chat.completions.create(**settings, stream=True))
    draws = [x.model_extra["hone"]["draw"] for x in chunks if "draw" in x.model_extra.get("hone", {})]
    assert [d["n"] for d in draws] == [1, 2, 3, 4]
    text = "".join(x.choices[0].delta.content or "" for x in chunks)
    assert text == answer.choices[0].message.content


def test_chat_strategies_are_bounded_and_refused_by_name(server):
    c = client(server)
    answer = c.chat.completions.create(**chat_settings(extra_body={
        "optillm_approach": "sample8 & first", "strategy_budget": {"draws": 2}}))
    trace = answer.model_extra["hone"]["trace"]
    assert len(trace["draws"]) == 2 and trace["stop_reason"] == "budget of draws"
    for body, words in (({"strategy": "bonn"}, '"bon"'), ({"strategy": "sc4", "n": 2}, "n must be 1"),
                        ({"strategy": "sc4", "strategy_budget": 3}, "strategy_budget")):
        status, _, text = server.ask("POST", "/v1/chat/completions", {**chat_settings(), **body})
        assert status == 400 and words in json.loads(text)["error"]["message"], text


def test_chat_logprobs_stream_as_whole(server):
    settings = chat_settings(logprobs=True, top_logprobs=3)
    c = client(server)
    whole = c.chat.completions.create(**settings).choices[0].logprobs.content
    parts = [t for x in c.chat.completions.create(**settings, stream=True)
             for t in (x.choices[0].logprobs.content if x.choices[0].logprobs else [])]
    assert [t.token for t in whole] == [t.token for t in parts]
    assert all(abs(a.logprob - b.logprob) < 1e-3 and len(b.top_logprobs) == 3
               for a, b in zip(whole, parts))


def test_chat_stop_and_bias(server):
    c = client(server)
    free = c.chat.completions.create(**chat_settings(max_tokens=24)).choices[0].message.content
    stop = free[3:6]
    held = c.chat.completions.create(**chat_settings(max_tokens=24, stop=[stop, "\0never"[1:]]))
    assert held.choices[0].message.content == free[:free.index(stop)]
    assert held.choices[0].finish_reason == "stop"
    forced = c.chat.completions.create(**chat_settings(temperature=0, logit_bias={"45": 100}))
    assert set(forced.choices[0].message.content) == {"H"}  # token 45


def test_chat_refuses_by_name(server):
    import openai
    create = functools.partial(client(server).chat.completions.create, model=str(MODEL))
    for fields, word in (
            ({"functions": [{"name": "f"}]}, "functions"), ({"store": True}, "store"),
            ({"modalities": ["audio"]}, "modalities"), ({"audio": {"voice": "x", "format": "wav"}}, "audio"),
            ({"prediction": {"type": "content", "content": "x"}}, "prediction"),
            ({"web_search_options": {"x": 1}}, "web_search_options"),
            ({"verbosity": "low"}, "verbosity"), ({"extra_body": {"mirostat": 2}}, "mirostat"),
            ({"reasoning_effort": "huge"}, "reasoning_effort"),
            ({"extra_body": {"thinking_budget": -1}}, "thinking_budget"),
            ({"extra_body": {"chat_template_kwargs": {"x": "<|im_end|>"}}}, "chat_template_kwargs"),
            ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools"),
            ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "custom"),
            ({"tool_choice": "required"}, "tool_choice"),
            ({"tools": [NOOP], "tool_choice": {"type": "function", "function": {"name": "other"}}}, "other"),
            ({"messages": [{"role": "robot", "content": "x"}]}, "robot"),
            ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {
                "url": "data:image/png;base64,AAAA"}}]}]}, "image_url"),
            ({"messages": [{"role": "assistant", "tool_calls": [{"id": "x"}]}]}, "tool_calls")):
        message = refused(openai.BadRequestError, create, **{"messages": MESSAGES, **fields})
        assert word in message, (fields, message)
    spoken = [{"role": "user", "content": [
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}]}]
    # no model that hears is open here, nor in the store
    assert "hone pull whisper:base" in refused(openai.NotFoundError, create, messages=spoken)


def test_members_that_nobody_reads_are_held_to_the_description(server):
    tool = {"type": "function", "name": "f", "description": True}
    for path, body, words in (
            ("/v1/chat/completions", {"messages": [{**MESSAGES[0], "name": False}]}, "messages[0].name is false"),
            ("/v1/chat/completions", {"messages": MESSAGES, "tools": [
                {"type": "function", "function": {"name": "f", "strict": "x"}}]}, "tools[0].function.strict"),
            ("/v1/chat/completions", {"messages": [*MESSAGES, {"role": "assistant", "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "f", "arguments": {}}}]}]}, "arguments is an object"),
            ("/apply-template", {"messages": [{**MESSAGES[0], "reasoning_content": []}]}, "reasoning_content is a list"),
            ("/v1/responses", {"input": "x", "tools": [tool]}, "tools[0].description is true"),
            ("/v1/embeddings", {"input": "x", "stream": True}, "stream: there is no such field"),
            ("/tokenize", {"content": "x", "a" * 3000: 1}, "no such field")):
        status, _, answer = server.ask("POST", path, body)
        assert status == 400 and words in json.loads(answer)["error"]["message"], (path, answer)


def test_what_steers_openai_alone_is_taken(server):
    client(server).chat.completions.create(**chat_settings(
        user="u", metadata={"a": "b"}, safety_identifier="s", prompt_cache_key="k",
        service_tier="auto", modalities=["text"], verbosity="medium", store=False))


def test_chat_parse_holds_to_the_model(server):
    import pydantic

    class Answer(pydantic.BaseModel):
        yes: bool
        n: int

    def check(parsed):
        assert isinstance(parsed.yes, bool) and isinstance(parsed.n, int)

    settings = chat_settings(max_tokens=60, temperature=1)
    check(client(server).chat.completions.parse(**settings, response_format=Answer)
          .choices[0].message.parsed)

    async def work(a):
        return await a.chat.completions.parse(**settings, response_format=Answer)

    check(run_async(server, work).choices[0].message.parsed)


# --- tools ---


def tool_settings(server, **more):
    return chat_settings(**{"model": str(server.tooled), "tools": [NOOP, WEATHER], "max_tokens": 150,
                            "temperature": 1, "parallel_tool_calls": False, **more})


def test_named_tool_is_called_with_valid_arguments(server):
    named = {"type": "function", "function": {"name": "get_weather"}}
    for model in (server.tooled, MODEL):  # Hermes' form, told by the template or by hone
        for seed in range(3):
            answer = client(server).chat.completions.create(**tool_settings(
                server, model=str(model), tool_choice=named, seed=seed)).choices[0]
            assert answer.finish_reason == "tool_calls" and answer.message.content is None, answer
            call, = answer.message.tool_calls
            arguments = json.loads(call.function.arguments)
            assert call.function.name == "get_weather" and call.id.startswith("call_")
            assert arguments["city"] in ("Paris", "Rome") and arguments["days"] in (1, 2)


def test_tool_calls_stream_as_fragments(server):
    settings = tool_settings(server, tools=[WEATHER], tool_choice="required")
    whole, = client(server).chat.completions.create(**settings).choices[0].message.tool_calls
    name, arguments, n = None, "", 0
    for chunk in client(server).chat.completions.create(**settings, stream=True):
        for call in chunk.choices[0].delta.tool_calls or []:
            assert call.index == 0
            name = call.function.name or name
            arguments += call.function.arguments or ""
            n += 1
        reason = chunk.choices[0].finish_reason
    assert (name, arguments) == (whole.function.name, whole.function.arguments)
    assert n > 3 and reason == "tool_calls"
    with client(server).chat.completions.stream(**settings) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert "tool_calls.function.arguments.delta" in kinds, kinds
    assert final.choices[0].message.tool_calls[0].function.arguments == arguments


def test_parallel_calls(server):
    """The answer may not end, so that one call follows the other."""
    calls = client(server).chat.completions.create(**tool_settings(
        server, tools=[WEATHER], tool_choice="required", parallel_tool_calls=True, max_tokens=900,
        logit_bias=NO_END)).choices[0].message.tool_calls
    assert len(calls) > 2 and len({call.id for call in calls}) == len(calls)
    for call in calls[:-1]:  # the last one may be cut
        assert json.loads(call.function.arguments)["city"] in ("Paris", "Rome")


def test_results_of_tools_reach_the_template(server):
    messages = [*MESSAGES, {"role": "assistant", "content": None, "tool_calls": [
        {"id": "call_1", "type": "function",
         "function": {"name": "get_weather", "arguments": "{\"city\": \"Paris\"}"}}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}]
    for model in (server.tooled, MODEL):
        body = {"model": str(model), "messages": messages, "tools": [WEATHER]}
        prompt = json.loads(server.ask("POST", "/apply-template", body)[2])["prompt"]
        for words in ("\"name\": \"get_weather\"", "<tool_call>", "Paris", "<tool_response>\nsunny\n"):
            assert words in prompt, (words, prompt)
        client(server).chat.completions.create(**{**body, "max_tokens": 3})
    body["tool_choice"] = "none"
    prompt = json.loads(server.ask("POST", "/apply-template", {**body, "messages": MESSAGES})[2])["prompt"]
    assert "get_weather" not in prompt


# --- thoughts ---


def test_thoughts_are_parted_and_bounded(server):
    c = client(server)
    thinker = dict(model=str(server.thinker), messages=MESSAGES, temperature=1, seed=2, max_tokens=60,
                   extra_body={"ignore_eos": True, "chat_template_kwargs": {"enable_thinking": True}})
    free = c.chat.completions.create(**thinker).choices[0].message
    assert free.model_extra["reasoning_content"] and not free.content
    for budget in (0, 5, 20):
        bounded = {**thinker, "extra_body": {"ignore_eos": True, "thinking_budget": budget}}
        answer = c.chat.completions.create(**bounded)
        message, used = answer.choices[0].message, answer.usage.completion_tokens_details.reasoning_tokens
        assert message.content and "think>" not in message.content
        assert bool(message.model_extra.get("reasoning_content")) == (budget > 0)
        assert budget <= used <= budget + 12, (budget, used)  # the closing tag's own tokens
        chunks = list(c.chat.completions.create(**bounded, stream=True))
        parts = [x.choices[0].delta for x in chunks]
        assert "".join(d.content or "" for d in parts) == message.content
        assert "".join((d.model_extra or {}).get("reasoning_content") or "" for d in parts) == \
            (message.model_extra.get("reasoning_content") or "")
    assert c.chat.completions.create(**thinker, reasoning_effort="none").choices[0].message.content


def test_a_schema_holds_behind_thoughts(server):
    schema = {"type": "object", "properties": {"a": {"enum": [1, 2]}}, "required": ["a"],
              "additionalProperties": False}
    message = client(server).chat.completions.create(
        model=str(server.thinker), messages=MESSAGES, max_tokens=200, seed=4,
        logit_bias=NO_END,  # the thought does not end the answer
        extra_body={"thinking_budget": 10}, response_format={
            "type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}}
    ).choices[0].message
    assert message.model_extra["reasoning_content"] and json.loads(message.content)["a"] in (1, 2)


def cap_thoughts(server, strategy="think-cap4", thinks=True, **more):
    """The template opens the thought where it is told to; nothing that is drawn ends by itself."""
    return chat_settings(**{
        "model": str(server.opener), "max_tokens": 300, "extra_body": {
            "strategy": strategy, "logit_bias": NO_END, "chat_template_kwargs": {"enable_thinking": thinks}},
        **more})


def test_think_cap_closes_the_thought_of_a_thinking_template(server):
    c = client(server)
    answer = c.chat.completions.create(**cap_thoughts(server))
    message, trace = answer.choices[0].message, answer.model_extra["hone"]["trace"]
    assert message.reasoning_content and message.content
    assert "think>" not in message.reasoning_content + message.content
    stages = [(d["stage"], d["completion_tokens"]) for d in trace["draws"]]
    assert stages[:3] == [("thoughts", 128), ("probe", 24), ("thoughts", 128)] and stages[3][0] == "answer", stages
    assert sum(n for stage, n in stages if stage != "probe") == 300  # the request's own limit
    first, probe, second, last = trace["draws"]
    assert first["thought_tokens"] == second["thought_tokens"] == 128 and last["thought_tokens"] < 12
    # what was thought is not computed again, but for its last token
    assert probe["cached_tokens"] == first["prompt_tokens"] + 127 == second["cached_tokens"]
    assert last["cached_tokens"] == second["prompt_tokens"] + 127
    u = answer.usage
    assert u.completion_tokens == sum(n for _, n in stages)
    assert u.completion_tokens_details.reasoning_tokens == sum(d["thought_tokens"] for d in trace["draws"])
    chunks = list(c.chat.completions.create(**cap_thoughts(server, stream=True)))
    told = [x.model_extra["hone"]["draw"]["stage"] for x in chunks if "draw" in (x.model_extra or {}).get("hone", {})]
    assert told == [stage for stage, _ in stages]
    deltas = [x.choices[0].delta for x in chunks if x.choices]
    assert "".join(d.content or "" for d in deltas) == message.content
    assert "".join(getattr(d, "reasoning_content", None) or "" for d in deltas) == message.reasoning_content


def test_strategies_and_thoughts(server):
    c = client(server)
    plain = c.chat.completions.create(**cap_thoughts(server, thinks=False, max_tokens=200))
    assert plain.model_extra["hone"]["trace"]["draws"][0]["stage"] == "answer"
    assert not hasattr(plain.choices[0].message, "reasoning_content") and plain.choices[0].message.content
    budget = c.chat.completions.create(**cap_thoughts(server, strategy="none", max_tokens=60, extra_body={
        "strategy": "none", "logit_bias": NO_END, "chat_template_kwargs": {"enable_thinking": True},
        "thinking_budget": 20}))
    assert 20 <= budget.usage.completion_tokens_details.reasoning_tokens < 32 and budget.choices[0].message.content
    cut = c.chat.completions.create(**cap_thoughts(server, strategy="sc4", max_tokens=20))
    draws = cut.model_extra["hone"]["trace"]["draws"]
    assert all(d["answer"] is None and d["finish"] == "length" for d in draws)
    assert cut.choices[0].finish_reason == "length" and not cut.choices[0].message.content
    assert cut.choices[0].message.reasoning_content


# --- completions ---


def test_completions_sync_async_streamed_and_raw_agree(server):
    settings = dict(model=str(MODEL), prompt="Once upon", max_tokens=9, temperature=0.8, seed=3)
    c = client(server)
    expected = c.completions.create(**settings).choices[0].text
    assert c.completions.with_raw_response.create(**settings).parse().choices[0].text == expected
    text = "".join(x.choices[0].text for x in c.completions.create(**settings, stream=True))
    assert text == expected

    async def work(a):
        one = await a.completions.create(**settings)
        parts = [x.choices[0].text async for x in await a.completions.create(**settings, stream=True)]
        return one.choices[0].text, "".join(parts)

    assert run_async(server, work) == (expected, expected)


def test_completions_of_many_prompts(server):
    c = client(server)
    ids = json.loads(server.ask("POST", "/tokenize", {"content": "Once upon", "add_special": True})[2])
    alone = c.completions.create(model=str(MODEL), prompt="Once upon", max_tokens=5, temperature=0)
    many = c.completions.create(model=str(MODEL), prompt=[ids["tokens"], ids["tokens"][:2]] * 20,
                                max_tokens=5, temperature=0)
    assert [x.index for x in many.choices] == list(range(40))
    same = sum(x.text == alone.choices[0].text for x in many.choices[::2])
    assert same >= 18, same  # batches round differently
    assert many.usage.prompt_tokens == 20 * (len(ids["tokens"]) + 2)
    texts = c.completions.create(model=str(MODEL), prompt=["a", "b"], n=2, max_tokens=2, echo=True)
    assert [x.text[0] for x in texts.choices] == ["a", "a", "b", "b"]


def test_echo_with_logprobs_scores_prompts(server):
    """What lm-evaluation-harness' local-completions asks for."""
    c = client(server)
    ids = json.loads(server.ask("POST", "/tokenize", {"content": "Once upon a time there was"})[2])["tokens"]
    for most in (0, 1):
        choice = c.completions.create(model=str(MODEL), prompt=[ids], echo=True, logprobs=1, seed=1,
                                      max_tokens=most, temperature=0).choices[0]
        lists = choice.logprobs
        assert len(lists.tokens) == len(lists.token_logprobs) == len(lists.top_logprobs) == len(ids) + most
        assert lists.token_logprobs[0] is None and "".join(lists.tokens) == choice.text
        assert all(p <= 0 for p in lists.token_logprobs[1:])
        assert lists.text_offset == [sum(map(len, lists.tokens[:i])) for i in range(len(lists.tokens))]
    for i in range(1, len(ids)):  # each is what the model gives for that token behind the others
        one = c.completions.create(model=str(MODEL), prompt=ids[:i], logprobs=20, max_tokens=1,
                                   temperature=0, logit_bias={str(ids[i]): 100}).choices[0].logprobs
        assert abs(one.token_logprobs[0] - lists.token_logprobs[i]) < 0.02, i
    streamed = list(c.completions.create(model=str(MODEL), prompt=[ids], echo=True, logprobs=1,
                                         max_tokens=1, temperature=0, stream=True))
    got = [p for x in streamed if x.choices[0].logprobs for p in x.choices[0].logprobs.token_logprobs]
    assert len(got) == len(ids) + 1 and "".join(x.choices[0].text for x in streamed) == choice.text


def test_best_of_tells_the_most_probable(server):
    c = client(server)
    settings = dict(model=str(MODEL), prompt="Once", max_tokens=6, temperature=1.2, seed=5, logprobs=0)
    best = c.completions.create(**settings, n=2, best_of=6)
    all_six = c.completions.create(**settings, n=6)

    def mean(choice):
        values = choice.logprobs.token_logprobs
        return sum(values) / len(values)

    expected = sorted(map(mean, all_six.choices), reverse=True)[:2]
    assert all(abs(mean(a) - b) < 0.05 for a, b in zip(best.choices, expected)), (best, expected)


def test_completions_refuse_by_name(server):
    import openai
    create = functools.partial(client(server).completions.create, model=str(MODEL))
    for fields, word in (({"suffix": "x"}, "suffix"), ({"prompt": []}, "prompt"),
                         ({"prompt": [1, "a"]}, "prompt"), ({"prompt": [[10 ** 9]]}, "prompt"),
                         ({"prompt": [""]}, "prompt"), ({"best_of": 2, "n": 3}, "best_of"),
                         ({"best_of": 3, "stream": True}, "best_of"), ({"logprobs": 21}, "logprobs"),
                         ({"extra_body": {"grammar": "x"}}, "grammar"), ({"n": 10 ** 6}, "n"),
                         ({"prompt": ["x"] * 2000, "n": 16}, "2048")):
        message = refused(openai.BadRequestError, create, **{"prompt": "x", **fields})
        assert word in message, (fields, message)


# --- embeddings ---


def test_embeddings(server):
    c = client(server)
    ids = json.loads(server.ask("POST", "/tokenize", {"content": "hello", "add_special": True})[2])["tokens"]
    both = c.embeddings.create(model=str(MODEL), input=["hello", "a longer text about a dog"])
    plain = c.embeddings.create(model=str(MODEL), input=[ids], encoding_format="float")
    assert [d.index for d in both.data] == [0, 1]
    for a, b in zip(both.data[0].embedding, plain.data[0].embedding):
        assert abs(a - b) < 1e-3
    assert abs(sum(v * v for v in plain.data[0].embedding) - 1) < 1e-5
    raw = c.embeddings.with_raw_response.create(model=str(MODEL), input="hello", encoding_format="base64")
    coded = json.loads(raw.text)["data"][0]["embedding"]
    floats = struct.unpack(f"<{len(plain.data[0].embedding)}f", base64.b64decode(coded))
    assert max(abs(a - b) for a, b in zip(floats, plain.data[0].embedding)) < 1e-3
    cut = c.embeddings.create(model=str(MODEL), input="hello", dimensions=8).data[0].embedding
    length = math.sqrt(sum(v * v for v in floats[:8]))
    assert all(abs(a - b / length) < 1e-3 for a, b in zip(cut, floats[:8]))

    async def work(a):
        return await a.embeddings.create(model=str(MODEL), input=["text"] * 100)

    assert len(run_async(server, work).data) == 100


def test_embeddings_refuse_by_name(server):
    import openai
    create = functools.partial(client(server).embeddings.create, model=str(MODEL))
    for fields, word in (({"input": ""}, "input"), ({"input": []}, "input"), ({"dimensions": 0}, "dimensions"),
                         ({"dimensions": 10 ** 5}, "dimensions"), ({"encoding_format": "hex"}, "hex"),
                         ({"input": ["x"] * 2049}, "2048"), ({"input": "word " * 100000}, "context")):
        message = refused(openai.BadRequestError, create, **{"input": "x", **fields})
        assert word in message, (fields, message)


# --- responses ---


def test_responses_sync_async_streamed_and_raw_agree(server):
    settings = dict(model=str(MODEL), input="Once", instructions="Be brief.", max_output_tokens=9,
                    temperature=0.8, extra_body={"seed": 3}, metadata={"a": "b"})
    c = client(server)
    whole = c.responses.create(**settings)
    assert whole.status in ("completed", "incomplete") and whole.metadata == {"a": "b"}
    assert whole.usage.total_tokens == whole.usage.input_tokens + whole.usage.output_tokens
    assert c.responses.with_raw_response.create(**settings).parse().output_text == whole.output_text
    events = list(c.responses.create(**settings, stream=True))
    assert [e.sequence_number for e in events] == list(range(len(events)))
    text = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    assert text == whole.output_text
    names = [e.type for e in events if not e.type.endswith("delta")]
    assert names == ["response.created", "response.in_progress", "response.output_item.added",
                     "response.content_part.added", "response.output_text.done",
                     "response.content_part.done", "response.output_item.done",
                     f"response.{whole.status}"], names
    assert events[-1].response.output_text == text

    async def work(a):
        one = await a.responses.create(**settings)
        return one.output_text, "".join([e.delta async for e in await a.responses.create(
            **settings, stream=True) if e.type == "response.output_text.delta"])

    assert run_async(server, work) == (text, text)


def test_responses_parse_and_stream_helper(server):
    import pydantic

    class Answer(pydantic.BaseModel):
        yes: bool

    settings = dict(model=str(MODEL), input="Yes?", max_output_tokens=60, text_format=Answer)
    c = client(server)
    assert isinstance(c.responses.parse(**settings).output_parsed.yes, bool)
    with c.responses.stream(**settings) as stream:
        for _ in stream:
            pass
        assert isinstance(stream.get_final_response().output_parsed.yes, bool)

    async def work(a):
        return await a.responses.parse(**settings)

    assert isinstance(run_async(server, work).output_parsed.yes, bool)


def test_responses_call_tools(server):
    tool = {"type": "function", **WEATHER["function"], "strict": True}
    c = client(server)
    settings = dict(model=str(server.tooled), input=[{"role": "user", "content": [
        {"type": "input_text", "text": "Weather?"}]}], tools=[tool], tool_choice="required",
        parallel_tool_calls=False, max_output_tokens=200)
    answer = c.responses.create(**settings)
    call, = answer.output
    assert call.type == "function_call" and json.loads(call.arguments)["city"] in ("Paris", "Rome")
    events = list(c.responses.create(**settings, stream=True))
    done, = [e for e in events if e.type == "response.function_call_arguments.done"]
    assert done.name == "get_weather"
    assert "".join(e.delta for e in events
                   if e.type == "response.function_call_arguments.delta") == done.arguments
    follow = c.responses.create(model=str(server.tooled), max_output_tokens=5, tools=[tool], input=[
        *settings["input"], call.model_dump(exclude_none=True),
        {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}])
    assert follow.output


def test_responses_show_thoughts(server):
    answer = client(server).responses.create(model=str(server.thinker), input="Why?", max_output_tokens=60,
                                             extra_body={"thinking_budget": 8})
    assert answer.output[0].type == "reasoning" and answer.output[0].content[0].text
    assert 8 <= answer.usage.output_tokens_details.reasoning_tokens <= 20


def test_responses_refuse_by_name(server):
    import openai
    create = functools.partial(client(server).responses.create, model=str(MODEL), max_output_tokens=3)
    for fields, word in (({"store": True}, "store"), ({"previous_response_id": "resp_1"}, "previous_response_id"),
                         ({"conversation": "conv_1"}, "conversation"), ({"background": True}, "background"),
                         ({"truncation": "auto"}, "truncation"), ({"tools": [{"type": "web_search"}]}, "web_search"),
                         ({"reasoning": {"summary": "auto"}}, "summary"), ({"include": ["x"]}, "include"),
                         ({"input": []}, "input"), ({"input": [{"type": "item_reference", "id": "x"}]}, "stores nothing"),
                         ({"input": [{"role": "user", "content": [{"type": "input_image", "detail": "auto",
                                      "image_url": "data:image/png;base64,AA"}]}]}, "input_image"),
                         ({"extra_body": {"n": 2}}, "n")):
        message = refused(openai.BadRequestError, create, **{"input": "x", **fields})
        assert word in message, (fields, message)


# --- models and hone's own ---


def test_models(server):
    import openai
    c = client(server)
    names = [m.id for m in c.models.list()]
    assert str(MODEL) in names
    assert c.models.with_raw_response.list().parse().data
    refused(openai.NotFoundError, c.models.retrieve, model="nobody")

    async def work(a):
        return [m.id async for m in a.models.list()]

    assert run_async(server, work) == names


def test_tokens_and_templates(server):
    text = "Hello wörld <|im_end|>"
    tokens = json.loads(server.ask("POST", "/tokenize", {"content": text})[2])["tokens"]
    pieces = json.loads(server.ask("POST", "/tokenize", {"content": text, "with_pieces": True})[2])["tokens"]
    assert [p["id"] for p in pieces] == tokens and pieces[0]["piece"] == "H"
    assert json.loads(server.ask("POST", "/detokenize", {"tokens": tokens})[2])["content"] == text
    assert json.loads(server.ask("POST", "/detokenize", {"tokens": []})[2])["content"] == ""
    prompt = json.loads(server.ask("POST", "/apply-template", {"messages": MESSAGES})[2])["prompt"]
    assert prompt == "<|im_start|>user\nOnce<|im_end|>\n<|im_start|>assistant\n"
    for path, body in (("/tokenize", {}), ("/tokenize", {"content": 5}), ("/detokenize", {"tokens": ["x"]}),
                       ("/detokenize", {"tokens": [10 ** 9]}), ("/apply-template", {"messages": []}),
                       ("/tokenize", {"content": "x", "more": 1})):
        assert server.ask("POST", path, body)[0] == 400, (path, body)


# --- leaving ---


def test_a_cancelled_request_stops_within_one_step(server):
    """Whatever the endpoint, streamed or not: when the client is gone, steps end."""
    long = {"ignore_eos": True, "max_tokens": 4000}
    for path, body in (("/v1/chat/completions", {"messages": MESSAGES, **long}),
                       ("/v1/chat/completions", {"messages": MESSAGES, **long, "stream": True}),
                       ("/v1/completions", {"prompt": ["x"] * 3, **long, "n": 2}),
                       ("/v1/responses", {"input": "x", "stream": True, "text": {"format": {
                           "type": "json_schema", "name": "long",
                           "schema": {"type": "array", "items": {"enum": [1]}, "minItems": 900}}}}),
                       ("/v1/embeddings", {"input": ["word " * 400] * 1000})):
        data = json.dumps(body)
        s = socket.create_connection(("127.0.0.1", server.port))
        s.sendall(f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(data)}\r\n\r\n{data}"
                  .encode())
        wait_until(lambda: server.metric("hone_requests_processing") > 0, path)
        s.close()
        wait_until(lambda: server.metric("hone_requests_processing") == 0, path)
        steps = server.metric("hone_steps_total")
        time.sleep(0.2)
        assert server.metric("hone_steps_total") - steps <= 1, path


# --- others ---


def test_langchain(server):
    from langchain_core.messages import AIMessage, ToolMessage
    from langchain_openai import ChatOpenAI, OpenAIEmbeddings
    base = dict(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="none")
    model = ChatOpenAI(model=str(server.tooled), max_tokens=200, temperature=1, seed=1, **base)
    plain = ChatOpenAI(model=str(MODEL), max_tokens=6, **base)
    assert isinstance(plain.invoke("Hi"), AIMessage)
    assert "".join(x.content for x in plain.stream("Hi")) is not None
    assert len(plain.batch(["a", "b", "c"])) == 3
    assert asyncio.run(plain.ainvoke("Hi")).usage_metadata["total_tokens"] > 0
    bound = model.bind_tools([WEATHER], tool_choice="get_weather")
    answer = bound.invoke("Weather?")
    call = answer.tool_calls[0]
    assert call["name"] == "get_weather" and call["args"]["city"] in ("Paris", "Rome")
    again = model.bind_tools([WEATHER]).bind(max_tokens=5).invoke(
        [("user", "Weather?"), answer, *[ToolMessage("sunny", tool_call_id=c["id"]) for c in answer.tool_calls]])
    assert isinstance(again, AIMessage)
    structured = ChatOpenAI(model=str(MODEL), max_tokens=80, **base).with_structured_output(
        {**WEATHER["function"]["parameters"], "title": "weather"}, method="json_schema")
    assert structured.invoke("Weather?")["city"] in ("Paris", "Rome")
    vectors = OpenAIEmbeddings(model=str(MODEL), check_embedding_ctx_length=False, **base)
    assert len(vectors.embed_documents(["a", "b"])) == 2 and len(vectors.embed_query("a")) == 192


def test_openai_for_node(server):
    run = run_node("openai.mjs", f"http://127.0.0.1:{server.port}/v1", MODEL, server.tooled)
    assert run.returncode == 0, run.stdout + run.stderr


# --- descriptions ---


def routes_in_sources():
    found = set()
    for file in (ROOT / "src" / "serve").glob("*.c"):
        found |= set(re.findall(r'^\s*\{"([A-Z]+)", "(/[^"]*)", (?:true|false), ', file.read_text(), re.M))
    return found


def test_every_route_is_described(server):
    paths = json.loads(server.ask("GET", "/openapi.json")[2])["paths"]
    described = {(method.upper(), re.sub(r"\{.*\}$", "", path)) for path, item in paths.items()
                 for method in item if method != "parameters"}
    assert described == routes_in_sources(), described ^ routes_in_sources()


@functools.cache
def openai_components():
    import yaml
    text = (SHARED / "data" / "api" / "openai-openapi.yaml").read_text()
    document = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    schemas = json.loads(json.dumps(document["components"]["schemas"], default=str))
    return {"schemas": with_nulls(schemas)}


def with_nulls(schema):
    """OpenAPI 3.0's "nullable" in JSON schema's own words."""
    if isinstance(schema, list):
        return [with_nulls(s) for s in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: with_nulls(value) for key, value in schema.items()}
    return {"anyOf": [schema, {"type": "null"}]} if schema.pop("nullable", False) is True else schema


@functools.cache
def openai_validator(name):
    """OpenAI's own schema of that name."""
    from jsonschema_rs import validator_for
    return validator_for({"$ref": f"#/components/schemas/{name}", "components": openai_components()})


def test_answers_fit_openais_description(server):
    events_of = {tuple(schema["properties"]["type"]["enum"]): name
                 for name, schema in openai_components()["schemas"].items()
                 if name.startswith("Response") and name.endswith("Event") and "properties" in schema}

    def check(name, value):
        errors = list(openai_validator(name).iter_errors(value))
        assert not errors, (name, [str(e)[-600:] for e in errors[:3]])

    def ask(path, **body):
        status, _, data = server.ask("POST", path, body)
        assert status == 200, data
        return json.loads(data)

    def events(path, **body):
        data = server.ask("POST", path, {**body, "stream": True})[2].decode()
        return [json.loads(x) for x in re.findall(r"^data: (\{.*)$", data, re.M)]

    chat = dict(messages=MESSAGES, max_tokens=5, logprobs=True, top_logprobs=2)
    check("CreateChatCompletionResponse", ask("/v1/chat/completions", **chat))
    check("CreateChatCompletionResponse", ask("/v1/chat/completions", **tool_settings(
        server, tools=[WEATHER], tool_choice="required")))
    for chunk in events("/v1/chat/completions", **chat, stream_options={"include_usage": True}):
        check("CreateChatCompletionStreamResponse", chunk)
    check("CreateCompletionResponse", ask("/v1/completions", prompt="x", max_tokens=3, logprobs=2))
    check("CreateEmbeddingResponse", ask("/v1/embeddings", input="x"))
    check("ListModelsResponse", json.loads(server.ask("GET", "/v1/models")[2]))
    for body in (dict(input="x", max_output_tokens=4),
                 dict(model=str(server.thinker), input="x", max_output_tokens=40, thinking_budget=4)):
        check("Response", ask("/v1/responses", **body))
        for event in events("/v1/responses", **body):
            check(events_of[event["type"],], event)
    check("ErrorResponse", json.loads(server.ask("POST", "/v1/chat/completions", {})[2]))


def test_schemathesis(server):
    """What the description allows is answered as it says; what it forbids is refused."""
    checks = ("not_a_server_error,status_code_conformance,content_type_conformance,"
              "response_headers_conformance,response_schema_conformance,negative_data_rejection,"
              "unsupported_method")
    run = subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", "run", "--checks", checks, "--max-examples", "12",
         "--seed", "1", "--phases", "examples,coverage,fuzzing", "--suppress-health-check", "all", "--request-timeout", "60",
         "--exclude-path-regex", "^/(v1/audio|metrics|api/(pull|create|delete|copy|blobs))",
         f"http://127.0.0.1:{server.port}/openapi.json"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONWARNINGS": "ignore"},
        capture_output=True, text=True, timeout=600, cwd=tempfile.gettempdir())
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]


# --- the frame ---


def main():
    global MODEL
    hone, wanted = suite.arguments()
    if not MODEL.exists():
        return suite.skip_all(f"{MODEL} is not there")
    if not suite.use_packages(*PACKAGES):
        return suite.skip_all(f"{', '.join(PACKAGES)} cannot be had")
    tally = suite.Tally()
    with tempfile.TemporaryDirectory(prefix="hone-models-") as models:
        plain, tooled, thinker, opener = (make_model(pathlib.Path(models) / name, template) for name, template in (
            ("plain", MODEL / "chat_template.jinja"),
            ("tooled", TEMPLATES / "Qwen-Qwen2.5-7B-Instruct.jinja"),
            ("thinker", TEMPLATES / "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B.jinja"),
            ("opener", TEMPLATES / "Qwen-QwQ-32B.jinja")))
        MODEL = plain
        # exact: answers are compared that find more or less of their prompt in the cache
        server = Server(hone, "--exact", "--slots", "8", models=(plain, tooled, thinker, opener))
        server.tooled, server.thinker, server.opener = tooled, thinker, opener
        tally.run_all(suite.find(globals(), wanted), server)
        tally.check("the server ends with 0", server.stop() == 0)
    return tally.end()


if __name__ == "__main__":
    sys.exit(main())
