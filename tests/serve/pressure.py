#!/usr/bin/env python3
"""`hone serve --adapt` in a control group that is too small. usage: pressure.py HONE MAKE_GGUF

The server's caches want more than its group allows. Without --adapt the kernel ends it (which
is tried first: else nothing would be shown); with it every request is answered and the limits come
back. Ends with `N passed, N failed`; skipped where no control group can be made.
"""
import concurrent.futures
import contextlib
import os
import pathlib
import subprocess
import sys
import tempfile
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))

import suite

LIMIT = 384 << 20
PROMPT = 1100  # tokens of 128 KiB of F32 cache each: 137 MiB


@contextlib.contextmanager
def control_group():
    """A new memory group with LIMIT; None where that is not possible."""
    old = pathlib.Path("/sys/fs/cgroup/memory")
    place, limit = (old, "memory.limit_in_bytes") if old.is_dir() else (old.parent, "memory.max")
    own = [line.rstrip("\n").split(":", 2) for line in open("/proc/self/cgroup")]
    for _, controllers, path in own:
        if old.is_dir() and "memory" in controllers.split(","):
            place = place / path.lstrip("/") if (place / path.lstrip("/")).is_dir() else place
    group = place / f"hone-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError:
        yield None
        return
    try:
        (group / limit).write_text(str(LIMIT))
        yield group
    except OSError:
        yield None
    finally:
        for _ in range(50):
            with contextlib.suppress(OSError):
                group.rmdir()
                break
            time.sleep(0.1)


class Limited:
    """A server of the model with the long cache, inside a group of its own."""

    def __init__(self, hone, model, group, *options):
        self.folder = tempfile.TemporaryDirectory(prefix="hone-pressure-")
        start = pathlib.Path(self.folder.name) / "start"
        start.write_text(f'#!/bin/sh\necho $$ >"{group}/cgroup.procs" && exec "{hone}" "$@"\n')
        start.chmod(0o755)
        self.server = suite.Server(str(start), "--kv", "f32", "--cache", "350M", "--slots", "8", *options,
                                   models=(model,))

    def __enter__(self):
        return self.server

    def __exit__(self, *_):
        if self.server.process.poll() is None:
            self.server.stop()
        self.folder.cleanup()


def ask(server, i, prompt=PROMPT, answer=8):
    """The status of a prompt of its own, as long as said; 0 where the server is gone."""
    body = {"prompt": chr(65 + i) * prompt, "max_tokens": answer, "temperature": 0,
            "ignore_eos": True}
    try:
        return server.ask("POST", "/v1/completions", body)[0]
    except OSError:
        return 0


def test_without_it_the_kernel_ends_the_server(world):
    with Limited(*world) as server:
        answers = [ask(server, i) for i in range(8)]
        assert answers[-1] == 0 and server.process.wait(10) == -9, answers


def test_caches_go_before_the_kernel_acts(world):
    with Limited(*world, "--adapt") as server:
        answers = [ask(server, i) for i in range(8)]
        assert answers == [200] * 8, answers
        assert server.metric("hone_limits_lowered_total") > 0
        assert any('"memory is short"' in line for line in server.lines), server.lines
        for _ in range(100):
            if server.metric("hone_cache_limit_bytes") == 350 << 20:
                break
            time.sleep(0.1)
        assert server.metric("hone_slots") == 8
        assert server.metric("hone_cache_limit_bytes") == 350 << 20, "the limits did not come back"
        assert any('"memory is back"' in line for line in server.lines)
        assert server.metric("hone_memory_limit_bytes") == LIMIT


def test_many_answers_at_once_survive(world):
    with Limited(*world, "--adapt") as server:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda i: ask(server, i, 500, 300), range(8)))
        assert answers == [200] * 8, answers
        assert server.metric("hone_limits_lowered_total") > 0
        assert ask(server, 9) == 200


def in_group(test, hone, model):
    with control_group() as group:
        if group is None:
            raise suite.Skip("no control group with a limit can be made here")
        test((hone, model, group))


def main():
    hone, (make_gguf,) = suite.arguments()
    tally = suite.Tally()
    with tempfile.TemporaryDirectory(prefix="hone-pressure-") as folder:
        model = os.path.join(folder, "long-cache.gguf")
        subprocess.run([os.path.abspath(make_gguf), "synth", "long-cache", "F16", model], check=True)
        for test in suite.find(globals()):
            tally.run(in_group, test, hone, model, name=test.__name__)
    return tally.end()


if __name__ == "__main__":
    sys.exit(main())
