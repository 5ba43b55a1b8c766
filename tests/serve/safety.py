#!/usr/bin/env python3
"""Attacks on `hone serve`, each against the real server. usage: safety.py HONE [TEST…]

The tests named test_cve_… stand for the classes of known vulnerabilities of such servers that
docs/serving.md lists; the others try the limits. Ends with `N passed, N failed`.
"""
import contextlib
import gzip
import hashlib
import json
import os
import pathlib
import re
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path += [str(TESTS), str(TESTS / "pull")]

import suite
from hub import Hub, Repository
from run import chat, wav
from suite import MODEL, SHARED, SPEECH, Server, wait_until

STORIES = SHARED / "models" / "stories260K.gguf"
CHAT = "/v1/chat/completions"
# Every path that does work: none of them may be had without a key.
PATHS = [("GET", "/v1/models"), ("POST", CHAT), ("POST", "/v1/completions"),
         ("POST", "/v1/embeddings"), ("POST", "/v1/responses"),
         ("POST", "/v1/audio/transcriptions"), ("POST", "/v1/audio/translations"),
         ("GET", "/metrics"), ("POST", "/tokenize"), ("POST", "/detokenize"),
         ("POST", "/apply-template"), ("POST", "/api/generate"), ("POST", "/api/chat"),
         ("POST", "/api/embed"), ("POST", "/api/embeddings"), ("GET", "/api/tags"),
         ("POST", "/api/show"), ("GET", "/api/ps"), ("POST", "/api/pull"), ("POST", "/api/create"),
         ("POST", "/api/copy"), ("DELETE", "/api/delete"), ("GET", "/api/version"),
         ("POST", "/api/blobs/sha256:" + "0" * 64), ("HEAD", "/api/blobs/sha256:" + "0" * 64)]


def connect(server):
    s = socket.create_connection(("127.0.0.1", server.port))
    s.settimeout(30)
    return s


def raw(server, data):
    """What comes back for these bytes, until the server closes or says nothing for a while."""
    with connect(server) as s:
        with contextlib.suppress(ConnectionError):
            s.sendall(data)
        answer = b""
        s.settimeout(3)
        with contextlib.suppress(ConnectionError, TimeoutError):
            while piece := s.recv(65536):
                answer += piece
        return answer


def status_of(answer):
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0


def head(method, path, *fields, host="localhost"):
    return "\r\n".join([f"{method} {path} HTTP/1.1", f"Host: {host}", *fields, "", ""]).encode()


def resident(server):
    text = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", text)[1]) * 1024


