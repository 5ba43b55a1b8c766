#!/usr/bin/env python3
"""Ollama's API under its own clients (PyPI, npm) and raw requests. usage: ollama_api.py HONE [TEST…]

One server over a store with a few tiny models. Ends with `N passed, N failed`.
"""
import asyncio
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))

import suite
from run import run_node
from suite import MODEL, SHARED, Server, wait_until

PACKAGES = ["ollama==0.6.3", "openai==3.54.0"]
STORIES = SHARED / "models" / "stories260K.gguf"
THINKING = """{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' }}
{% endfor %}{{ '<|im_start|>assistant\n' }}{% if enable_thinking is not defined or enable_thinking %}<think>
{% endif %}"""
FEW = {"num_predict": 8, "temperature": 0}


class OllamaServer(Server):
    """A server whose store has `small` and `stories`, and a catalogue with `other:1b`."""

    def __init__(self, hone, *options, env=None):
        self.store = tempfile.TemporaryDirectory(prefix="hone-ollama-")
        self.hone = hone
        self.env = {"HONE_HOME": self.store.name, "OLLAMA_MODELS": self.store.name + "/none",
                    "HF_HUB_CACHE": self.store.name + "/none", **(env or {})}
        config = pathlib.Path(self.store.name, "config")
        config.mkdir()
        (config / "models.conf").write_text(
            f"[other:1b]\nlicense = MIT\nsource = {STORIES}\n"
            f"[broken:1b]\nsource = http://127.0.0.1:9/x.gguf\n")
        self.command("pull", MODEL, "--name", "small")
        self.command("pull", STORIES, "--name", "stories")
        super().__init__(hone, *options, env=self.env, models=())

    def command(self, *words):
        return subprocess.run([self.hone, *map(str, words)], env={**os.environ, **self.env},
                              check=True, capture_output=True, text=True).stdout

    def api(self, path, body=None, method="POST", **more):
        """(status, what the lines of the answer say)."""
        status, headers, data = self.ask(method, "/api/" + path, body, **more)
        lines = [json.loads(line) for line in data.decode().splitlines() if line.strip()]
        return status, lines[0] if len(lines) == 1 else lines

    def refuses(self, path, body, *words, status=400, method="POST"):
        got, answer = self.api(path, body, method)
        assert got == status, (path, body, got, answer)
        assert all(w in answer["error"] for w in words), answer

    def open_models(self):
        return {m["name"] for m in self.api("ps", method="GET")[1]["models"]}

    def stop(self, *arguments):
        code = super().stop(*arguments)
        self.store.cleanup()
        return code


def client_of(server):
    import ollama
    return ollama.Client(host=f"http://127.0.0.1:{server.port}", timeout=300)


# --- Ollama's own client ---


def test_chat_whole_and_streamed(server):
    client = client_of(server)
    ask = dict(model="small", messages=[{"role": "user", "content": "Tell me"}], options=FEW)
    whole = client.chat(**ask)
    assert whole.message.role == "assistant" and whole.done and whole.done_reason in ("stop", "length")
    assert whole.eval_count and whole.eval_count <= 8 and whole.prompt_eval_count > 3
    assert whole.total_duration >= whole.eval_duration > 0 and whole.prompt_eval_duration > 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", whole.created_at)
    parts = list(client.chat(**ask, stream=True))
    assert "".join(p.message.content for p in parts) == whole.message.content
    assert [p.done for p in parts] == [False] * (len(parts) - 1) + [True]
    assert parts[-1].eval_count == whole.eval_count and parts[0].eval_count is None


def test_generate_whole_and_streamed(server):
    client = client_of(server)
    whole = client.generate("stories", "Once upon a time", options=FEW)
    assert whole.response and len(whole.context) > 8
    parts = list(client.generate("stories", "Once upon a time", options=FEW, stream=True))
    assert "".join(p.response for p in parts) == whole.response
    assert parts[-1].context == whole.context


def test_context_continues_an_answer(server):
    client = client_of(server)
    first = client.generate("small", "One", options=FEW)
    second = client.generate("small", "Two", context=first.context, options=FEW)
    assert second.context[:len(first.context)] == first.context
    assert second.prompt_eval_count > first.prompt_eval_count
    server.refuses("generate", {"model": "small", "prompt": "x", "context": [10**9]}, "context")
    server.refuses("generate", {"model": "small", "prompt": "x", "context": "no"}, "context")


def test_raw_takes_the_prompt_as_it_is(server):
    client = client_of(server)
    raw = client.generate("small", "Once", raw=True, options=FEW)
    assert raw.context is None and raw.prompt_eval_count < 6
    assert client.generate("small", "Once", options=FEW).prompt_eval_count > raw.prompt_eval_count
    server.refuses("generate", {"model": "small", "prompt": "x", "raw": True, "system": "s"}, "raw")


def test_logprobs(server):
    client = client_of(server)
    answer = client.chat("small", [{"role": "user", "content": "x"}], options=FEW, logprobs=True,
                         top_logprobs=2)
    assert len(answer.logprobs) == answer.eval_count
    assert all(len(t.top_logprobs) == 2 and t.logprob <= 0 for t in answer.logprobs)
    parts = list(client.chat("small", [{"role": "user", "content": "x"}], options=FEW, logprobs=True,
                             stream=True))
    assert sum(len(p.logprobs or []) for p in parts) == answer.eval_count


