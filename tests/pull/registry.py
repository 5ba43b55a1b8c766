"""Debian's docker-registry on loopback, filled with models in Ollama's form."""
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import packages

LAYER = "application/vnd.ollama.image."
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


def program():
    """The server's path, or None. Where it is not installed, Debian's package is taken apart in the
    test cache: installed, it would start a service on this machine."""
    installed = shutil.which("docker-registry")
    cache = packages.CACHE
    unpacked = cache / "docker-registry/usr/bin/docker-registry"
    if installed or unpacked.exists():
        return installed or str(unpacked)
    work = cache / "docker-registry.new"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        subprocess.run(["apt-get", "-q", "download", "docker-registry"], cwd=work, check=True,
                       capture_output=True)
        package = next(work.glob("*.deb"))
        subprocess.run(["dpkg", "-x", package, work], check=True, capture_output=True)
        work.rename(cache / "docker-registry")
    except (OSError, StopIteration, subprocess.CalledProcessError):
        return None
    return str(unpacked)


def free_port():
    import socket
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def describe(data, media_type):
    return {"mediaType": media_type, "digest": "sha256:" + hashlib.sha256(data).hexdigest(),
            "size": len(data)}


class Registry:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="hone-registry-")
        self.host = f"127.0.0.1:{free_port()}"
        self.log = open(os.path.join(self.folder, "log"), "w")
        self.start({})

    def start(self, more):
        config = os.path.join(self.folder, "config.yml")
        with open(config, "w") as f:
            json.dump({"version": 0.1, "log": {"level": "error"}, "http": {"addr": self.host},
                       "storage": {"filesystem": {"rootdirectory": self.folder + "/data"}},
                       **more}, f)
        self.process = subprocess.Popen([program(), "serve", config], stdout=self.log,
                                        stderr=self.log)
        for _ in range(100):
            try:
                urllib.request.urlopen(f"http://{self.host}/v2/").read()
                return
            except urllib.error.HTTPError:
                return  # it wants to know who asks
            except OSError:
                time.sleep(0.05)
        self.close()
        raise RuntimeError("docker-registry does not start")

    def requests(self):
        self.log.flush()
        with open(self.log.name) as f:
            return f.read()

    def call(self, method, url, data=None, headers=None):
        request = urllib.request.Request(url, data=data, method=method, headers=headers or {})
        return urllib.request.urlopen(request)

    def push_blob(self, repository, data):
        place = self.call("POST", f"http://{self.host}/v2/{repository}/blobs/uploads/",
                          b"").headers["Location"]
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        glue = "&" if "?" in place else "?"
        self.call("PUT", f"{place}{glue}digest={digest}", data,
                  {"Content-Type": "application/octet-stream"})

    def push(self, repository, tag, layers):
        """`layers`: [(kind, bytes)]. Returns the manifest."""
        config = b'{"model_format": "gguf"}'
        for data in [config] + [data for _, data in layers]:
            self.push_blob(repository, data)
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST,
                    "config": describe(config, "application/vnd.docker.container.image.v1+json"),
                    "layers": [describe(data, LAYER + kind) for kind, data in layers]}
        body = json.dumps(manifest).encode()
        self.call("PUT", f"http://{self.host}/v2/{repository}/manifests/{tag}", body,
                  {"Content-Type": MANIFEST})
        return manifest

    def restart(self, auth):
        """With what it holds, and from now on asking who asks."""
        self.process.terminate()
        self.process.wait()
        self.start({"auth": auth})

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)
