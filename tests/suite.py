"""The frame of the suites that are written in Python.

A suite's tests are its functions named test_…, one promise each; it runs them by a Tally, whose
last line is what tests/run.sh adds up. What cannot run here raises Skip with the reason (a missing
package raises ImportError, which counts as the same).

    def main():
        hone, wanted = suite.arguments()
        tally = suite.Tally()
        with suite.Server(hone) as server:
            tally.run_all(suite.find(globals(), wanted), server)
        return tally.end()
"""
import http.client
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback

import packages

ROOT = pathlib.Path(__file__).resolve().parents[1]
SHARED = pathlib.Path(os.environ.get("HONE_SHARED") or ROOT.parent / "shared").resolve()
MODEL = SHARED / "golden" / "llama-smol"  # tiny, with random weights
SPEECH = SHARED / "golden" / "whisper-multilingual"


class Skip(Exception):
    """The reason why a test cannot run on this machine."""


def arguments():
    """The program under test, and the names of the tests that are wanted: [] for all."""
    if len(sys.argv) < 2:
        sys.exit(f"usage: {os.path.basename(sys.argv[0])} HONE [TEST…]")
    return os.path.abspath(sys.argv[1]), sys.argv[2:]


def find(names, wanted=(), takes=None):
    """The tests among a module's globals(); `takes`: only those whose first parameter has this name."""
    tests = [f for name, f in names.items() if name.startswith("test_") and (not wanted or name in wanted)]
    return [f for f in tests if takes is None or f.__code__.co_varnames[:1] == (takes,)]


class Tally:
    """Runs tests, tells how each ended, and counts. Several threads may use one."""

    def __init__(self):
        self.ends = {"passed": 0, "failed": 0, "skipped": 0}
        self.lock = threading.Lock()

    def count(self, end, line):
        with self.lock:
            self.ends[end] += 1
            print(line, flush=True)

    def run(self, test, *values, name=None):
        name = name or test.__name__
        try:
            test(*values)
        except (Skip, ImportError) as reason:
            self.count("skipped", f"skipped {name}: {reason}")
        except Exception:  # whatever it is, it is shown
            self.count("failed", f"FAILED {name}\n{traceback.format_exc()}")
        else:
            self.count("passed", f"ok     {name}")

    def run_all(self, tests, *values):
        for test in tests:
            self.run(test, *values)

    def check(self, name, holds):
        """What stands outside of any test."""
        self.count("passed" if holds else "failed", f"{'ok    ' if holds else 'FAILED'} {name}")

    def end(self):
        """The last line; returns the exit code."""
        print(", ".join(f"{n} {end}" for end, n in self.ends.items()))
        return 1 if self.ends["failed"] else 0


def skip_all(reason):
    """Nothing of this suite can run here."""
    print(f"skipped {pathlib.Path(sys.argv[0]).stem}: {reason}\n0 passed, 0 failed, 1 skipped")
    return 0


def use_packages(*wanted):
    """Puts them on the path; False where they cannot be had."""
    folder = packages.fetch(*wanted)
    if folder:
        sys.path.insert(0, str(folder))
    return bool(folder)


def run_with_server(names, start, packages_wanted):
    """The main of a suite whose tests take the server that `start` makes, or the program `hone`."""
    hone, wanted = arguments()
    if not MODEL.exists():
        return skip_all(f"{MODEL} is not there")
    if not use_packages(*packages_wanted):
        print(f"{', '.join(packages_wanted)} cannot be had: their tests are skipped")
    tally = Tally()
    server = start(hone)
    tally.run_all(find(names, wanted, "server"), server)
    tally.check("the server ends with 0", server.stop() == 0)
    tally.run_all(find(names, wanted, "hone"), hone)
    return tally.end()


def wait_until(condition, what="what was to happen", seconds=60):
    """Until it holds, however slow the machine is; the bound is for what never comes."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what}: it did not come in {seconds} s"
        time.sleep(0.02)


class Server:
    """A `hone serve` in a process of its own, on a free port of loopback."""

    def __init__(self, hone, *options, env=None, models=(MODEL, SPEECH)):
        self.home = tempfile.TemporaryDirectory(prefix="hone-serve-")
        self.process = subprocess.Popen(
            [hone, "serve", "--port", "0", *options, *map(str, models)], stderr=subprocess.PIPE,
            env={**os.environ, "HONE_HOME": self.home.name, **(env or {})}, text=True)
        self.lines = []
        for line in self.process.stderr:
            self.lines.append(line)
            found = re.search(r"listening on https?://.*:(\d+)/v1", line)
            if found:
                self.port = int(found[1])
            if line.startswith("keys:"):
                break
        else:
            raise RuntimeError("the server did not start: " + "".join(self.lines))
        threading.Thread(target=self.read_log, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self.process.poll() is not None:
            raise AssertionError("the server died: " + "".join(self.lines[-5:]))
        code = self.stop()
        assert kind or code == 0, "the server did not end as it should"

    def read_log(self):
        for line in self.process.stderr:
            self.lines.append(line)

    def stop(self, signal_number=signal.SIGTERM):
        self.process.send_signal(signal_number)
        code = self.process.wait(timeout=40)
        self.home.cleanup()
        return code

    def ask(self, method, path, body=None, headers=None):
        """(status, headers, bytes) of one request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer.status, answer.headers, data

    def metric(self, name):
        """A number of /metrics, of the first model where each has its own."""
        text = self.ask("GET", "/metrics")[2].decode()
        return float(re.search(rf"^{name}(?:\{{[^}}]*\}})? (\S+)$", text, re.M)[1])