def test_embed_and_embeddings(server):
    client = client_of(server)
    both = client.embed("small", ["Why?", "A tale of a dog"])
    assert len(both.embeddings) == 2 and both.prompt_eval_count > 2 and both.total_duration > 0
    assert all(abs(sum(x * x for x in v) - 1) < 1e-4 for v in both.embeddings)
    one = client.embed("small", "Why?")
    assert max(abs(a - b) for a, b in zip(one.embeddings[0], both.embeddings[0])) < 2e-2
    old = client.embeddings("small", "Why?")
    assert list(old.embedding) == one.embeddings[0]
    short = client.embed("small", "Why?", dimensions=8)
    assert len(short.embeddings[0]) == 8 and abs(sum(x * x for x in short.embeddings[0]) - 1) < 1e-4
    long = "word " * 3000
    assert client.embed("small", long).prompt_eval_count <= 512
    assert server.ask("POST", "/api/embed", {"model": "small", "input": long})[1][
        "X-Hone-Truncated-Inputs"] == "1"
    server.refuses("embed", {"model": "small", "input": long, "truncate": False}, "tokens")
    assert server.api("embed", {"model": "small", "input": []})[1]["embeddings"] == []
    server.refuses("embed", {"model": "small", "input": [1]}, "input")
    server.refuses("embed", {"model": "small", "input": ["x"] * 5000}, "at most")


def test_list_show_and_ps(server):
    client = client_of(server)
    models = {m.model: m for m in client.list().models}
    assert {"small:latest", "stories:latest"} <= set(models), models
    stories = models["stories:latest"]
    assert stories.size == STORIES.stat().st_size and stories.details.family == "llama"
    assert stories.digest == hashlib.sha256(STORIES.read_bytes()).hexdigest()
    assert stories.details.format == "gguf" and stories.details.quantization_level == "F32"
    assert stories.details.parameter_size.endswith("K")
    shown = client.show("stories")
    assert shown.modelinfo["general.architecture"] == "llama" and "completion" in shown.capabilities
    assert shown.modelinfo["tokenizer.ggml.tokens"] is None
    full = server.api("show", {"model": "stories", "verbose": True})[1]
    assert len(full["model_info"]["tokenizer.ggml.tokens"]) == 512
    assert full["tensors"][0]["name"] and full["modelfile"].count("FROM") == 1
    client.generate("stories", keep_alive="1h")
    loaded = {m.model: m for m in client.ps().models}["stories:latest"]
    assert loaded.size > 1e6 and loaded.context_length > 0 and loaded.digest == stories.digest
    assert 3500 < (loaded.expires_at.timestamp() - time.time()) <= 3600


def test_pull_by_names_of_the_catalogue(server):
    client = client_of(server)
    statuses = [p.status for p in client.pull("other:1b", stream=True)]
    assert statuses[0] == "pulling manifest" and statuses[-1] == "success", statuses
    assert client.pull("other:1b").status == "success"
    assert client.generate("other:1b", "Once", options=FEW).response is not None
    client.delete("other:1b")
    import ollama
    for stream in (False, True):
        try:
            answer = client.pull("broken:1b", stream=stream)
            if stream:
                list(answer)
            raise AssertionError("it was pulled")
        except ollama.ResponseError as e:
            assert "connect" in e.error, e.error


def test_copy_and_delete(server):
    import ollama
    client = client_of(server)
    client.copy("stories", "me/again:v1")
    assert client.generate("me/again:v1", "Once", options=FEW).done
    client.copy("small", "me/again:v1")  # Ollama replaces, too
    assert client.show("me/again:v1").details.format == "safetensors"
    client.delete("me/again:v1")
    assert "me/again:v1" not in {m.model for m in client.list().models}
    for call in (lambda: client.delete("me/again:v1"), lambda: client.copy("nobody", "x"),
                 lambda: client.show("nobody"), lambda: client.generate("nobody", "x")):
        try:
            call()
            raise AssertionError("there is no such model")
        except ollama.ResponseError as e:
            assert e.status_code == 404 and e.error, e


