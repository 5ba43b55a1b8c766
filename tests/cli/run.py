#!/usr/bin/env python3
"""Runs the cases of tests/cli/*.test and the chats of chat.py; see README.md."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
TIMEOUT_S = 120
MODELS = os.environ.get("HONE_TEST_MODELS", "~/.cache/hone-tests/models")
WHISPER = Path(MODELS).expanduser() / "whisper-tiny.en"


@dataclass
class Case:
    file: str
    line: int
    name: str
    command: str = ""
    stdin: list = field(default_factory=list)
    code: int = 0
    stdout: list = field(default_factory=list)
    stderr: list = field(default_factory=list)
    needs: tuple = ()


def parse(path):
    """The cases of one file. A comment after a command begins the next case."""
    cases, comment, needs = [], [], ()
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        kind, rest = line[:1], line[2:]
        if line.startswith("needs: "):
            needs += (line[7:],)
        elif kind == "#":
            comment.append(rest)
        elif kind == "$":
            cases.append(Case(path.name, number, " ".join(comment) or rest, rest, needs=needs))
            comment, needs = [], ()
        elif kind in "<>!?" and kind and cases:
            case = cases[-1]
            if kind == "?":
                case.code = int(rest)
            else:
                {"<": case.stdin, ">": case.stdout, "!": case.stderr}[kind].append(rest)
        elif line.strip():
            raise SystemExit(f"{path.name}:{number}: cannot read: {line}")
    return cases


def pattern(lines):
    """The expected lines as one regular expression."""
    text = ""
    for line in lines:
        if line == "...":
            text += r"(?:.*\n)*?"
            continue
        for part in re.split(r"(\{n\}|\{\*\})", line):
            text += {"{n}": r"-?\d[\d.,e+-]*", "{*}": r".*"}.get(part, re.escape(part))
        text += r"\n"
    return text


def matches(lines, got):
    if got and not got.endswith("\n"):
        got += "\n"
    return re.fullmatch(pattern(lines), got) is not None


def environment(hone, shared, folder):
    keep = ("PATH", "LANG", "LC_ALL", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS")
    env = {k: os.environ[k] for k in keep if k in os.environ}
    env["PATH"] = f"{hone.parent}:{env['PATH']}"
    env.update(HOME=folder, HONE_HOME=folder, TMP=folder, TERM="dumb", ROOT=str(HERE.parents[1]))
    if shared:
        env.update(SHARED=str(shared), MODEL=str(shared / "models/stories260K.gguf"),
                   CHAT=str(shared / "golden/qwen2-tied"))
    if WHISPER.exists():
        env["WHISPER"] = str(WHISPER)
    return env


def run(case, hone, shared):
    """None when the case holds, otherwise what went wrong."""
    folder = tempfile.mkdtemp(prefix="hone-cli-")
    try:
        stdin = "".join(line + "\n" for line in case.stdin).encode()
        got = subprocess.run(["sh", "-c", case.command], env=environment(hone, shared, folder),
                             input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             timeout=TIMEOUT_S, cwd=folder)
    except subprocess.TimeoutExpired:
        return f"no end after {TIMEOUT_S} s\n"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    out, err = (s.decode("utf-8", "replace") for s in (got.stdout, got.stderr))
    problems = ""
    if got.returncode != case.code:
        problems += f"exit code {got.returncode}, expected {case.code}\n"
    for name, lines, text in (("stdout", case.stdout, out), ("stderr", case.stderr, err)):
        if not matches(lines, text):
            problems += f"{name} was:\n{indent(text)}expected:\n" + indent("\n".join(lines))
    if problems and not matches(case.stderr, err):
        return problems
    return problems and problems + (f"stderr:\n{indent(err)}" if err else "")


def indent(text):
    return "".join(f"    {line}\n" for line in text.splitlines()) or "    (nothing)\n"


def main():
    if len(sys.argv) < 2:
        sys.exit("usage: run.py HONE [FILE.test …]")
    hone = Path(sys.argv[1]).resolve()
    shared = Path(os.environ.get("HONE_SHARED", HERE.parents[1].parent / "shared")).resolve()
    if not (shared / "models").is_dir():
        shared = None
    files = [Path(f) for f in sys.argv[2:]] or sorted(HERE.glob("*.test"))
    cases = [case for file in files for case in parse(file)]
    passed = failed = skipped = 0

    sanitized = b"__asan_init" in hone.read_bytes() or b"__tsan_init" in hone.read_bytes()
    lacking = {"shared": not shared and "no reference data",
               "whisper": not (shared and WHISPER.exists()) and "whisper:tiny.en is not there",
               "plain": sanitized and "sanitizers reserve memory of their own"}

    def one(case):
        """(reason to skip, problem)"""
        reason = next((lacking[need] for need in case.needs if lacking[need]), None)
        return reason, None if reason else run(case, hone, shared)

    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        for case, (reason, problem) in zip(cases, pool.map(one, cases)):
            if reason:
                print(f"skipped {case.file}:{case.line} {case.name}: {reason}")
                skipped += 1
            elif problem:
                print(f"FAILED {case.file}:{case.line} {case.name}\n  $ {case.command}")
                print(indent(problem))
                failed += 1
            else:
                passed += 1

    if len(sys.argv) == 2:
        import chat  # by the same rules, for what needs a terminal

        more = chat.run_all(hone, shared, environment)
        passed, failed, skipped = passed + more[0], failed + more[1], skipped + more[2]
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    sys.exit(main())
