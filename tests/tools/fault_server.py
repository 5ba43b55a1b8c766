#!/usr/bin/env python3
"""A file server that misbehaves on request, for the download tests.

The first part of the path names the behaviour (see FAULTS below), the last one the file:
"size-3000000.gguf" has that many bytes (GGUF magic, then content()). Listens on three ports of
127.0.0.1 ("localhost" and "127.0.0.1" are different hosts to a client), the third one with TLS if
--certificate names a PEM file with key and certificate; prints them on stdout and serves until its
standard input ends. --log FILE gets one line for each request:
METHOD PATH PORT range=… if-range=… auth=…
"""
import argparse
import hashlib
import http.server
import json
import os
import re
import ssl
import sys
import threading
import time

seen = {}  # requests so far for each path
lock = threading.Lock()
arguments = None
ports = []


def content(size, version):
    pattern = bytes((i + 7 * version) & 255 for i in range(251))
    return (b"GGUF" + (pattern * (size // 251 + 1)))[:size]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *unused):
        pass

    def note(self):
        header = lambda name: self.headers.get(name, "-").replace(" ", "_")
        line = "%s %s %d range=%s if-range=%s auth=%s\n" % (
            self.command, self.path, self.server.server_port, header("Range"), header("If-Range"),
            header("Authorization"))
        with lock:
            seen[self.path] = seen.get(self.path, 0) + 1
            if arguments.log:
                with open(arguments.log, "a") as log:
                    log.write(line)
            return seen[self.path]

    def plain(self, status, text, kind="text/plain", headers=()):
        body = text.encode()
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def start(self, data):
        """Where the client wants to go on, by Range alone."""
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        return int(match.group(1)) if match else 0

    def send(self, data, etag='"v1"', start=0, stop=None, total=None, claim=None, pause=0):
        """Answers with data[start:stop]; `total` and `claim` are what the headers say."""
        stop = len(data) if stop is None else stop
        total = len(data) if total is None else total
        if start >= len(data) and start > 0:
            self.plain(416, "", headers=[("Content-Range", "bytes */%d" % total)])
            return
        self.send_response(206 if start else 200)
        if start:
            claimed = start if claim is None else claim
            self.send_header("Content-Range", "bytes %d-%d/%d" % (claimed, total - 1, total))
        if etag:
            self.send_header("ETag", etag)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(total - start))
        self.end_headers()
        while start < stop:
            step = min(65536, stop - start)
            self.wfile.write(data[start:start + step])
            start += step
            if pause:
                self.wfile.flush()
                time.sleep(pause)
        self.wfile.flush()
        if stop < total:
            self.close_connection = True

    def resumed(self, data, etag='"v1"', **more):
        """A proper server: ranges, but only of the version that the client knows."""
        wanted = self.headers.get("If-Range")
        start = self.start(data) if wanted in (None, etag) else 0
        self.send(data, etag, start=start, **more)

    def describe_repository(self):
        """The hub's answer about a repository, which has one file."""
        data = content(3000000, 1)
        self.plain(200, json.dumps({
            "sha": "abc", "cardData": {"license": "mit"}, "siblings": [
                {"rfilename": "README.md", "size": 5},
                {"rfilename": "size-3000000.gguf", "size": 130,
                 "lfs": {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}}],
        }), "application/json")

    def do_GET(self):
        n = self.note()
        parts = self.path.split("?")[0].strip("/").split("/")
        match = re.search(r"size-(\d+)", parts[-1])
        size = int(match.group(1)) if match else 98362432  # the default model's
        fault = FAULTS.get(parts[0])
        try:
            if fault and "/api/models/" in self.path and not parts[0].isdigit():
                self.describe_repository()
            elif fault:
                fault(self, size, n)
            else:
                self.plain(404, "no such fault")
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *unused):
        pass  # clients that hang up are part of the tests


def ranged(h, data, etag='"v1"', pause=0, stop=None):
    """A proper server for several connections: "bytes=A-B", too, and it says so."""
    match = re.fullmatch(r"bytes=(\d+)-(\d*)", h.headers.get("Range", ""))
    if match and h.headers.get("If-Range") not in (None, etag):
        match = None
    first = int(match.group(1)) if match else 0
    last = int(match.group(2)) if match and match.group(2) else len(data) - 1
    h.send_response(206 if match else 200)
    if match:
        h.send_header("Content-Range", "bytes %d-%d/%d" % (first, last, len(data)))
    for name, value in (("ETag", etag), ("Accept-Ranges", "bytes"),
                        ("Content-Type", "application/octet-stream"),
                        ("Content-Length", str(last + 1 - first))):
        h.send_header(name, value)
    h.end_headers()
    end = last + 1 if stop is None else min(stop, last + 1)
    while first < end:
        step = min(65536, end - first)
        h.wfile.write(data[first:first + step])
        first += step
        time.sleep(pause)
    h.wfile.flush()
    if end < last + 1:
        h.close_connection = True


def many(h, size, n):
    ranged(h, content(size, 1), pause=0.002)


def oneonly(h, size, n):
    """A second connection is one too many."""
    if n == 1:
        ranged(h, content(size, 1), pause=0.002)
    else:
        h.plain(429, "one at a time")


def noranges(h, size, n):
    """Says that it takes ranges, and does not."""
    h.headers.replace_header("Range", "") if "Range" in h.headers else None
    ranged(h, content(size, 1), pause=0.002)


def changemany(h, size, n):
    """Changes after the first answer: ranges come with another ETag."""
    if n == 1:
        ranged(h, content(size, 1), pause=0.002)
    else:
        if "If-Range" in h.headers:
            h.headers.replace_header("If-Range", '"v2"')
        ranged(h, content(size, 2), '"v2"')


def stallmany(h, size, n):
    """The second connection stalls after a while, once."""
    if n == 2:
        first = int(re.match(r"bytes=(\d+)", h.headers["Range"]).group(1))
        ranged(h, content(size, 1), stop=first + 100000)
        time.sleep(30)
    else:
        ranged(h, content(size, 1), pause=0.002)


def status(code):
    return lambda h, size, n: h.plain(code, "status %d" % code)


def noetag(h, size, n):
    data = content(size, 1)
    h.send(data, None, start=h.start(data), stop=size // 2 if n == 1 else None)


def norange(h, size, n):
    h.send(content(size, 1), stop=size // 2 if n == 1 else None)


def drop(h, size, n):
    h.resumed(content(size, 1), stop=size // 2 if n == 1 else None)


def truncate(h, size, n):
    data = content(size, 1)
    start = h.start(data)
    h.send(data, start=start, stop=max(start, size // 2))


def shorter(h, size, n):
    h.send(content(size // 2, 1))


def chunked(h, size, n):
    data = content(size, 1)
    h.send_response(200)
    h.send_header("Transfer-Encoding", "chunked")
    h.end_headers()
    for at in range(0, size, 65536):
        piece = data[at:at + 65536]
        h.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
    h.wfile.write(b"0\r\n\r\n")


def change(h, size, n):
    if n == 1:
        h.send(content(size, 1), '"v1"', stop=size // 2)
    else:
        h.resumed(content(size, 2), '"v2"')


def changeblind(h, size, n):
    data = content(size, 1 if n == 1 else 2)
    h.send(data, '"v1"' if n == 1 else '"v2"', start=h.start(data),
           stop=size // 2 if n == 1 else None)


def changing(h, size, n):
    data = content(size, n)
    start = h.start(data)
    h.send(data, '"v%d"' % n, start=start, stop=(start + size) // 2)


def wrongrange(h, size, n):
    data = content(size, 1)
    start = h.start(data)
    h.send(data, start=start, stop=size // 2 if n == 1 else None, claim=start + 5)


def stall(h, size, n):
    h.send(content(size, 1), start=h.start(b""), stop=size // 2)
    h.wfile.flush()
    time.sleep(30)


def stallonce(h, size, n):
    if n == 1:
        stall(h, size, n)
    else:
        h.resumed(content(size, 1))


def silent(h, size, n):
    time.sleep(30)


def slow(h, size, n):
    h.resumed(content(size, 1), pause=0.05 if n == 1 else 0)


def html(h, size, n):
    h.plain(200, "<!DOCTYPE html><html><body>Please log in</body></html>", "text/html")


def htmlafter(h, size, n):
    if n == 1:
        h.send(content(size, 1), stop=size // 2)
    elif n == 2:
        html(h, size, n)
    else:
        h.resumed(content(size, 1))


def notgguf(h, size, n):
    h.send(b"this is no model" * (size // 16))


def gzipped(h, size, n):
    h.plain(200, "x" * size, "application/octet-stream", [("Content-Encoding", "gzip")])


def elsewhere(h, size, n):
    """Another host and port; the same file there."""
    h.plain(302, "", headers=[("Location", "http://localhost:%d/ok/%s" % (
        ports[1], h.path.rsplit("/", 1)[1]))])


def loop(h, size, n):
    h.plain(302, "", headers=[("Location", h.path)])


def tofile(h, size, n):
    h.plain(302, "", headers=[("Location", "file:///etc/hostname")])


FAULTS = {f.__name__: f for f in (
    noetag, norange, drop, truncate, shorter, chunked, change, changeblind, changing, wrongrange,
    many, oneonly, noranges, changemany, stallmany, stall, stallonce, silent, slow, html, htmlafter,
    notgguf, gzipped, elsewhere, loop, tofile)}
FAULTS["ok"] = lambda h, size, n: h.resumed(content(size, 1))
for code in (401, 403, 404, 429, 500):
    FAULTS[str(code)] = status(code)


def main():
    global arguments
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--log")
    parser.add_argument("--certificate")
    arguments = parser.parse_args()
    for number in range(3):
        server = Server(("127.0.0.1", 0), Handler)
        if number == 2 and arguments.certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(arguments.certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        ports.append(server.server_port)
        threading.Thread(target=server.serve_forever, daemon=True).start()
    print(*ports, flush=True)
    sys.stdin.read()
    os._exit(0)


main()