def test_create_from_a_model(server):
    client = client_of(server)
    states = [p.status for p in client.create(
        "mario", from_="small", system="You are Mario", parameters={"temperature": 0, "stop": ["Q:"],
                                                                    "num_predict": 5},
        messages=[{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Mario"}],
        license=["MIT", "and more"], stream=True)]
    assert states[-1] == "success" and "writing manifest" in states, states
    shown = client.show("mario")
    assert shown.parameters and "temperature" in shown.parameters and '"Q:"' in shown.parameters
    raw = server.api("show", {"model": "mario"})[1]
    assert raw["system"] == "You are Mario" and "and more" in raw["license"]
    assert [m["content"] for m in raw["messages"]] == ["Who?", "Mario"]
    plain = client.chat("small", [{"role": "user", "content": "Hi"}], options=FEW)
    mine = client.chat("mario", [{"role": "user", "content": "Hi"}])
    assert mine.prompt_eval_count > plain.prompt_eval_count + 5 and mine.eval_count <= 5
    own = client.chat("mario", [{"role": "system", "content": ""}, {"role": "user", "content": "Hi"}])
    assert own.prompt_eval_count < mine.prompt_eval_count
    assert client.create("luigi", from_="mario", system="You are Luigi", stream=False).status == "success"
    luigi = server.api("show", {"model": "luigi"})[1]
    assert luigi["system"] == "You are Luigi" and "num_predict" in luigi["parameters"]
    client.delete("mario")
    assert client.chat("luigi", [{"role": "user", "content": "Hi"}]).eval_count <= 5
    client.delete("luigi")


def test_openais_api_honours_what_was_created(server):
    import openai
    client_of(server).create("short", from_="small", system="Be very brief, whatever you are asked",
                             parameters={"num_predict": 3, "temperature": 0}, stream=False)
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="ollama")

    def ask(model, **more):
        return client.chat.completions.create(model=model, messages=[{"role": "user", "content": "Hi"}],
                                              **{"temperature": 0, **more})
    plain, short = ask("small", max_tokens=8), ask("short")
    assert short.usage.completion_tokens <= 3
    assert short.usage.prompt_tokens > plain.usage.prompt_tokens + 5
    assert ask("short", max_tokens=6).usage.completion_tokens == 6
    text = server.ask("POST", "/apply-template", {"model": "short", "messages": [
        {"role": "user", "content": "Hi"}]})[2].decode()
    assert "very brief" in text, text
    client_of(server).delete("short")


def test_create_from_uploaded_files(server):
    client = client_of(server)
    digest = client.create_blob(str(STORIES))
    assert digest == "sha256:" + hashlib.sha256(STORIES.read_bytes()).hexdigest()
    assert server.ask("HEAD", "/api/blobs/" + digest)[0] == 200
    assert client.create_blob(str(STORIES)) == digest  # a second time
    assert client.create("mine", files={"stories.gguf": digest}, stream=False).status == "success"
    answers = [client.generate(name, "Once upon a time", options=FEW).response
               for name in ("mine", "stories")]
    assert answers[0] == answers[1]
    folder = {p.name: client.create_blob(str(p)) for p in MODEL.iterdir()
              if p.suffix in (".json", ".safetensors", ".jinja")}
    assert client.create("folder", files=folder, stream=False).status == "success"
    asks = [{"role": "user", "content": "Hi"}]
    assert client.chat("folder", asks, options=FEW).message.content == \
        client.chat("small", asks, options=FEW).message.content
    for name in ("mine", "folder"):
        client.delete(name)


def test_create_quantised(server):
    client = client_of(server)
    parts = list(client.create("tiny", from_="stories", quantize="q8_0", stream=True))
    assert parts[-1].status == "success"
    assert any(p.status.startswith("quantizing") and p.total for p in parts), parts
    tiny = client.show("tiny")
    assert tiny.details.quantization_level == "Q8_0"
    assert client.generate("tiny", "Once", options=FEW).response
    assert client.create("tiny2", from_="small", quantize="F16", stream=False).status == "success"
    assert client.show("tiny2").details.format == "gguf"
    for name in ("tiny", "tiny2"):
        client.delete(name)
    server.refuses("create", {"model": "x", "from": "stories", "quantize": "q9"}, "quantize")


def test_what_is_no_model_gets_no_name(server):
    client = client_of(server)
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"GGUF but no more")
        file.flush()
        digest = client.create_blob(file.name)
    status, lines = server.api("create", {"model": "bad", "files": {"a.gguf": digest}})
    assert status == 200 and "error" in lines[-1], lines
    assert server.store.name not in lines[-1]["error"], lines
    server.refuses("show", {"model": "bad"}, status=404)
    status, answer = server.api("create", {"model": "bad", "files": {"a.gguf": digest},
                                           "stream": False})
    assert status == 400 and "error" in answer, answer


def test_keep_alive_opens_and_closes(server):
    client = client_of(server)
    loaded = server.api("generate", {"model": "stories", "keep_alive": "10m"})[1]
    assert loaded["done_reason"] == "load" and loaded["response"] == ""
    assert "stories:latest" in server.open_models()
    gone = server.api("chat", {"model": "stories", "messages": [], "keep_alive": 0})[1]
    assert gone["done_reason"] == "unload" and gone["message"]["content"] == ""
    wait_until(lambda: "stories:latest" not in server.open_models())
    client.generate("stories", "Once", options=FEW, keep_alive=0)
    wait_until(lambda: "stories:latest" not in server.open_models())
    client.generate("stories", "Once", options=FEW, keep_alive=-1)
    stays = [m for m in server.api("ps", method="GET")[1]["models"] if m["name"] == "stories:latest"]
    assert stays[0]["stays"] is True
    client.generate("stories", "Once", options=FEW, keep_alive="300ms")
    assert "stories:latest" in server.open_models()
    wait_until(lambda: "stories:latest" not in server.open_models())
    for wrong in ("soon", "5 m", {}, "1x", ""):
        server.refuses("generate", {"model": "stories", "keep_alive": wrong}, "keep_alive")


