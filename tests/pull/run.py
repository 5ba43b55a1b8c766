#!/usr/bin/env python3
"""Pulls from real servers on loopback: a hub stand-in that huggingface_hub itself accepts, and
Debian's docker-registry with models in Ollama's form; and what other programs' caches hold.

    python3 tests/pull/run.py build/hone

Ends with `N passed, N failed[, N skipped]`. huggingface_hub comes from the package index into
$HONE_TEST_CACHE once; where it or docker-registry cannot be had, its cases are skipped."""
import contextlib
import fcntl
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import packages
import registry
import suite
from hub import Hub, Repository, sha256
from suite import SHARED, Skip
from tokens import Tokens

HONE = None


def gguf(seed, size):
    """Not a model, but as much of one as a download looks at."""
    return (b"GGUF" + bytes((i * 7 + seed) % 251 for i in range(997)) * (size // 997 + 1))[:size]


def safetensors(seed):
    header = b'{"w": {"dtype": "U8", "shape": [2000], "data_offsets": [0, 2000]}}'
    return len(header).to_bytes(8, "little") + header + bytes([seed]) * 2000


class World:
    """A home of its own, and hone in it."""

    def __init__(self, **more):
        self.home = Path(tempfile.mkdtemp(prefix="hone-pull-"))
        keep = ("PATH", "LANG", "LC_ALL", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS")
        self.env = {k: os.environ[k] for k in keep if k in os.environ}
        self.env.update(HOME=str(self.home), HONE_HOME=str(self.home / "hone"), TERM="dumb",
                        NO_PROXY="127.0.0.1,localhost", **{k: str(v) for k, v in more.items()})

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        shutil.rmtree(self.home, ignore_errors=True)

    def start(self, *words):
        return subprocess.Popen([HONE, *words], env=self.env, cwd=self.home,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)

    def hone(self, *words, code=0):
        """Standard output; for a failure expected by `code`, standard error."""
        process = self.start(*words)
        out, err = (text.decode() for text in process.communicate(timeout=300))
        assert process.returncode == code, (words, process.returncode, out, err)
        return err if code else out

    def list(self):
        return {m["name"]: m for m in json.loads(self.hone("list", "--json"))["models"]}

    def blobs(self):
        folder = self.home / "hone/blobs"
        return sorted(p.name for p in folder.iterdir()) if folder.exists() else []

    def leftovers(self):
        folder = self.home / "hone/partial"
        return sorted(p.name for p in folder.iterdir()) if folder.exists() else []


# --- the hub ---

Q4, Q8 = gguf(1, 200000), gguf(2, 300000)
PARTS = [gguf(3, 5000), gguf(4, 6000)]
FOLDER = {
    "README.md": b"# a model", "config.json": b'{"a": 1}', "tokenizer.json": b'{"b": 2}',
    "model.safetensors.index.json": b'{"weight_map": {}}',
    "model-00001-of-00002.safetensors": safetensors(1),
    "model-00002-of-00002.safetensors": safetensors(2),
    "pytorch_model.bin": b"pickle" * 1000, "sub/other.json": b"{}",
}


def new_hub():
    repositories = {
        "owner/tiny-GGUF": Repository({
            "README.md": b"hello", "tiny-q4_k_m.gguf": Q4, "tiny-q8_0.gguf": Q8,
            "mmproj-q4_k_m.gguf": gguf(9, 2000)}),
        "owner/split-GGUF": Repository({
            f"Q4_K_M/split-q4_k_m-0000{i + 1}-of-00002.gguf": p for i, p in enumerate(PARTS)}),
        "owner/folder": Repository(FOLDER),
        "owner/gated": Repository({"x-q4_0.gguf": Q4}, gated=True),
        "owner/damaged": Repository({"x-q4_0.gguf": Q4}, damaged=["x-q4_0.gguf"]),
        "owner/large": Repository({"large-q8_0.gguf": gguf(5, 24_000_000)}),
    }
    repositories["owner/tiny-GGUF"].revisions["v2"] = {"tiny-q4_k_m.gguf": gguf(6, 4000)}
    return Hub(repositories)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def a_quantisation_is_picked_from_a_repository(hub):
    with World(HF_ENDPOINT=hub.endpoint, HF_TOKEN="hf_secret") as w:
        w.hone("pull", "hf.co/owner/tiny-GGUF:Q4_K_M")
        model = w.list()["hf.co/owner/tiny-GGUF:Q4_K_M"]
        assert read(model["path"]) == Q4 and model["sha256"] == sha256(Q4), model
        assert model["license"] == "apache-2.0" and model["origin"] == "hone", model
        assert w.leftovers() == [], w.leftovers()
        # the same by its file's name, and by the address of its page
        assert "already there" in w.hone("pull", "hf.co/owner/tiny-GGUF/tiny-q4_k_m.gguf")
        tokens = {(where, auth) for where, _, _, auth, _ in hub.requests if auth}
        assert ("hub", "Bearer hf_secret") in tokens, tokens
        assert not [t for t in tokens if t[0] == "storage"], tokens


def without_a_quantisation_the_usual_one_comes(hub):
    with World(HF_ENDPOINT=hub.endpoint) as w:
        w.hone("pull", "hf.co/owner/tiny-GGUF")
        assert read(w.list()["hf.co/owner/tiny-GGUF:latest"]["path"]) == Q4


def what_is_not_there_is_told_with_what_is(hub):
    with World(HF_ENDPOINT=hub.endpoint) as w:
        assert "it has Q4_K_M, Q8_0" in w.hone("pull", "hf.co/owner/tiny-GGUF:Q5_0", code=1)
        assert "missing, private or gated" in w.hone("pull", "hf.co/owner/none:Q4_0", code=1)
        assert "no such repository or revision" in w.hone("pull", "hf.co/owner/tiny-GGUF@v9",
                                                          code=1)
        assert w.list() == {} and w.leftovers() == []


def a_revision_is_another_model(hub):
    with World(HF_ENDPOINT=hub.endpoint) as w:
        w.hone("pull", "hf.co/owner/tiny-GGUF@v2:Q4_K_M")
        model = w.list()["hf.co/owner/tiny-GGUF:Q4_K_M"]
        assert read(model["path"]) == gguf(6, 4000) and len(model["revision"]) == 40, model
        assert "--name" in w.hone("pull", "hf.co/owner/tiny-GGUF:Q4_K_M", code=2)


def split_files_stand_side_by_side(hub):
    with World(HF_ENDPOINT=hub.endpoint) as w:
        w.hone("pull", "hf.co/owner/split-GGUF:q4_k_m")
        model = w.list()["hf.co/owner/split-GGUF:Q4_K_M"]
        first = Path(model["path"])
        assert first.name == "split-q4_k_m-00001-of-00002.gguf", first
        second = first.with_name("split-q4_k_m-00002-of-00002.gguf")
        assert [read(first), read(second)] == PARTS
        assert model["bytes"] == 11000 and len(model["files"]) == 2, model


def a_folder_comes_with_all_that_belongs_to_it(hub):
    with World(HF_ENDPOINT=hub.endpoint) as w:
        w.hone("pull", "hf.co/owner/folder")
        model = w.list()["hf.co/owner/folder:latest"]
        there = {p.name: read(p) for p in Path(model["path"]).iterdir()}
        expected = {k: v for k, v in FOLDER.items()
                    if k not in ("README.md", "pytorch_model.bin", "sub/other.json")}
        assert there == expected, sorted(there)
        w.hone("verify")
        w.hone("rm", "--yes", "hf.co/owner/folder")
        assert w.blobs() == [] and not list((w.home / "hone/folders").iterdir())


def a_gated_repository_says_what_to_do(hub):
    with World(HF_ENDPOINT=hub.endpoint) as w:
        assert "accept its terms and set HF_TOKEN" in w.hone("pull", "hf.co/owner/gated:Q4_0",
                                                             code=1)
        w.env["HF_TOKEN"] = "hf_not_let_in"
        assert "account that HF_TOKEN belongs to" in w.hone("pull", "hf.co/owner/gated:Q4_0",
                                                            code=1)
        w.env["HF_TOKEN"] = "hf_let_in"
        w.hone("pull", "hf.co/owner/gated:Q4_0")


def a_file_that_differs_from_its_lfs_hash_is_thrown_away(hub):
    with World(HF_ENDPOINT=hub.endpoint) as w:
        assert "came damaged" in w.hone("pull", "hf.co/owner/damaged:Q4_0", code=1)
        assert w.list() == {} and w.blobs() == []


def a_killed_download_goes_on_where_its_connections_were(hub):
    data = hub.repositories["owner/large"].revisions["main"]["large-q8_0.gguf"]
    with World(HF_ENDPOINT=hub.endpoint) as w:
        hub.slow_s, hub.sent = 0.02, 0
        process = w.start("pull", "hf.co/owner/large:Q8_0")
        while hub.sent < 15_000_000:  # longer than the interval in which the state is kept
            time.sleep(0.05)
            assert process.poll() is None, process.communicate()
        process.send_signal(signal.SIGKILL)
        process.communicate()
        hub.slow_s = 0
        assert w.list() == {} and w.blobs() == [] and w.leftovers() != []
        before = len(hub.requests)
        w.hone("pull", "hf.co/owner/large:Q8_0")
        assert read(w.list()["hf.co/owner/large:Q8_0"]["path"]) == data
        ranges = [r[4] for r in hub.requests[before:] if r[0] == "storage"]
        assert len(ranges) > 1 and all(ranges), ranges
        assert hub.sent < len(data) + 12_000_000, hub.sent
        assert w.leftovers() == []


def huggingface_hub(hub, world, code):
    """Runs Python code with huggingface_hub in the world's HF_HOME."""
    folder = packages.fetch("huggingface_hub")
    if not folder:
        raise Skip("huggingface_hub cannot be installed")
    env = dict(world.env, HF_HUB_DISABLE_XET="1", HF_HUB_DISABLE_TELEMETRY="1",
               HF_HUB_DISABLE_PROGRESS_BARS="1", PYTHONPATH=str(folder))
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    return done.stdout.decode().strip()


def what_huggingface_hub_has_is_used_in_place(hub):
    with World(HF_ENDPOINT=hub.endpoint) as w:
        w.env["HF_HOME"] = str(w.home / "hf")
        place = huggingface_hub(hub, w, "import huggingface_hub as h\n"
                                "print(h.hf_hub_download('owner/tiny-GGUF', 'tiny-q4_k_m.gguf'))")
        folder = huggingface_hub(hub, w, "import huggingface_hub as h\n"
                                 "print(h.snapshot_download('owner/folder'))")
        models = w.list()
        tiny, whole = models["hf.co/owner/tiny-GGUF:Q4_K_M"], models["hf.co/owner/folder:latest"]
        assert tiny["origin"] == whole["origin"] == "huggingface_hub", models
        assert os.path.samefile(tiny["path"], place) and tiny["sha256"] == sha256(Q4), tiny
        assert whole["path"] == folder, (whole, folder)
        before = len(hub.requests)
        assert "already there" in w.hone("pull", "hf.co/owner/tiny-GGUF:Q4_K_M")
        assert len(hub.requests) == before and not (w.home / "hone").exists()
        # a name of its own shares the file; removing that name leaves it
        w.hone("cp", "hf.co/owner/tiny-GGUF:Q4_K_M", "mine")
        assert w.blobs() == [] and w.list()["mine:latest"]["path"] == tiny["path"]
        w.hone("verify", "mine", "hf.co/owner/folder")
        w.hone("rm", "--yes", "mine")
        assert "kept by huggingface_hub" in w.hone("rm", "--yes", "hf.co/owner/folder", code=1)
        w.hone("prune")
        assert read(place) == Q4 and os.path.isdir(folder)
        # a file with the same hash, wanted under another name, is not fetched again
        w.hone("pull", "--name", "other", "hf.co/owner/tiny-GGUF:Q4_K_M")
        assert w.blobs() == [] and read(w.list()["other:latest"]["path"]) == Q4


# --- the registry ---

LAYERS = [("model", gguf(7, 50000)), ("template", b"{{ .Prompt }}"), ("system", b"Be kind."),
          ("params", b'{"stop": ["</s>"]}'), ("license", b"MIT License"),
          ("adapter", gguf(8, 900)), ("projector", gguf(9, 800))]


def a_model_of_the_registry_comes_with_its_layers(server):
    server.push("library/tiny", "q4", LAYERS)
    with World() as w:
        source = f"ollama:{server.host}/library/tiny:q4"
        w.hone("pull", source)
        (name, model), = w.list().items()
        assert name == f"{server.host.replace(':', '-')}/library/tiny:q4", name
        assert read(model["path"]) == LAYERS[0][1], model
        assert [f["role"] for f in model["files"]] == [kind for kind, _ in LAYERS], model
        blobs = {f["role"]: read(w.home / "hone/blobs" / f"sha256-{f['sha256']}")
                 for f in model["files"]}
        assert blobs == dict(LAYERS)
        assert "already there" in w.hone("pull", source)
        w.hone("verify", source)
        shown = w.hone("show", source)  # no real model: what the store knows
        assert "Be kind." in shown and "MIT License" in shown, shown
        assert json.loads(w.hone("show", source, "--json"))["texts"]["system"] == "Be kind."
        assert "no such model or tag" in w.hone("pull", f"ollama:{server.host}/library/tiny:no",
                                                code=1)
        w.hone("rm", "--yes", source)
        assert w.blobs() == []


def lora(architecture, name, n_in, n_out):
    """An adapter of rank 1 for one matrix, as a GGUF file."""
    def text(value):
        return len(value).to_bytes(8, "little") + value.encode()
    keys = {"general.architecture": architecture, "general.type": "adapter", "adapter.type": "lora"}
    header = b"GGUF" + struct.pack("<IQQ", 3, 2, len(keys) + 1)
    for key, value in keys.items():
        header += text(key) + struct.pack("<I", 8) + text(value)
    header += text("adapter.lora.alpha") + struct.pack("<If", 6, 8.0)
    for end, shape, at in (("a", (n_in, 1), 0), ("b", (1, n_out), 4 * n_in)):
        header += text(f"{name}.lora_{end}") + struct.pack("<IQQIQ", 2, *shape, 0, at)
    numbers = [(i * 37 % 19 - 9) / 9 for i in range(n_in + n_out)]
    return header + bytes(-len(header) % 32) + struct.pack(f"<{n_in + n_out}f", *numbers)


def layers_of_a_model_hold_for_run(server):
    base = SHARED / "golden/qwen2-untied"
    if not base.exists():
        raise Skip(f"{base} is not there")
    adapter = lora("qwen2", "blk.0.attn_q.weight", 256, 256)
    template = (b"{% for m in messages %}{{ m.role + ': ' + m.content }}\n{% endfor %}")
    with World() as w:
        w.hone("convert", str(base), "-o", "base.gguf")
        (w.home / "lora.gguf").write_bytes(adapter)
        layers = [("model", read(w.home / "base.gguf")), ("template", template),
                  ("system", b"Be kind."), ("params", b'{"temperature": 0, "num_predict": 5}')]
        server.push("me/plain", "latest", layers)
        server.push("me/changed", "latest", [*layers, ("adapter", adapter)])
        prompt = "system: Be kind.\nuser: hello\n"
        for name, more in (("plain", []), ("changed", ["--adapter", "lora.gguf"])):
            source = f"ollama:{server.host}/me/{name}"
            w.hone("pull", source)
            said = json.loads(w.hone("run", source, "hello", "--exact", "--json"))
            same = json.loads(w.hone("run", "./base.gguf", prompt, "--raw", "--exact", "--json",
                                     "-T", "0", "-n", "5", *more))
            assert said["text"] == same["text"] and said["usage"] == same["usage"], (said, same)
            assert json.loads(w.hone("run", source, "hello", "--json", "-n", "3"))[
                "usage"]["completion_tokens"] == 3
        assert same["text"] != json.loads(w.hone(
            "run", f"ollama:{server.host}/me/plain", "hello", "--exact", "--json"))["text"]
        server.push("me/go", "latest", [layers[0], ("template", b"{{ .System }} {{ .Prompt }}")])
        w.hone("pull", f"ollama:{server.host}/me/go")
        assert "in Go's form" in w.hone("show", f"ollama:{server.host}/me/go")


def a_private_registry_gives_a_token_to_whom_it_knows(server):
    server.push("me/secret", "latest", LAYERS)
    tokens = Tokens(server.folder, "anna", "p@ss")
    server.restart(tokens.auth())
    source = f"ollama:{server.host}/me/secret"
    try:
        with World() as w:
            assert "HONE_REGISTRY_AUTH" in w.hone("pull", source, code=1)
            assert tokens.asked == [("repository:me/secret:pull", None)], tokens.asked
            # what is for another registry stays at home
            w.env["HONE_REGISTRY_AUTH"] = "anna:p@ss@127.0.0.2"
            w.hone("pull", source, code=1)
            assert tokens.asked[-1][1] is None
            w.env["HONE_REGISTRY_AUTH"] = f"x:y@elsewhere.example anna:wrong@{server.host}"
            assert "did not accept" in w.hone("pull", source, code=1)
        with World(HONE_REGISTRY_AUTH=f"x:y@elsewhere.example anna:p@ss@{server.host}") as w:
            w.hone("pull", source)
            (model,) = w.list().values()
            assert read(model["path"]) == LAYERS[0][1], model
            w.hone("verify", source)
            written = "".join(p.read_text() for p in (w.home / "hone/models").rglob("*.json"))
            assert "p@ss" not in written, written
    finally:
        tokens.close()


def a_registry_with_passwords_is_asked_with_one(server):
    try:
        with warnings.catch_warnings(action="ignore"):
            import crypt
    except ImportError as e:  # gone from Python 3.13 on
        raise Skip(f"no bcrypt: {e}") from e
    server.push("me/secret", "latest", LAYERS)
    users = Path(server.folder) / "htpasswd"
    users.write_text("anna:" + crypt.crypt("p@ss", crypt.mksalt(crypt.METHOD_BLOWFISH)) + "\n")
    server.restart({"htpasswd": {"realm": "models", "path": str(users)}})
    source = f"ollama:{server.host}/me/secret"
    with World() as w:
        assert "HONE_REGISTRY_AUTH" in w.hone("pull", source, code=1)
        w.env["HONE_REGISTRY_AUTH"] = f"anna:p@ss@{server.host}"
        w.hone("pull", source)
        w.hone("verify", source)


def shared_layers_are_kept_and_counted_once(server):
    server.push("me/one", "latest", LAYERS)
    server.push("me/two", "latest", [LAYERS[0], ("system", b"Be brief.")])
    with World() as w:
        for name in ("one", "two"):
            w.hone("pull", f"ollama:{server.host}/me/{name}")
        data = json.loads(w.hone("list", "--json"))
        assert data["disk_bytes"] == sum(len(d) for _, d in LAYERS) + 9, data["disk_bytes"]
        w.hone("rm", "--yes", f"ollama:{server.host}/me/one")
        assert len(w.blobs()) == 2, w.blobs()


def what_ollama_has_is_used_in_place(server):
    manifest = server.push("library/here", "1b", LAYERS)
    with World() as w:
        root = w.home / "ollama"
        w.env["OLLAMA_MODELS"] = str(root)
        place = root / "manifests/registry.ollama.ai/library/here"
        place.mkdir(parents=True)
        (root / "blobs").mkdir()
        (place / "1b").write_text(json.dumps(manifest))
        for _, data in LAYERS:
            (root / "blobs" / f"sha256-{sha256(data)}").write_bytes(data)
        model = w.list()["ollama.com/library/here:1b"]
        assert model["origin"] == "ollama" and read(model["path"]) == LAYERS[0][1], model
        assert "already there" in w.hone("pull", "ollama.com/library/here:1b")
        assert not (w.home / "hone").exists()
        # from another registry, the same blobs serve
        w.hone("pull", f"ollama:{server.host}/library/here:1b")
        assert w.blobs() == []
        assert "kept by ollama" in w.hone("rm", "--yes", "ollama.com/library/here:1b", code=1)
        # gone there, told here
        shutil.rmtree(root)
        assert "no longer where it was" in w.hone("list")


def lm_studios_files_are_listed():
    with World() as w:
        folder = w.home / ".lmstudio/models/publisher/Model-GGUF"
        folder.mkdir(parents=True)
        (folder / "Model-Q4_K_M.gguf").write_bytes(Q4)
        (folder / "mmproj-Model-F16.gguf").write_bytes(Q4)
        (name, model), = w.list().items()
        assert name == "lmstudio/publisher/Model-GGUF:Q4_K_M", name
        assert model["origin"] == "lm-studio" and model["path"] == str(folder / "Model-Q4_K_M.gguf")
        assert "kept by lm-studio" in w.hone("rm", "--yes", name, code=1)


# --- the store ---


def a_file_of_this_machine_is_used_where_it_lies():
    with World() as w:
        (w.home / "x.gguf").write_bytes(Q4)
        w.hone("pull", "x.gguf")
        model = w.list()["x:latest"]
        assert model["path"] == str(w.home / "x.gguf") and w.blobs() == [], model
        (w.home / "x.gguf").write_bytes(Q4[:-1] + b"!")
        assert "damaged" in w.start("verify", "x").communicate()[0].decode()
        w.hone("rm", "--yes", "x")
        assert (w.home / "x.gguf").exists()
        folder = w.home / "folder"
        folder.mkdir()
        for name, data in FOLDER.items():
            if "/" not in name:
                (folder / name).write_bytes(data)
        w.hone("pull", "./folder")
        links = Path(w.list()["folder:latest"]["path"])
        assert read(links / "config.json") == FOLDER["config.json"]
        w.hone("rm", "--yes", "folder")
        assert read(folder / "config.json") == FOLDER["config.json"]


def what_is_in_use_is_not_removed(hub):
    with World(HF_ENDPOINT=hub.endpoint) as w:
        w.hone("pull", "hf.co/owner/tiny-GGUF:Q4_K_M")
        name, model = next(iter(w.list().items()))
        with open(model["path"], "rb") as f:
            fcntl.flock(f, fcntl.LOCK_SH)  # as a running hone does
            assert "in use by a running program" in w.hone("rm", "--yes", name, code=1)
            assert read(model["path"]) == Q4
        w.hone("cp", name, "second")
        with open(model["path"], "rb") as f:
            fcntl.flock(f, fcntl.LOCK_SH)
            w.hone("rm", "--yes", name)  # the second name keeps the file
        assert read(w.list()["second:latest"]["path"]) == Q4


def a_running_program_keeps_its_model(hub):
    shared = Path(os.environ.get("HONE_SHARED", "../shared")) / "models/stories260K.gguf"
    if not shared.exists():
        raise Skip(f"no {shared}")
    hub.repositories["owner/tale"] = Repository({"tale-f32.gguf": read(shared)})
    with World(HF_ENDPOINT=hub.endpoint) as w:
        name = "hf.co/owner/tale:F32"
        w.hone("pull", name)
        running = w.start("bench", name, "--threads", "1", "--prompt", "64", "--decode", "64",
                          "--repeat", "1000")
        for _ in range(200):  # until it has the file open
            maps = Path(f"/proc/{running.pid}/maps").read_text()
            if "sha256-" in maps:
                break
            time.sleep(0.05)
        refusal = w.hone("rm", "--yes", name, code=1)
        running.kill()
        running.communicate()
        assert "in use by a running program" in refusal, refusal
        w.hone("rm", "--yes", name)
        assert w.list() == {} and w.blobs() == []


def prune_removes_what_nothing_needs(hub):
    with World(HF_ENDPOINT=hub.endpoint) as w:
        w.hone("pull", "hf.co/owner/tiny-GGUF:Q4_K_M")
        store = w.home / "hone"
        orphan = store / "blobs" / ("sha256-" + "a" * 64)
        orphan.write_bytes(b"x" * 500)
        half = store / "models/x.json.12-3.part"
        half.write_text("{")
        (store / "partial/abc").mkdir()
        (store / "partial/abc/x.part").write_bytes(b"y" * 100)
        (store / "folders/gone/latest").mkdir(parents=True)
        written = w.home / "out.gguf.77-0.part"
        written.write_bytes(b"z")
        alive = w.home / "other.gguf.78-0.part"
        alive.write_bytes(b"z")
        w.hone("prune", "--dry-run")
        assert orphan.exists() and half.exists()
        with open(store / "partial/def.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # a pull is under way: its blobs have no name yet
            w.hone("prune")
            assert orphan.exists() and not half.exists()
        w.hone("prune")
        assert not orphan.exists() and w.leftovers() == []
        assert not (store / "folders/gone").exists()
        with open(alive, "rb") as f:
            fcntl.flock(f, fcntl.LOCK_EX)
            w.hone("prune", str(w.home))
        assert not written.exists() and alive.exists()
        assert read(w.list()["hf.co/owner/tiny-GGUF:Q4_K_M"]["path"]) == Q4


HUB_CASES = [a_quantisation_is_picked_from_a_repository, without_a_quantisation_the_usual_one_comes,
             what_is_not_there_is_told_with_what_is, a_revision_is_another_model,
             split_files_stand_side_by_side, a_folder_comes_with_all_that_belongs_to_it,
             a_gated_repository_says_what_to_do,
             a_file_that_differs_from_its_lfs_hash_is_thrown_away,
             a_killed_download_goes_on_where_its_connections_were,
             what_huggingface_hub_has_is_used_in_place, what_is_in_use_is_not_removed,
             a_running_program_keeps_its_model, prune_removes_what_nothing_needs]
REGISTRY_CASES = [a_model_of_the_registry_comes_with_its_layers, layers_of_a_model_hold_for_run,
                  a_private_registry_gives_a_token_to_whom_it_knows,
                  a_registry_with_passwords_is_asked_with_one,
                  shared_layers_are_kept_and_counted_once, what_ollama_has_is_used_in_place]
PLAIN_CASES = [lm_studios_files_are_listed, a_file_of_this_machine_is_used_where_it_lies]


def run_case(case, make_server):
    with contextlib.closing(make_server()) as server:
        case(server)


def new_registry():
    if not registry.program():
        raise Skip("docker-registry is not installed, and apt-get cannot fetch it")
    return registry.Registry()


def main():
    global HONE
    HONE, _ = suite.arguments()
    cases = ([(c, run_case, c, new_hub) for c in HUB_CASES] +
             [(c, run_case, c, new_registry) for c in REGISTRY_CASES] + [(c, c) for c in PLAIN_CASES])
    tally = suite.Tally()
    registry.program()  # fetched once, before several want it
    with ThreadPoolExecutor(max_workers=4) as pool:
        list(pool.map(lambda c: tally.run(*c[1:], name=c[0].__name__), cases))
    return tally.end()


if __name__ == "__main__":
    sys.exit(main())
