"""A stand-in for the Hugging Face hub, as far as downloads go: what huggingface_hub accepts.

Repositories are dictionaries {path: bytes}. Files of 1000 bytes and more are in "LFS": their
address redirects to another host and port, as the hub's does. A repository may have several revisions, be
gated, or hand out damaged files; the other host may be slow.
"""
import hashlib
import http.server
import json
import re
import threading
import time
import urllib.parse


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def sha1(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Repository:
    def __init__(self, files, gated=False, damaged=()):
        self.revisions = {"main": files}
        self.gated = gated  # needs a token, and one that was let in
        self.damaged = set(damaged)

    def find(self, revision):
        """(commit, files) of a branch or commit, or None."""
        for name, files in self.revisions.items():
            commit = sha1(name.encode())
            if revision in (name, commit):
                return commit, files
        return None


class Hub:
    """Serves `repositories` ({"owner/name": Repository}) until close()."""

    def __init__(self, repositories):
        self.repositories = repositories
        self.requests = []  # (where, method, path, authorization, range)
        self.sent = 0  # bytes of large files
        self.slow_s = 0  # pause between blocks of large files
        self.lock = threading.Lock()
        self.servers = [self.start(Api), self.start(Storage)]
        self.endpoint = f"http://127.0.0.1:{self.servers[0].server_port}"
        self.storage = f"http://localhost:{self.servers[1].server_port}"

    def start(self, handler):
        server = Server(("127.0.0.1", 0), handler)
        server.hub = self
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server

    def close(self):
        for server in self.servers:
            server.shutdown()
            server.server_close()


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *unused):
        pass  # clients that hang up are part of the tests


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    where = ""

    def log_message(self, *unused):
        pass

    def note(self):
        hub = self.server.hub
        with hub.lock:
            hub.requests.append((self.where, self.command, self.path,
                                 self.headers.get("Authorization"), self.headers.get("Range")))
        return hub

    def answer(self, status, body=b"", headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_HEAD(self):
        self.do_GET()


class Api(Handler):
    where = "hub"

    def fail(self, status, code, words):
        self.answer(status, json.dumps({"error": words}).encode(),
                    [("X-Error-Code", code), ("X-Error-Message", words),
                     ("Content-Type", "application/json")])

    def do_GET(self):
        hub = self.note()
        path = urllib.parse.unquote(self.path.split("?")[0])
        asked = (re.fullmatch(r"/api/models/([^/]+/[^/]+)/(revision|tree)/([^/]+)", path) or
                 re.fullmatch(r"/([^/]+/[^/]+)/(resolve)/([^/]+)/(.+)", path))
        repository = hub.repositories.get(asked.group(1)) if asked else None
        if not repository:
            return self.fail(401, "RepoNotFound", "Repository not found")
        found = repository.find(asked.group(3))
        if not found:
            return self.fail(404, "RevisionNotFound", "Invalid rev id")
        is_file = asked.group(2) == "resolve"
        token = self.headers.get("Authorization")
        if repository.gated and is_file and token != "Bearer hf_let_in":
            words = "Access to this model is restricted"
            return self.fail(403 if token else 401, "GatedRepo", words)
        if asked.group(2) == "revision":
            return self.describe(repository, *found)
        if asked.group(2) == "tree":
            return self.list_tree(found[1])
        return self.resolve(hub, repository, *found, asked.group(4))

    def json(self, value):
        self.answer(200, json.dumps(value).encode(), [("Content-Type", "application/json")])

    def describe(self, repository, commit, files):
        with_blobs = "blobs=" in self.path
        siblings = []
        for path, data in files.items():
            sibling = {"rfilename": path}
            if with_blobs:
                sibling.update(size=len(data), blobId=sha1(data))
                if len(data) >= 1000:
                    sibling["lfs"] = {"sha256": sha256(data), "size": len(data),
                                      "pointerSize": 134}
            siblings.append(sibling)
        self.json({"id": "x/y", "modelId": "x/y", "sha": commit, "private": False,
                   "gated": "manual" if repository.gated else False, "disabled": False,
                   "tags": ["gguf", "license:apache-2.0"], "downloads": 0, "likes": 0,
                   "siblings": siblings, "lastModified": "2026-01-01T00:00:00.000Z"})

    def list_tree(self, files):
        self.json([{"type": "file", "path": path, "size": len(data), "oid": sha1(data),
                    **({"lfs": {"oid": sha256(data), "size": len(data), "pointerSize": 134}}
                       if len(data) >= 1000 else {})} for path, data in files.items()])

    def resolve(self, hub, repository, commit, files, path):
        if path not in files:
            return self.fail(404, "EntryNotFound", "Entry not found")
        data = files[path]
        headers = [("X-Repo-Commit", commit)]
        if len(data) < 1000:
            headers += [("ETag", f'"{sha1(data)}"'), ("Content-Type", "text/plain")]
            return self.answer(200, data, headers)
        damaged = "damaged/" if path in repository.damaged else ""
        headers += [("X-Linked-Etag", f'"{sha256(data)}"'), ("X-Linked-Size", str(len(data))),
                    ("ETag", f'"{sha256(data)}"'),
                    ("Location", f"{hub.storage}/{damaged}{sha256(data)}")]
        self.answer(302, b"", headers)


class Storage(Handler):
    where = "storage"

    def do_GET(self):
        hub = self.note()
        name = self.path.rsplit("/", 1)[1]
        data = next((data for r in hub.repositories.values() for files in r.revisions.values()
                     for data in files.values() if sha256(data) == name), None)
        if data is None:
            return self.answer(404)
        if "damaged" in self.path:
            data = data[:-1] + bytes([data[-1] ^ 1])
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        first = int(asked.group(1)) if asked else 0
        last = int(asked.group(2)) if asked and asked.group(2) else len(data) - 1
        headers = [("ETag", f'"{name}"'), ("Accept-Ranges", "bytes"),
                   ("Content-Type", "application/octet-stream")]
        if asked:
            headers.append(("Content-Range", f"bytes {first}-{last}/{len(data)}"))
        self.send_response(206 if asked else 200)
        for header in headers + [("Content-Length", str(last + 1 - first))]:
            self.send_header(*header)
        self.end_headers()
        try:
            for at in range(first, last + 1 if self.command == "GET" else first, 65536):
                block = data[at:min(at + 65536, last + 1)]
                self.wfile.write(block)
                with hub.lock:
                    hub.sent += len(block)
                if hub.slow_s:
                    time.sleep(hub.slow_s)
        except OSError:
            self.close_connection = True