def test_format_json_and_schema(server):
    client = client_of(server)
    schema = {"type": "object", "properties": {"age": {"type": "integer"}, "ok": {"type": "boolean"}},
              "required": ["age", "ok"]}
    for fmt in ("json", schema):
        for seed in range(3):
            answer = client.chat("small", [{"role": "user", "content": "JSON"}], format=fmt,
                                 options={"num_predict": 300, "temperature": 1, "seed": seed})
            if answer.done_reason != "stop":
                continue
            value = json.loads(answer.message.content)
            assert isinstance(value, dict)
            if fmt is schema:
                assert isinstance(value["age"], int) and isinstance(value["ok"], bool), value
    answer = client.generate("stories", "JSON", format=schema, options={"num_predict": 200, "seed": 1})
    assert answer.response.lstrip().startswith("{")
    server.refuses("chat", {"model": "small", "messages": [{"role": "user", "content": "x"}],
                            "format": "yaml"}, "format")
    server.refuses("chat", {"model": "small", "messages": [{"role": "user", "content": "x"}],
                            "format": {"type": "string", "pattern": "("}})


def test_thinking_is_told_apart(server):
    import ollama
    client = client_of(server)
    client.create("thinker", from_="small", template=THINKING, stream=False)
    ask = [{"role": "user", "content": "Why?"}]
    thought = client.chat("thinker", ask, think=True, options=FEW)
    assert thought.message.thinking and not thought.message.content
    plain = client.chat("thinker", ask, think=False, options=FEW)
    assert plain.message.content and not plain.message.thinking
    assert client.generate("thinker", "Why?", think="low", options=FEW).thinking
    assert "thinking" in client.show("thinker").capabilities
    parts = list(client.chat("thinker", ask, think=True, options=FEW, stream=True))
    assert "".join(p.message.thinking or "" for p in parts) == thought.message.thinking
    try:
        client.chat("small", ask, think=True)
        raise AssertionError("this model does not think")
    except ollama.ResponseError as e:
        assert e.status_code == 400 and "thinking" in e.error
    server.refuses("chat", {"model": "small", "messages": ask, "think": "deep"}, "think")
    client.delete("thinker")


def weather(city: str) -> str:
    """The weather of a city.

    Args:
        city: its name

    Returns:
        str: the weather
    """
    return city


def test_tools(server):
    client = client_of(server)
    history = [{"role": "user", "content": "Weather in Rome?"},
               {"role": "assistant", "content": "", "tool_calls": [
                   {"function": {"name": "weather", "arguments": {"city": "Rome"}}}]},
               {"role": "tool", "content": "sunny", "tool_name": "weather"}]
    with_tools = client.chat("small", history, tools=[weather], options=FEW)
    assert with_tools.done
    without = client.chat("small", history[:1], options=FEW)
    assert with_tools.prompt_eval_count > without.prompt_eval_count + 20
    server.refuses("chat", {"model": "small", "messages": history, "tools": [{"type": "x"}]}, "tools")
    server.refuses("chat", {"model": "small", "messages": [
        {"role": "assistant", "tool_calls": [{"function": {"name": "x", "arguments": "text"}}]}]},
        "arguments")


def test_push_and_images_are_refused_in_words(server):
    server.refuses("push", {"model": "small"}, "push", status=403)
    image = "iVBORw0KGgo="
    server.refuses("generate", {"model": "small", "prompt": "x", "images": [image]}, "images")
    server.refuses("chat", {"model": "small", "messages": [
        {"role": "user", "content": "x", "images": [image]}]}, "images")
    server.refuses("generate", {"model": "small", "prompt": "a", "suffix": "b"}, "insert")


def test_members_that_nobody_reads_are_held_to_the_description(server):
    tool = {"type": "function", "function": {"name": "f", "description": []}}
    messages = [{"role": "user", "content": "x"}]
    server.refuses("chat", {"model": "small", "messages": messages, "tools": [tool]},
                   "tools[0].function.description is a list")
    server.refuses("generate", {"model": "small", "prompt": "x", "options": {"top_k": 1.5}}, "top_k")
    server.refuses("show", {"model": "small", "verbose": 1}, "verbose is 1")
    server.refuses("create", {"model": "new", "from": "small", "license": {"a": 1}}, "license")
    server.refuses("copy", {"source": "small", "destination": 1}, "destination")
    server.refuses("show", {"model": "xö" * 700}, "not a model's name")  # which is cut inside a letter


def test_async_client(server):
    import ollama

    async def everything():
        client = ollama.AsyncClient(host=f"http://127.0.0.1:{server.port}", timeout=300)
        ask = [{"role": "user", "content": "Hi"}]
        whole, generated, vectors, listed, shown, running = await asyncio.gather(
            client.chat("small", ask, options=FEW), client.generate("small", "Hi", options=FEW),
            client.embed("small", "Hi"), client.list(), client.show("small"), client.ps())
        assert whole.done and generated.done and vectors.embeddings and listed.models
        assert shown.details.family == "llama" and running is not None
        assert (await client.embeddings("small", "Hi")).embedding
        text = ""
        async for part in await client.chat("small", ask, options=FEW, stream=True):
            text += part.message.content
        assert text == whole.message.content
        count = 0
        async for part in await client.generate("small", "Hi", options=FEW, stream=True):
            count += 1
        assert count > 1
        digest = await client.create_blob(str(STORIES))
        async for state in await client.create("a1", files={"x.gguf": digest}, stream=True):
            last = state.status
        assert last == "success"
        assert (await client.create("a2", from_="a1", stream=False)).status == "success"
        assert (await client.copy("a1", "a3")).status == "success"
        async for state in await client.pull("other:1b", stream=True):
            last = state.status
        assert last == "success" and (await client.pull("other:1b")).status == "success"
        for name in ("a1", "a2", "a3", "other:1b"):
            assert (await client.delete(name)).status == "success"

    asyncio.run(everything())


