"""A token server as private registries have one: it knows one user, and signs for a repository."""
import base64
import json
import subprocess
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SERVICE = "models & more"


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Tokens:
    def __init__(self, folder, user, password):
        self.folder = Path(folder)
        self.asked = []  # (scope, Authorization) of each request
        self.basic = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                        "-subj", "/CN=tokens", "-keyout", self.folder / "key.pem", "-out",
                        self.folder / "cert.pem"], check=True, capture_output=True)
        tokens = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                tokens.answer(self)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def auth(self):
        """The registry's configuration."""
        realm = f"http://127.0.0.1:{self.server.server_port}/token"
        return {"token": {"realm": realm, "service": SERVICE, "issuer": "tests",
                          "rootcertbundle": str(self.folder / "cert.pem")}}

    def sign(self, access):
        der = subprocess.run(["openssl", "x509", "-in", self.folder / "cert.pem", "-outform",
                              "DER"], check=True, capture_output=True).stdout
        now = int(time.time())
        parts = [{"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(der).decode()]},
                 {"iss": "tests", "sub": "", "aud": SERVICE, "exp": now + 300, "nbf": now - 10,
                  "iat": now, "jti": str(now), "access": access}]
        text = ".".join(encode(json.dumps(part).encode()) for part in parts)
        signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.folder / "key.pem"],
                                   input=text.encode(), check=True, capture_output=True).stdout
        return text + "." + encode(signature)

    def answer(self, request):
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(request.path).query)
        scope, given = query["scope"][0], request.headers.get("Authorization")
        self.asked.append((scope, given))
        known = given == self.basic and query["service"] == [SERVICE]
        kind, name, action = scope.split(":")
        body = json.dumps({"token": self.sign([{"type": kind, "name": name, "actions": [action]}])
                           } if known else {"details": "who are you?"}).encode()
        request.send_response(200 if known else 401)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def close(self):
        self.server.shutdown()