def cpu_seconds(server):
    fields = pathlib.Path(f"/proc/{server.process.pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def still_works(server):
    assert server.ask("POST", CHAT, chat())[0] == 200


def pull(hone, server, name, data):
    """Puts a file into the server's store; False where that is already refused."""
    path = pathlib.Path(server.home.name) / f"{name}.gguf"
    path.write_bytes(data)
    made = subprocess.run([hone, "pull", "--name", f"{name}:x", path], capture_output=True,
                          text=True, env={**os.environ, "HONE_HOME": server.home.name}, timeout=300)
    assert made.returncode in (0, 1), (name, made.returncode, made.stderr)
    return made.returncode == 0


# --- GGUF files ---


def gguf(tensors=1, kv=(), version=3, n_kv=None, n_tensors=None, dims=(32, 4), kind=0, offset=0,
         data=b"\0" * 512):
    """A file with these numbers in its head, true or not. kv: (name, type, bytes)."""
    def text(t):
        return struct.pack("<Q", len(t)) + t.encode()
    out = b"GGUF" + struct.pack("<IQQ", version, tensors if n_tensors is None else n_tensors,
                                len(kv) if n_kv is None else n_kv)
    for name, value_type, value in kv:
        out += text(name) + struct.pack("<I", value_type) + value
    for i in range(tensors):
        out += text(f"t{i}") + struct.pack("<I", len(dims)) + b"".join(
            struct.pack("<Q", d) for d in dims) + struct.pack("<IQ", kind, offset)
    return out + b"\0" * (-len(out) % 32) + data


def change(data, key, value):
    """The file with the bytes behind a metadata key (and its type) replaced."""
    at = data.index(key.encode()) + len(key)
    return data[:at] + value + data[at + len(value):]


COMPLETIONS = "/v1/completions"


def completion(name):
    return {"model": name, "prompt": "Once", "max_tokens": 8, "temperature": 0}


def refuses_models(hone, models):
    with Server(hone) as server:
        assert pull(hone, server, "good", STORIES.read_bytes())
        assert server.ask("POST", COMPLETIONS, completion("good:x"))[0] == 200
        for name, data in models.items():
            if pull(hone, server, name, data):
                begin = cpu_seconds(server)
                status, _, body = server.ask("POST", COMPLETIONS, completion(f"{name}:x"))
                assert status in (400, 500), (name, status, body)
                assert json.loads(body)["error"]["message"], name
                assert cpu_seconds(server) - begin < 5, name
            still_works(server)
        assert resident(server) < 1 << 30, resident(server)


def test_cve_gguf_counts_and_sizes_that_overflow(hone):
    huge = 2 ** 63 + 5
    refuses_models(hone, {
        "tensors": gguf(n_tensors=huge), "keys": gguf(n_kv=2 ** 64 - 1),
        "text": gguf(kv=[("general.name", 8, struct.pack("<Q", huge))]),
        "array": gguf(kv=[("a", 9, struct.pack("<IQ", 4, 2 ** 62))]),
        "product": gguf(dims=(2 ** 33, 2 ** 33)), "bytes": gguf(dims=(2 ** 62 // 4 * 4, 8)),
        "blocks": gguf(dims=(2 ** 61, 1, 1, 32), kind=8),
        "dimensions": gguf(dims=(1,) * 9)})


def test_cve_gguf_that_breaks_off_anywhere(hone):
    whole = STORIES.read_bytes()
    refuses_models(hone, {f"cut{n}": whole[:n] for n in
                          (0, 3, 4, 8, 23, 24, 30, 60, 500, 4000, 9000, 20000, len(whole) - 1)})


def test_cve_gguf_tensor_that_extends_past_the_file(hone):
    whole = STORIES.read_bytes()
    models = {"past": gguf(offset=2 ** 40), "wraps": gguf(offset=2 ** 64 - 32),
              "long": gguf(dims=(32, 2 ** 20)), "half": whole[:len(whole) // 2]}
    refuses_models(hone, models)
    with tempfile.TemporaryDirectory() as folder:  # the quantiser leaked the heap elsewhere
        for name, data in models.items():
            path = pathlib.Path(folder) / f"{name}.gguf"
            path.write_bytes(data)
            made = subprocess.run([hone, "quantize", path, "--type", "q8_0", "--output",
                                   f"{folder}/out.gguf"], capture_output=True, text=True, timeout=300)
            assert made.returncode in (1, 2), (name, made)
            assert not os.path.exists(f"{folder}/out.gguf"), name
    with Server(hone) as server:  # as it was done: upload, quantise, take the result away
        for data in models.values():
            digest = "sha256:" + hashlib.sha256(data).hexdigest()
            assert server.ask("POST", f"/api/blobs/{digest}", data)[0] == 201
            for quantize in ("q8_0", "q4_k_m", None):
                body = {"model": "leak", "files": {"x.gguf": digest}, "quantize": quantize}
                answer = server.ask("POST", "/api/create", body)[2]
                assert b'"error"' in answer and b'"success"' not in answer, answer[-200:]
            assert server.ask("POST", "/api/show", {"model": "leak"})[0] == 404
        wrong = "sha256:" + "0" * 64  # a blob is what its name says
        assert server.ask("POST", f"/api/blobs/{wrong}", b"GGUF")[0] == 400
        assert server.ask("HEAD", f"/api/blobs/{wrong}")[0] == 404
        still_works(server)


def test_cve_gguf_that_divides_by_zero_or_asks_for_endless_room(hone):
    whole = STORIES.read_bytes()
    number = [("general.alignment", 4, struct.pack("<I", n)) for n in (0, 3, 2 ** 31, 2 ** 32 - 1)]
    models = {f"align{i}": gguf(kv=[kv]) for i, kv in enumerate(number)}
    models |= {"nothing": gguf(dims=(0, 4)), "first": gguf(version=1), "last": gguf(version=99),
               "heads": change(whole, "llama.attention.head_count", struct.pack("<II", 4, 0)),
               "layers": change(whole, "llama.block_count", struct.pack("<II", 4, 2 ** 31)),
               "width": change(whole, "llama.embedding_length", struct.pack("<II", 4, 0)),
               "rope": change(whole, "llama.rope.dimension_count", struct.pack("<II", 4, 2 ** 30))}
    nested = b""
    for _ in range(1000):
        nested += struct.pack("<IQ", 9, 1)
    models["nested"] = gguf(kv=[("a", 9, nested)])
    refuses_models(hone, models)


def test_cve_gguf_metadata_of_the_wrong_type(hone):
    whole = STORIES.read_bytes()
    texts = struct.pack("<IIQ", 9, 8, 512)
    at = whole.index(b"tokenizer.ggml.tokens") + len("tokenizer.ggml.tokens")
    assert whole[at:at + 16] == texts
    models = {"tokens": change(whole, "tokenizer.ggml.tokens", struct.pack("<II", 9, 5)),
              "scores": change(whole, "tokenizer.ggml.scores", struct.pack("<II", 9, 7)),
              "count": change(whole, "tokenizer.ggml.scores", struct.pack("<IIQ", 9, 6, 3)),
              "name": change(whole, "general.architecture", struct.pack("<I", 5)),
              "model": change(whole, "tokenizer.ggml.model", struct.pack("<I", 6))}
    refuses_models(hone, models)


# --- requests ---


def test_cve_tokeniser_with_endless_and_broken_texts(hone):
    with Server(hone) as server:
        for text in ("a" * 3_000_000, " " * 1_000_000, "\u0301" * 300_000, "<|im_end|>" * 100_000,
                     "\U0010ffff" * 100_000, "\ud7ff\ue000" * 1000):
            begin = cpu_seconds(server)
            status, _, body = server.ask("POST", CHAT, chat(text))
            assert status in (200, 400), (text[:5], status)
            assert cpu_seconds(server) - begin < 10, (text[:5], cpu_seconds(server) - begin)
        for body in (b'{"messages":[{"role":"user","content":"\xff\xfe\xc0\x80"}]}',
                     b'{"messages":[{"role":"user","content":"\\ud800"}]}',
                     b'{"messages":[{"role":"user","content":"\\u0000"}]}'):
            assert server.ask("POST", CHAT, body)[0] in (200, 400)
        still_works(server)


def test_cve_images_that_are_none(hone):
    with Server(hone) as server:
        for url in ("data:image/png;base64,", "data:image/png;base64,AAAA", "data:,x", "x" * 100000,
                    "data:image/png;base64," + "A" * 5_000_000):
            parts = [{"type": "image_url", "image_url": {"url": url}}]
            status, _, body = server.ask("POST", CHAT, {**chat(), "messages": [
                {"role": "user", "content": parts}]})
            assert status == 400, (url[:30], status, body)
        still_works(server)


def test_cve_numbers_that_reach_memory(hone):
    with Server(hone) as server:
        for fields in ({"n": -1}, {"n": 2 ** 31}, {"n": 2 ** 63}, {"n": 1e300}, {"max_tokens": -5},
                       {"max_tokens": 1.5}, {"top_logprobs": 10 ** 9, "logprobs": True},
                       {"logit_bias": {"99999999999": 1}}, {"logit_bias": {"-1": 1}},
                       {"top_k": -2 ** 40}, {"stop": ["x"] * 100000}):
            status, _, body = server.ask("POST", CHAT, chat(**fields))
            assert status == 400, (fields.keys(), status, body[:200])
        for ids in ([-1], [2 ** 31], [10 ** 6], [1.5], [[1], [-1]], [2 ** 64]):
            body = {"model": "", "prompt": ids, "max_tokens": 2}
            assert server.ask("POST", "/v1/completions", body)[0] == 400, ids
        # llama-server's fields that reached memory there: unknown, and without effect
        assert server.ask("POST", CHAT, chat(n_discard=-100, n_keep=-5, id_slot=-7))[0] in (200, 400)
        for path in ("/slots", "/slots/0?action=restore", "/completion", "/infill", "/props"):
            assert server.ask("POST", path, {"filename": "../x"})[0] in (404, 405), path
        still_works(server)


# --- code that models write ---


def code_bon(value):
    """A request whose one draw can only say the JSON of `value`, which is run as Python."""
    schema = {"name": "x", "schema": {"const": value}, "strict": True}
    return chat(strategy="code-bon1", max_tokens=64,
                response_format={"type": "json_schema", "json_schema": schema})


def test_code_is_not_run_unless_the_owner_wants_it(hone):
    with Server(hone) as server:
        for expression in ("code-bon2", "rto"):
            status, _, body = server.ask("POST", CHAT, chat(strategy=expression))
            assert status == 400 and b"--run-code" in body, (status, body)
        still_works(server)


def test_code_runs_where_it_is_wanted(hone):
    with Server(hone, "--run-code") as server:
        for value, error in ((42, None), (True, "the program exited with 1")):
            status, _, body = server.ask("POST", CHAT, code_bon(value))
            assert status == 200, (status, body)
            draw = json.loads(body)["hone"]["trace"]["draws"][0]
            assert (draw["text"], draw["error"]) == (json.dumps(value), error), draw
        still_works(server)


def test_code_never_runs_without_a_sandbox(hone):
    refused = subprocess.run(
        ["unshare", "-Ur", "sh", "-c", 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"', "sh",
         hone, "serve", "--port", "0", "--run-code"], capture_output=True, text=True, timeout=60)
    assert refused.returncode == 1 and "no sandbox" in refused.stderr, refused


def test_cve_nothing_listens_but_the_one_port(hone):
    with Server(hone) as server:
        inodes = {os.readlink(f"/proc/{server.process.pid}/fd/{fd}")[8:-1]
                  for fd in os.listdir(f"/proc/{server.process.pid}/fd")
                  if os.readlink(f"/proc/{server.process.pid}/fd/{fd}").startswith("socket:")}
        ports = []
        for table in ("tcp", "tcp6", "udp", "udp6"):
            for line in pathlib.Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
                field = line.split()
                if field[9] in inodes and (table.startswith("udp") or field[3] == "0A"):
                    ports.append((table, field[1]))
        assert ports == [("tcp", f"0100007F:{server.port:04X}")], ports


def test_cve_paths_out_of_the_store(hone):
    names = ["../../../etc/passwd", "/etc/passwd", "..", ".", "a/../../b", "..%2f..%2fetc%2fpasswd",
             "hf.co/../../x:y", "x:../../etc", "x\\..\\y", "\u2025/x", "models/evil/../x:1",
             str(SHARED / "golden" / "qwen2-tied"), "a\u0000b", "~/x", "file:///etc/passwd", "x" * 9000]
    with Server(hone) as server:
        before = snapshot(server)
        for name in names:
            for path, body in ((CHAT, chat(model=name)), ("/api/show", {"model": name}),
                               ("/api/copy", {"source": name, "destination": "b"}),
                               ("/api/copy", {"source": "a", "destination": name}),
                               ("/api/create", {"model": name, "files": {"x.gguf": name}}),
                               ("/api/create", {"model": "b", "from": name, "stream": False}),
                               ("/api/create", {"model": "b", "files": {name: "sha256:" + "0" * 64},
                                                "stream": False})):
                status, _, answer = server.ask("POST", path, body)
                assert status in (400, 404) or b'"error"' in answer, (path, name[:40], status)
                assert b"root:" not in answer
            assert server.ask("DELETE", "/api/delete", {"model": name})[0] in (400, 404)
            answer = raw(server, head("GET", "/v1/models/" + name.replace(" ", "")[:200].encode(
                "ascii", "replace").decode().replace("\0", "%00")))
            assert status_of(answer) in (0, 400, 404) and b"root:" not in answer, (name, answer[:80])
        for digest in ("sha256:../../../../etc/passwd", "../x", "sha256-" + "0" * 63 + "/",
                       "sha256:" + "g" * 64, "sha256:%2e%2e%2f", "SHA256:" + "0" * 64):
            for method in ("POST", "HEAD"):
                answer = raw(server, head(method, "/api/blobs/" + digest, "Content-Length: 0",
                                          "Connection: close"))
                assert status_of(answer) in (400, 404, 405), (digest, answer[:100])
        assert snapshot(server) == before, set(snapshot(server)) - set(before)
        still_works(server)


def snapshot(server):
    """The files of the store, but for its own lock."""
    files = (p for p in pathlib.Path(server.home.name).rglob("*") if not p.is_dir())
    return sorted(str(p) for p in files if p.name != "lock")


def test_cve_answers_tell_nothing_of_files_and_names(hone):
    with Server(hone) as server:
        def words(name):
            status, _, body = server.ask("POST", CHAT, chat(model=name))
            return status, body.replace(json.dumps(name)[1:-1].encode(), b"NAME")
        assert words("/etc/passwd") == words("/etc/passwe")
        assert words(str(MODEL) + "/config.json") == words(str(MODEL) + "/config.jsom")
        for path in ("/v1/nothing", "/.git/config", "/v1/models/no:1"):
            body = server.ask("GET", path)[2]
            assert b"/work" not in body and server.home.name.encode() not in body, body
    with Server(hone, env={"HONE_API_KEY": "k"}) as server:  # the same, whatever is asked for
        assert len({server.ask("GET", p)[2] for p in ("/v1/models", "/v1/models/a:b", "/nothing")}) == 1


def test_cve_tokens_do_not_follow_a_redirect(hone):
    hub = Hub({"owner/large": Repository({"large-q8_0.gguf": STORIES.read_bytes()})})
    try:
        with Server(hone, env={"HF_ENDPOINT": hub.endpoint, "HF_TOKEN": "hf_secret"}) as server:
            body = {"model": "hf.co/owner/large:Q8_0", "stream": False}
            status, _, answer = server.ask("POST", "/api/pull", body)
            assert status == 200 and b"success" in answer, answer
            asked = {where: {r[3] for r in hub.requests if r[0] == where} for where in ("hub", "storage")}
            assert asked == {"hub": {"Bearer hf_secret"}, "storage": {None}}, asked
            assert not any("hf_secret" in line for line in server.lines)
            for name in (f"{hub.endpoint}/x.gguf", "https://evil.example/x.gguf", "/etc/passwd",
                         "ollama:127.0.0.1:1/library/x", "pip:evil==1#x", "file:///etc/passwd"):
                before = len(hub.requests)
                status, _, answer = server.ask("POST", "/api/pull", {"model": name, "stream": False})
                assert status == 400 or b'"error"' in answer, (name, status, answer)
                assert len(hub.requests) == before, name
    finally:
        hub.close()


def test_cve_dns_rebinding(hone):
    with Server(hone) as server:
        for host in ("evil.example", "evil.example:1", "localhost.evil.example", "127.0.0.1.evil.example",
                     "[::ffff:1.2.3.4]", "1.2.3.4", "0.0.0.0", "", "localhost@evil", "local%68ost"):
            answer = raw(server, head("GET", "/v1/models", "Connection: close", host=host))
            assert status_of(answer) in (400, 403), (host, answer[:60])
        for host in ("localhost", "LOCALHOST:80", "127.0.0.1", "127.8.9.1:5", "[::1]:7", "localhost."):
            answer = raw(server, head("GET", "/v1/models", "Connection: close", host=host))
            assert status_of(answer) == 200, (host, answer[:60])
    with Server(hone, "--allow-host", "llm.example") as server:
        for host, expected in (("llm.example:443", 200), ("evil.example", 403)):
            assert server.ask("GET", "/v1/models", headers={"Host": host})[0] == expected
    with Server(hone, "--host", "0.0.0.0", "--open-to-all") as server:
        for host, expected in (("evil.example", 403), ("10.1.2.3:80", 200), (socket.gethostname(), 200)):
            assert server.ask("GET", "/v1/models", headers={"Host": host})[0] == expected, host


def test_cve_pages_of_other_sites(hone):
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    with Server(hone) as server:
        for origin in ("https://evil.example", "null", "http://localhost.evil.example", "file://",
                       "https://evil.example/?x=http://localhost", "http://evil.example:80"):
            for method, more in (("POST", {}), ("OPTIONS", asks)):
                status, headers, _ = server.ask(method, CHAT, chat(), {"Origin": origin, **more})
                assert status == 403, (origin, method, status)
                assert not [h for h in headers if h.lower().startswith("access-control")], headers
        status, headers, _ = server.ask("POST", CHAT, chat(), {"Origin": "http://localhost:3000"})
        assert status == 200 and "Access-Control-Allow-Origin" not in headers
    with Server(hone, "--allow-origin", "https://*.friend.example", "--allow-origin", "app://x",
                env={"HONE_API_KEY": "k"}) as server:
        key = {"Authorization": "Bearer k"}
        for origin in ("https://chat.friend.example", "app://x"):
            status, headers, _ = server.ask("OPTIONS", CHAT, None, {"Origin": origin, **asks})
            assert status == 204 and headers["Access-Control-Allow-Headers"] == "content-type", status
            status, headers, _ = server.ask("POST", CHAT, chat(), {"Origin": origin, **key})
            assert status == 200 and headers["Access-Control-Allow-Origin"] == origin
            assert headers["Vary"] == "Origin" and "Access-Control-Allow-Credentials" not in headers
            assert server.ask("POST", CHAT, chat(), {"Origin": origin})[0] == 401
        for origin in ("https://friend.example.evil", "http://chat.friend.example", "app://xy"):
            assert server.ask("POST", CHAT, chat(), {"Origin": origin, **key})[0] == 403, origin


def test_cve_requests_to_other_machines(hone):
    """Nothing is fetched, whatever a request names: a listener hears no knock."""
    bait = socket.create_server(("127.0.0.1", 0))
    bait.settimeout(0.2)
    port = bait.getsockname()[1]
    urls = [f"http://127.0.0.1:{port}/x.png", f"http://localhost:{port}/", f"http://[::1]:{port}/",
            f"http://0.0.0.0:{port}/", f"http://2130706433:{port}/", "file:///etc/passwd",
            f"https://127.0.0.1:{port}/", f"ftp://127.0.0.1:{port}/", f"gopher://127.0.0.1:{port}/"]
    with Server(hone) as server:
        for url in urls:
            for part in ({"type": "image_url", "image_url": {"url": url}},
                         {"type": "input_audio", "input_audio": {"data": url, "format": "wav"}},
                         {"type": "video_url", "video_url": {"url": url}}):
                status, _, body = server.ask("POST", CHAT, {**chat(), "messages": [
                    {"role": "user", "content": [part]}]})
                assert status == 400 and b"root:" not in body, (url, status, body)
            item = [{"role": "user", "content": [{"type": "input_image", "image_url": url}]}]
            assert server.ask("POST", "/v1/responses", {"model": "", "input": item})[0] in (400, 404)
            body = {"model": "", "messages": [{"role": "user", "content": "x", "images": [url]}]}
            assert server.ask("POST", "/api/chat", body)[0] in (400, 404)
        try:
            bait.accept()
            raise AssertionError("the server fetched something")
        except TimeoutError:
            pass
    bait.close()


def test_cve_file_names_reach_no_shell(hone):
    with Server(hone) as server, tempfile.TemporaryDirectory() as folder:
        mark = pathlib.Path(folder) / "mark"
        for name in (f"a;touch {mark};.wav", f"$(touch {mark}).wav", f"`touch {mark}`", "../../x.wav",
                     f"|touch {mark}", "-i x"):
            form = (f'--boundary7\r\nContent-Disposition: form-data; name="model"\r\n\r\n{SPEECH}\r\n'
                    f'--boundary7\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
                    "Content-Type: audio/wav\r\n\r\n").encode() + wav(0.2) + b"\r\n--boundary7--\r\n"
            status = server.ask("POST", "/v1/audio/transcriptions", form,
                                {"Content-Type": "multipart/form-data; boundary=boundary7"})[0]
            assert status == 200, (name, status)
            assert server.ask("POST", CHAT, chat(model=f"x:1;touch {mark}"))[0] in (400, 404)
        assert not mark.exists()
        children = pathlib.Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
        assert children.read_text() == "", "a program was started"


def test_cve_ways_round_the_key(hone):
    with Server(hone, env={"HONE_API_KEY": "right-key"}) as server:
        def refused(method, path, *fields):
            answer = raw(server, head(method, path, "Content-Length: 2", "Connection: close",
                                      *fields) + b"{}")
            assert status_of(answer) in (400, 401), (method, path, fields, answer[:80])
        for method, path in PATHS:
            refused(method, path)
        for path in ("//v1/models", "/v1//models", "/V1/MODELS", "/v1/models/", "/v1/models?x=/health",
                     "/health/../v1/models", "/health/", "/health%2f..%2fv1/models", "/v1/models;/health",
                     "/v1/models%00/health", "http://localhost/v1/models", "/ready/v1/models",
                     "/v1/models#/health", "/v1/models?api_key=right-key"):
            refused("GET", path)
        for field in ("x-api-key: right-key", "api-key: right-key", "Authorization: right-key",
                      "Authorization: Basic OnJpZ2h0LWtleQ==", "Authorization: Bearer",
                      "Authorization: Bearer ", "Authorization: Bearer right-ke",
                      "Authorization: Bearer right-key x", "Authorization: Bearer RIGHT-KEY",
                      "Cookie: key=right-key", "X-Original-URL: /health",
                      "X-HTTP-Method-Override: OPTIONS", "X-Forwarded-For: 127.0.0.1",
                      "Proxy-Authorization: Bearer right-key",
                      "Origin: http://localhost\r\nAccess-Control-Request-Method: GET"):
            refused("GET", "/v1/models", field)
            refused("OPTIONS", "/v1/models", field) if "Access" not in field else None
        for path in ("/health", "/ready"):
            assert server.ask("GET", path)[0] == 200
        assert server.ask("GET", "/v1/models", headers={"Authorization": "Bearer right-key"})[0] == 200


def test_cve_compressed_and_endless_bodies(hone):
    with Server(hone, "--max-body", "1M") as server:
        still_works(server)
        before = resident(server)
        bomb = gzip.compress(b" " * 20_000_000)
        for encoding in ("gzip", "deflate", "br", "zstd, identity"):
            assert server.ask("POST", CHAT, bomb, {"Content-Encoding": encoding})[0] == 415
        for length in (2 << 20, 1 << 62):
            assert status_of(raw(server, head("POST", CHAT, f"Content-Length: {length}") + b"{")) == 413
        with connect(server) as s:  # announced in chunks, so that nobody knows how long
            s.sendall(head("POST", CHAT, "Transfer-Encoding: chunked"))
            sent = 0
            with contextlib.suppress(ConnectionError):
                while sent < 64 << 20:
                    s.sendall(b"10000\r\n" + b" " * 65536 + b"\r\n")
                    sent += 65536
            assert sent < 16 << 20, "the whole body was taken"
        both = head("POST", CHAT, "Content-Length: 2", "Transfer-Encoding: chunked")
        assert status_of(raw(server, both + b"0\r\n\r\n")) == 400
        assert resident(server) - before < 64 << 20
        still_works(server)


def test_cve_heads_without_end(hone):
    with Server(hone) as server:
        for data in (head("GET", "/" + "a" * 100_000), head("GET", "/health", "X: " + "y" * 100_000),
                     head("GET", "/health", *[f"X{i}: y" for i in range(20_000)])):
            assert status_of(raw(server, data)) in (0, 400, 413, 414, 431), data[:20]
        for data in (b"\0\0\0\0\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01" * 99,
                     b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
                     b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\n",
                     b"GET / HTTP/1.1\r\nHost : localhost\r\n\r\n"):
            assert status_of(raw(server, data)) in (0, 400, 403, 404, 413, 505), data[:40]
        still_works(server)


def test_cve_grammars_and_schemas_that_explode(hone):
    deep = '{"type":"object","required":["a"],"properties":{"a":' * 900 + "{}" + "}}" * 900
    wide = {"anyOf": [{"type": "string", "pattern": f"(a|aa|{i})" + "{1,99}" * 3} for i in range(300)]}
    with Server(hone) as server:
        for schema in (deep, wide, {"type": "string", "pattern": "(((a{1,999}){1,999}){1,999}){1,999}"},
                       {"type": "string", "maxLength": 10 ** 15}, {"$ref": "#"},
                       {"enum": ["x" * 100] * 50_000}):
            begin = cpu_seconds(server)
            text = schema if isinstance(schema, str) else json.dumps(schema)
            body = json.dumps(chat(max_tokens=4, response_format={
                "type": "json_schema", "json_schema": {"name": "x", "schema": "SCHEMA"}}))
            status, _, body = server.ask("POST", CHAT, body.replace('"SCHEMA"', text))
            assert status in (200, 400), (status, body[:200])
            assert cpu_seconds(server) - begin < 10, (text[:60], cpu_seconds(server) - begin)
        assert server.ask("POST", CHAT, b'{"messages":' + b"[" * 200_000)[0] == 400
        assert resident(server) < 1 << 30
        still_works(server)


def ended_within(s, seconds):
    """Whether the server closes the connection (or answers) within that time."""
    s.settimeout(seconds)
    try:
        while s.recv(65536):
            pass
        return True
    except ConnectionError:
        return True
    except TimeoutError:
        return False


def trickle(s, data, pause):
    def run():
        with contextlib.suppress(OSError):
            for byte in data:
                s.sendall(bytes([byte]))
                time.sleep(pause)
    threading.Thread(target=run, daemon=True).start()


def test_slow_heads_and_bodies_are_ended_though_they_never_rest(hone):
    with Server(hone, "--patience", "1") as server:
        sockets = [connect(server) for _ in range(4)]
        trickle(sockets[0], head("GET", "/health", "X: " + "y" * 1000), 0.1)
        sockets[1].sendall(head("POST", CHAT, "Content-Length: 1000"))
        trickle(sockets[1], b" " * 1000, 0.1)
        sockets[2].sendall(head("POST", CHAT, "Transfer-Encoding: chunked"))
        trickle(sockets[2], b"1\r\n \r\n" * 300, 0.1)
        begin = time.monotonic()  # the last one says nothing at all
        assert all(ended_within(s, 20) for s in sockets), "one of them was borne with"
        assert 0.9 < time.monotonic() - begin < 20  # each would go on for 100 s
        still_works(server)


def test_patience_is_for_clients_and_not_for_the_server(hone):
    with Server(hone, "--patience", "1", "--slots", "1") as server:
        took = []

        def ask(stream):
            begin = time.monotonic()
            status, _, body = server.ask("POST", CHAT, chat(
                n=16, max_tokens=2000, ignore_eos=True, temperature=1, stream=stream))
            assert status == 200 and (b"[DONE]" in body or not stream), body[-200:]
            took.append(time.monotonic() - begin)

        crowd = [threading.Thread(target=ask, args=(i % 2 == 0,)) for i in range(8)]
        for thread in crowd:
            thread.start()
        for thread in crowd:
            thread.join()
        assert len(took) == 8
        assert max(took) > 1.3, f"{took}: too quick to prove anything"


def test_readers_that_do_not_read_are_ended(hone):
    with Server(hone, "--patience", "1") as server:
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect(("127.0.0.1", server.port))
        body = json.dumps(chat(stream=True, max_tokens=6000, ignore_eos=True, logprobs=True,
                               top_logprobs=20)).encode()
        s.sendall(head("POST", CHAT, f"Content-Length: {len(body)}") + body)
        wait_until(lambda: server.metric("hone_requests_open") == 0, "the end of the wait for a reader")
        s.close()
        still_works(server)


def test_connections_have_a_limit(hone):
    with Server(hone, "--max-connections", "8", "--patience", "5") as server:
        begin = time.monotonic()
        crowd = [connect(server) for _ in range(30)]
        wait_until(lambda: sum(ended_within(s, 0.01) for s in crowd) >= 20, "the end of those beyond it")
        assert time.monotonic() - begin < 5, "they were ended for their silence"
        wait_until(lambda: all(ended_within(s, 0.01) for s in crowd), "the end of those that say nothing")
        still_works(server)
        for s in crowd:
            s.close()


def test_rates_are_limited_for_each_key(hone):
    with tempfile.NamedTemporaryFile("w", suffix=".keys") as keys:
        keys.write("k-alice alice\nk-bob bob requests=1000 tokens=30\n")
        keys.flush()
        with Server(hone, "--api-key-file", keys.name, "--rate", "5") as server:
            def ask(key):
                return server.ask("POST", CHAT, chat(), {"Authorization": f"Bearer {key}"})
            codes = [ask("k-alice")[0] for _ in range(8)]
            assert codes == [200] * 5 + [429] * 3, codes
            status, headers, body = ask("k-alice")
            assert 1 <= int(headers["Retry-After"]) <= 12, headers["Retry-After"]
            assert json.loads(body)["error"]["code"] == "rate_limit_exceeded"
            assert ask("k-bob")[0] == 200  # more tokens than he has: charged when they are known
            status, headers, _ = ask("k-bob")
            assert status == 429 and 1 <= int(headers["Retry-After"]) <= 600, headers["Retry-After"]


def test_keys_change_while_the_server_runs(hone):
    hashed = hashlib.sha256(b"k-carol").hexdigest()
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "keys"
        path.write_text("k-alice alice\n")
        path.chmod(0o600)
        with Server(hone, "--api-key-file", str(path)) as server:
            def code(key):
                return server.ask("GET", "/v1/models", headers={"Authorization": f"Bearer {key}"})[0]

            def becomes(key, expected):
                wait_until(lambda: code(key) == expected, (key, expected))

            assert code("k-alice") == 200 and code("k-carol") == 401
            path.write_text(f"sha256:{hashed} carol  # only its hash\n")
            becomes("k-carol", 200)
            becomes("k-alice", 401)
            assert code("sha256:" + hashed) == 401  # the hash is no key
            path.write_text("k-carol name=wrong\n")  # cannot be read: as before, and said

            def mistake_is_told():
                assert code("k-carol") == 200
                return any("line 1" in line for line in server.lines)

            wait_until(mistake_is_told, "words about the mistake")
            path.write_text("# nobody\n")
            becomes("k-carol", 401)
            assert not any("k-carol" in line or "k-alice" in line for line in server.lines)


def test_secrets_are_in_no_log_and_no_metric(hone):
    key = "sk-very-secret-key-31337"
    with Server(hone, env={"HONE_API_KEY": key}) as server:
        good = {"Authorization": f"Bearer {key}"}
        server.ask("POST", CHAT, chat("my secret text 4711"), good)
        server.ask("GET", f"/v1/models?key={key}", headers=good)
        server.ask("GET", "/v1/models", headers={"Authorization": f"Bearer {key}-wrong"})
        server.ask("GET", "/nothing", headers={**good, "X-Secret": key, "Cookie": key})
        shown = server.ask("GET", "/metrics", headers=good)[2].decode()
        wait_until(lambda: any("/metrics" in line for line in server.lines), "the log")
        shown += "".join(server.lines)
        assert "/v1/models" in shown  # the log was written
        for secret in (key, "secret", "4711", hashlib.sha256(key.encode()).hexdigest()[:16]):
            assert secret not in shown, secret
        arguments = pathlib.Path(f"/proc/{server.process.pid}/cmdline").read_bytes()
        assert key.encode() not in arguments


def test_tls(hone):
    with tempfile.TemporaryDirectory() as folder:
        made = subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                               "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                               "-keyout", f"{folder}/key", "-out", f"{folder}/cert"],
                              capture_output=True)
        if made.returncode:
            raise ImportError("openssl makes no certificate here")
        files = ["--tls-cert", f"{folder}/cert", "--tls-key", f"{folder}/key"]
        with Server(hone, *files) as server:
            trusting = ssl.create_default_context(cafile=f"{folder}/cert")
            with trusting.wrap_socket(connect(server), server_hostname="localhost") as s:
                s.sendall(head("GET", "/health", "Connection: close"))
                assert b" 200 " in s.recv(1000) and s.version() in ("TLSv1.2", "TLSv1.3")
            assert status_of(raw(server, head("GET", "/health"))) == 0  # not without
            old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
            old.set_ciphers("ALL:@SECLEVEL=0")
            old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
            try:
                old.wrap_socket(connect(server))
                raise AssertionError("TLS 1.1 was spoken")
            except (ssl.SSLError, ConnectionError):
                pass
        for wrong in (files[:2], ["--tls-cert", f"{folder}/key", "--tls-key", f"{folder}/cert"]):
            run = subprocess.run([hone, "serve", "--port", "0", *wrong], capture_output=True, timeout=60)
            assert run.returncode in (1, 2) and run.stderr, run


def test_it_says_that_root_is_a_bad_idea(hone):
    with Server(hone) as server:
        assert any("root" in line for line in server.lines) == (os.geteuid() == 0)


def main():
    hone, wanted = suite.arguments()
    if not MODEL.exists():
        return suite.skip_all(f"{MODEL} is not there")
    tally = suite.Tally()
    tally.run_all(suite.find(globals(), wanted), hone)
    return tally.end()


if __name__ == "__main__":
    sys.exit(main())