def test_openai_client_on_the_same_models(server):
    import openai
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="ollama")
    answer = client.chat.completions.create(model="small", max_tokens=4, temperature=0,
                                            messages=[{"role": "user", "content": "Hi"}])
    assert answer.usage.completion_tokens <= 4


# --- npm's client ---


def test_node_client(server):
    done = run_node("ollama.mjs", f"http://127.0.0.1:{server.port}", STORIES)
    assert done.returncode == 0, done.stdout + done.stderr
    checks = done.stdout.split()
    assert checks[-1] == "done" and len(checks) >= 15, checks


# --- the protocol ---


def test_root_and_version(server):
    assert server.ask("GET", "/")[2] == b"Ollama is running"
    assert server.ask("HEAD", "/")[0] == 200
    assert re.fullmatch(r"\d+\.\d+\.\d+", server.api("version", method="GET")[1]["version"])


def test_options_have_their_meaning(server):
    def ask(**options):
        return server.api("generate", {"model": "small", "prompt": "Once", "stream": False,
                                       "options": {"num_predict": 12, **options}})[1]
    assert ask(temperature=0)["response"] == ask(temperature=0)["response"]
    assert ask(temperature=1, seed=3)["response"] == ask(temperature=1, seed=3)["response"]
    assert len({ask(temperature=2, seed=i, top_k=0, top_p=1)["response"] for i in range(4)}) > 1
    assert ask(temperature=0)["eval_count"] == 12 and ask(num_predict=3)["eval_count"] == 3
    greedy = ask(temperature=0)["response"]
    assert ask(temperature=2, top_k=1)["response"] == greedy
    assert ask(temperature=0, repeat_penalty=1)["response"] == ask(
        temperature=0, repeat_last_n=0)["response"]
    stopped = ask(temperature=0, stop=[greedy[2:4]])
    assert stopped["response"] == greedy[:greedy.index(greedy[2:4])] and \
        stopped["done_reason"] == "stop"
    limited = ask(temperature=0, num_ctx=20, num_predict=-1)
    assert limited["prompt_eval_count"] + limited["eval_count"] <= 21


def test_unsupported_options_are_never_silent(server):
    body = {"model": "small", "prompt": "x", "stream": False,
            "options": {**FEW, "num_gpu": 1, "numa": False, "num_ctx": 1 << 20, "what\n": 1}}
    headers = server.ask("POST", "/api/generate", body)[1]
    noted = headers["X-Hone-Ignored-Options"]
    assert all(w in noted for w in ("num_gpu", "numa", "num_ctx", "?")), noted
    more = server.ask("POST", "/api/generate", {**body, "shift": True, "width": 5, "Bad\r\n": 1})[1]
    noted = more["X-Hone-Ignored-Options"]
    assert all(w in noted for w in ("num_gpu", "shift", "width", "?")), noted
    server.refuses("generate", {**body, "options": {"mirostat": 1}}, "mirostat")
    server.refuses("generate", {**body, "options": {"tfs_z": 0.5}}, "tfs_z")
    server.refuses("generate", {**body, "template": "{{ .Prompt }}"}, "template")
    for wrong in ({"temperature": -1}, {"top_p": 2}, {"num_predict": "x"}, {"stop": 5},
                  {"seed": "x"}, {"top_k": 1.5}, {"num_ctx": -5}, "text"):
        server.refuses("generate", {**body, "options": wrong})


def test_long_chats_lose_old_messages_and_say_so(server):
    messages = [{"role": "system", "content": "Be kind"}]
    for i in range(60):
        messages += [{"role": "user", "content": f"Question {i} about many things"},
                     {"role": "assistant", "content": f"Answer {i} to many things"}]
    messages += [{"role": "user", "content": "The last one"}]
    body = {"model": "small", "messages": messages, "stream": False, "options": FEW}
    status, headers, data = server.ask("POST", "/api/chat", body)
    assert status == 200 and int(headers["X-Hone-Dropped-Messages"]) > 50, headers.items()
    assert 250 < json.loads(data)["prompt_eval_count"] < 512
    server.refuses("chat", {**body, "truncate": False}, "tokens")
    server.refuses("generate", {"model": "small", "prompt": "x " * 3000}, "tokens")


def test_malformed_bodies(server):
    for path in ("generate", "chat", "embed", "embeddings", "show", "pull", "create", "copy"):
        for body in (b"", b"{", b"[]", b"null", b"\xff", b'{"model": 5}', b'{"model": null}', b"{}",
                     b'{"model": "' + b"x" * 5000 + b'"}', b'{"model": "a", "model": "b"}'):
            status, answer = server.api(path, body)
            assert status in (400, 404) and isinstance(answer["error"], str), (path, body[:20], answer)
    for fields in ({"messages": "x"}, {"messages": [5]}, {"messages": [{"content": "x"}]},
                   {"messages": [{"role": "robot", "content": "x"}]}, {"stream": 1},
                   {"messages": [{"role": "user", "content": 5}]}, {"top_logprobs": 5},
                   {"think": 5}, {"tools": {}}, {"format": 5}, {"options": []}, {"truncate": "x"}):
        server.refuses("chat", {"model": "small", "messages": [{"role": "user", "content": "x"}],
                                **fields})


