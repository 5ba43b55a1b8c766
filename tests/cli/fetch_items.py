"""A server on loopback hands out the items of a task; `hone tasks --fetch` gets them. Argument: hone."""
import gzip
import hashlib
import http.server
import json
import os
import subprocess
import sys
import threading

ITEMS = gzip.compress(b'{"id": "x", "context": "Once", "choices": [" upon", " xq"], "answer": 0}\n')


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(ITEMS)))
        self.end_headers()
        self.wfile.write(ITEMS)

    def log_message(self, *_):
        pass


def write_task(name, sha256, port):
    with open(f"tasks/{name}.json", "w", encoding="utf-8") as out:
        json.dump({"task": name, "kind": "choice", "prompt": "{context}", "items": f"{name}.jsonl.gz",
                   "source": f"http://127.0.0.1:{port}/{name}.jsonl.gz", "sha256": sha256}, out)


def fetch(name):
    return subprocess.run([sys.argv[1], "tasks", "--fetch", name], capture_output=True, text=True, check=False,
                          env={**os.environ, "HONE_TASKS": "tasks"})


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
os.mkdir("tasks")
write_task("right", hashlib.sha256(ITEMS).hexdigest(), server.server_port)
write_task("wrong", "0" * 64, server.server_port)
got = fetch("right")
with gzip.open(os.path.join(os.environ["HONE_HOME"], "tasks/right.jsonl.gz")) as items:
    print(f"the right file: {got.returncode}, {len(items.readlines())} item")
other = fetch("wrong")
server.shutdown()
server.server_close()
print(f"again, without a server: {fetch('right').returncode}")
print(f"another file: {other.returncode}, "
      f"{'another one than was expected' if 'another one than was expected' in other.stderr else other.stderr}")