def test_cve_2024_37032_no_path_reaches_the_file_system(server):
    """Probllama and its successors: names and digests that are paths."""
    secret = pathlib.Path(server.store.name, "secret.gguf")
    secret.write_bytes(STORIES.read_bytes())
    paths = ("../../../etc/passwd", "/etc/passwd", str(secret), "./x", "~/x", "..", "a/../b", "x\\y",
             "file:///etc/passwd", "pip:x==1#y", "http://127.0.0.1:1/x.gguf",
             "ollama:127.0.0.1:1/library/x", "secret.gguf", "a\u0000b")
    for name in paths:
        for path, body in (("pull", {"model": name, "stream": False}), ("show", {"model": name}),
                           ("create", {"model": name, "from": "small", "stream": False}),
                           ("create", {"model": "x", "from": name, "stream": False}),
                           ("copy", {"source": name, "destination": "x"}),
                           ("generate", {"model": name, "prompt": "x"})):
            if path == "create" and body["model"] == name == "secret.gguf":
                continue  # a name like any other
            if path == "pull" and name == "secret.gguf":
                continue  # a name in Ollama's registry, which is not asked here
            status, answer = server.api(path, body)
            assert status in (400, 404), (path, name, status, answer)
            assert "root:" not in json.dumps(answer)
        assert server.api("delete", {"model": name}, "DELETE")[0] in (400, 404)
    for digest in ("sha256:" + "0" * 63, "sha256:" + "Z" * 64, "sha256:../../" + "0" * 58, "x", "..",
                   "sha256:" + "0" * 64 + "/../../x", "md5:" + "0" * 64):
        assert server.ask("POST", "/api/blobs/" + digest, b"x")[0] in (400, 404), digest
        assert server.ask("HEAD", "/api/blobs/" + digest)[0] in (400, 404), digest
    blob = hashlib.sha256(STORIES.read_bytes()).hexdigest()
    for name in ("../x.gguf", "/x.gguf", ".x", "a/b.gguf", "", "x" * 300):
        server.refuses("create", {"model": "x", "files": {name: "sha256:" + blob}}, "file name")
    server.refuses("create", {"model": "x", "files": {"x.gguf": "../" + blob}}, "digest")
    for field in ("path", "modelfile"):
        server.refuses("create", {"model": "x", "from": "small", field: "/etc/passwd"}, field)
    assert secret.exists()
    found = {str(p.relative_to(server.store.name)) for p in pathlib.Path(server.store.name).rglob("x*")}
    assert not found, found


def test_a_blob_with_another_hash_is_thrown_away(server):
    digest = "sha256:" + hashlib.sha256(b"right").hexdigest()
    status, answer = server.api("blobs/" + digest, b"wrong")
    assert status == 400 and "digest mismatch" in answer["error"]
    assert server.ask("HEAD", "/api/blobs/" + digest)[0] == 404
    assert not list(pathlib.Path(server.store.name, "blobs").glob("*.part"))
    assert server.ask("POST", "/api/blobs/" + digest, b"right")[0] == 201


def test_large_blobs_are_not_held_in_memory(server):
    piece = os.urandom(1 << 20)
    digest = hashlib.sha256(piece * 300).hexdigest()
    import http.client
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=300)
    before = resident(server)
    connection.putrequest("POST", "/api/blobs/sha256:" + digest)
    connection.putheader("Content-Length", str(len(piece) * 300))
    connection.endheaders()
    for _ in range(300):
        connection.send(piece)
    assert connection.getresponse().status == 201
    assert resident(server) - before < 60 << 20, (before, resident(server))
    path = pathlib.Path(server.store.name, "blobs", "sha256-" + digest)
    assert path.stat().st_size == 300 << 20 and path.stat().st_mode & 0o222 == 0
    path.unlink()


def resident(server):
    text = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", text)[1]) << 10


def test_a_model_can_be_deleted_while_it_is_open(server):
    server.api("create", {"model": "gone", "from": "stories", "quantize": "q8_0", "stream": False})
    assert server.api("generate", {"model": "gone", "prompt": "Once", "stream": False,
                                   "options": FEW})[0] == 200
    assert server.ask("DELETE", "/api/delete", {"model": "gone"})[0] == 200
    assert "gone:latest" not in server.open_models()
    server.refuses("show", {"model": "gone"}, status=404)


def test_many_models_at_once(server):
    """Each answer is that of its own model, whatever comes and goes beside it."""
    names = ["small", "stories"]
    alone = {n: server.api("generate", {"model": n, "prompt": "Once", "stream": False, "options": FEW})[
        1]["response"] for n in names}

    def one(i):
        name = names[i % 2]
        answer = server.api("generate", {"model": name, "prompt": "Once", "stream": False,
                                         "options": FEW, "keep_alive": 0 if i % 3 else "1m"})[1]
        return name, answer.get("response", answer)

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        for name, text in pool.map(one, range(24)):
            assert text == alone[name], (name, text)


# --- operating it ---


def metrics_of(server):
    """{name: value of its last row} and the text."""
    text = server.ask("GET", "/metrics")[2].decode()
    rows = re.findall(r"^([a-z_]+)(?:\{([^}]*)\})? (\S+)$", text, re.M)
    return {name: float(value) for name, _, value in rows}, text


def test_histograms_count_every_answer(server):
    def counts():
        text = metrics_of(server)[1]
        return {name: float(re.search(
            rf'^{name}_count{{model="small:latest"}} (\S+)$', text, re.M)[1]) for name in (
                "hone_request_seconds", "hone_time_to_first_token_seconds",
                "hone_time_per_token_seconds", "hone_queue_seconds")}
    server.api("generate", {"model": "small", "prompt": "Once", "options": FEW})
    before = counts()
    for _ in range(3):
        server.api("generate", {"model": "small", "prompt": "Once", "options": FEW})
    assert {n: v - before[n] for n, v in counts().items()} == dict.fromkeys(before, 3)
    text = metrics_of(server)[1]
    buckets = [float(v) for v in re.findall(
        r'^hone_request_seconds_bucket\{model="small:latest",le="[^"]+"\} (\S+)$', text, re.M)]
    assert len(buckets) == 17 and buckets == sorted(buckets)
    assert buckets[-1] == counts()["hone_request_seconds"]
    total = float(re.search(r'^hone_request_seconds_sum\{model="small:latest"\} (\S+)$', text, re.M)[1])
    assert total > 0


def test_every_metric_of_the_dashboard_and_the_manual_is_there(server):
    server.api("generate", {"model": "small", "prompt": "Once", "options": FEW})
    there = metrics_of(server)[1]
    dashboard = (suite.ROOT / "packaging" / "grafana-hone.json").read_text()
    json.loads(dashboard)
    manual = (suite.ROOT / "docs" / "serving.md").read_text()
    wanted = set(re.findall(r"hone_[a-z_]+", dashboard)) | set(
        re.findall(r"`(hone_[a-z_]+)`", manual.split("## Metrics")[1].split("With `--adapt`:")[0]))
    assert len(wanted) > 20
    for name in wanted:
        assert re.search(rf"^{name}(_bucket)?[{{ ]", there, re.M), name
    documented = set(re.findall(r"hone_[a-z_]+", manual))
    for name in re.findall(r"^(hone_[a-z_]+?)(?:_bucket|_sum|_count)?[{ ]", there, re.M):
        assert name in documented, f"{name} is not in the manual"


def test_request_ids_go_in_and_out(server):
    own = server.ask("GET", "/health")[1]["X-Request-Id"]
    assert own.startswith("req-")
    given = server.ask("GET", "/api/version", headers={"X-Request-Id": "trace-42:a.b"})[1]
    assert given["X-Request-Id"] == "trace-42:a.b"
    for bad in ("x" * 65, "a b", "a\tb", "<script>", ""):
        assert server.ask("GET", "/health", headers={"X-Request-Id": bad})[1][
            "X-Request-Id"].startswith("req-"), bad
    wait_until(lambda: any('"trace-42:a.b"' in line for line in server.lines))
    line = json.loads(next(line for line in server.lines if "trace-42" in line))
    assert line["path"] == "/api/version" and line["status"] == 200 and line["ms"] >= 0
    assert {"time", "id", "client", "method", "path", "status", "ms"} == set(line)


# --- servers of their own ---


def test_logs_hold_no_secrets(hone):
    """Neither keys, nor what was asked, nor queries, in either form of the log."""
    for form in ("json", "text"):
        server = OllamaServer(hone, "--log", form, env={"HONE_API_KEY": "hush-hush"})
        try:
            key = {"Authorization": "Bearer hush-hush"}
            body = {"model": "small", "prompt": "a private matter", "stream": False, "options": FEW}
            assert server.api("generate", body, headers=key)[0] == 200
            assert server.api("generate", body, headers={"Authorization": "Bearer hush"})[0] == 401
            server.ask("GET", "/health?token=hush-hush")
            server.ask("GET", "/nothing%0d%0ahere%1b[31m", headers=key)
            wait_until(lambda: len(server.lines) >= 8)
            log = "".join(server.lines)
            assert "hush" not in log and "private" not in log and "\x1b" not in log, log
            if form == "text":
                assert re.search(r"^\S+Z 127\.0\.0\.1 \(key\) POST /api/generate 200 [\d.]+ ms req-\S+$", log,
                                 re.M), log
            status, _, text = server.ask("GET", "/metrics", headers=key)
            assert status == 200 and b"hush" not in text and b"private" not in text
        finally:
            server.stop()


def test_a_memory_limit_holds_one_model(hone):
    """Two models by turns within room for one: each is loaded when it is wanted, none under an answer."""
    server = OllamaServer(hone, "--memory", "60M", "--cache", "16M")
    try:
        assert any("memory" in line for line in server.lines), server.lines
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda i: server.api("generate", {
                "model": ("small", "stories")[i % 2], "prompt": "Once", "stream": False,
                "options": FEW}), range(12)))
        assert all(status == 200 for status, _ in answers), answers
        assert server.api("ps", method="GET")[1]["memory_limit_bytes"] == 60 << 20
    finally:
        assert server.stop() == 0


def test_hone_ps_and_stop(hone):
    server = OllamaServer(hone)
    try:
        address = f"127.0.0.1:{server.port}"
        assert "nothing is loaded" in subprocess.run(
            [hone, "ps", "--host", address], capture_output=True, text=True).stderr
        server.api("generate", {"model": "stories", "prompt": ""})
        server.api("generate", {"model": "small", "keep_alive": -1})
        table = server.command("ps", "--host", address)
        assert "stories:latest" in table and "stays" in table, table
        listed = json.loads(server.command("ps", "--json", "--host", "http://" + address + "/"))
        assert {m["name"] for m in listed["models"]} == {"stories:latest", "small:latest"}
        server.command("stop", "stories", "--host", address)
        wait_until(lambda: server.open_models() == {"small:latest"})
        failed = subprocess.run([hone, "stop", "nobody", "--host", address], capture_output=True,
                                text=True)
        assert failed.returncode == 1 and "nobody" in failed.stderr, failed
    finally:
        server.stop()
    away = subprocess.run([hone, "ps", "--host", address], capture_output=True, text=True)
    assert away.returncode == 1 and "no server" in away.stderr, away


def test_settings_by_flag_environment_and_file(hone):
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, "serve.conf")
        file.write_text("# ours\nslots = 3\nkeep-alive = 7m\nmemory = 100M\nquiet\n")
        env = {"OLLAMA_KEEP_ALIVE": "1h", "OLLAMA_NUM_PARALLEL": "5", "HONE_CACHE": "8M",
               "OLLAMA_MAX_LOADED_MODELS": "1"}
        server = OllamaServer(hone, "--slots", "2", "--config", str(file), env=env)
        try:
            said = "".join(server.lines)
            assert "answers at once: 2" in said, said       # the flag
            assert "100" in said, said                      # the file
            server.api("generate", {"model": "stories"})
            left = server.api("ps", method="GET")[1]["models"][0]["expires_at"]
            import datetime
            end = datetime.datetime.fromisoformat(left[:26] + "+00:00").timestamp()
            assert 3500 < end - time.time() < 3601          # the environment before the file
            server.api("generate", {"model": "small"})
            assert server.open_models() == {"small:latest"}
            assert len(server.lines) < 12                   # quiet
        finally:
            server.stop()
        file.write_text("slots = many\n")
        wrong = subprocess.run([hone, "serve", "--config", file], capture_output=True, text=True)
        assert wrong.returncode == 2 and f"{file}:1" in wrong.stderr, wrong
        wrong = subprocess.run([hone, "serve", "--port", "0"], capture_output=True, text=True,
                               env={**os.environ, "OLLAMA_NUM_PARALLEL": "x"})
        assert wrong.returncode == 2 and "OLLAMA_NUM_PARALLEL" in wrong.stderr, wrong


def test_killed_in_mid_upload_and_mid_create_the_store_is_sound(hone):
    """kill -9 at moments of an upload and of a quantisation: what has a name is whole, and what was left
    over can be pruned."""
    import http.client
    blob = os.urandom(1 << 20)
    digest = hashlib.sha256(blob * 8).hexdigest()
    server = OllamaServer(hone)
    try:
        for moment in (0.02, 0.1, 0.3):
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=300)
            connection.putrequest("POST", "/api/blobs/sha256:" + digest)
            connection.putheader("Content-Length", str(len(blob) * 8))
            connection.endheaders()
            connection.send(blob * 3)
            making = threading.Thread(target=ask_without_end, args=(server, "/api/create", {
                "model": "half", "from": "small", "quantize": "Q8_0"}))
            making.start()
            time.sleep(moment)
            server.process.kill()
            server.process.wait()
            making.join()
            connection.close()
            again = Server(hone, env=server.env, models=())
            server.process, server.port = again.process, again.port
            assert server.ask("HEAD", "/api/blobs/sha256:" + digest)[0] == 404
            names = {m["name"] for m in server.api("tags", method="GET")[1]["models"]}
            assert names - {"half:latest"} == {"small:latest", "stories:latest"}, names
            for name in names:
                assert server.api("generate", {"model": name, "prompt": "Once", "stream": False,
                                               "options": FEW})[0] == 200, name
            server.command("verify")
        server.command("prune")
        left = list(pathlib.Path(server.store.name, "partial").glob("*"))
        assert not left and not list(pathlib.Path(server.store.name, "blobs").glob("*.part")), left
    finally:
        server.stop()


def ask_without_end(server, path, body):
    import http.client
    try:
        server.ask("POST", path, body)
    except (http.client.HTTPException, ConnectionError):
        pass  # the connection ends with the server


def test_going_down_ends_a_pull(hone):
    """SIGTERM while a pull waits for a server that says nothing."""
    import socket
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        server = OllamaServer(hone)
        conf = pathlib.Path(server.store.name, "config", "models.conf")
        server.process.terminate()
        server.process.wait(timeout=60)
        conf.write_text(f"[slow:1b]\nsource = http://127.0.0.1:{silent.getsockname()[1]}/x.gguf\n")
        again = Server(hone, env=server.env, models=())
        asking = threading.Thread(target=ask_without_end, args=(again, "/api/pull", {
            "model": "slow:1b"}))
        asking.start()
        time.sleep(0.5)
        begin = time.time()
        assert again.stop() == 0 and time.time() - begin < 10
        asking.join()
        server.store.cleanup()


if __name__ == "__main__":
    sys.exit(suite.run_with_server(globals(), OllamaServer, PACKAGES))
