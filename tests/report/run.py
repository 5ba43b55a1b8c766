#!/usr/bin/env python3
"""`hone results` and `hone report`: lists, differences, repetition, and the page in a real browser.
usage: run.py HONE [--screenshots FOLDER | TEST…]

Ends with `N passed, N failed[, N skipped]`.
"""
import csv
import html
import io
import json
import os
import pathlib
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))

import suite

TINY = suite.SHARED / "models" / "stories260K.gguf"
HOSTILE = "</script><script>window.broken=1</script>\"'><img src=x onerror=window.broken=1>`|*_&amp;\u2028"
HONE = HOME = ""


def hone(*words, code=0, cwd=None):
    got = subprocess.run([HONE, *map(str, words)], env={**os.environ, "HONE_HOME": HOME}, capture_output=True,
                         text=True, timeout=300, cwd=cwd)
    assert got.returncode == code, (words, got.returncode, got.stdout, got.stderr)
    return got.stdout if code in (0, 3) else got.stderr


def lines_of(*words):
    return hone(*words).rstrip("\n").split("\n")  # Python's splitlines() would split at U+2028, too


def database():
    return sqlite3.connect(f"{HOME}/results.db")


def add(kind="bench", name="made:1b", quantisation="Q4_K_M", machine="aaaa", metrics=(), items=(), reasons=(),
        items_hash=None, detail=None, started=1_795_000_000_000, state="finished", hash_="1" * 64):
    """A result as hone would have left it."""
    db = database()
    db.execute("INSERT OR IGNORE INTO machine VALUES (?, 'Made CPU', 'avx2', 4, 8, 17179869184, 33554432)", (machine,))
    id_ = db.execute(
        "INSERT INTO result (kind, state, started_ms, seconds, machine, kernel, build, process, folder, command,"
        " environment, settings, items_hash, detail) VALUES (?, ?, ?, 1.5, ?, 'Linux 6', '0.1.0', 1, '/', ?, '{}',"
        " '{}', ?, ?)", (kind, state, started, machine, json.dumps(["hone", kind, name]), items_hash,
                         json.dumps(detail) if detail else None)).lastrowid
    db.execute("INSERT INTO subject VALUES (?, 0, 'model', ?, '/m.gguf', ?, ?, 9)", (id_, name, hash_, quantisation))
    for row in metrics:
        name_, condition, unit, value, low, high, n, better = row
        db.execute("INSERT INTO metric VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)",
                   (id_, name_, condition, unit, value, low, high, n, better, items_hash))
    for i, right in enumerate(items):
        db.execute("INSERT INTO item VALUES (?, 't', ?, 'p', 'o', ?, NULL, ?, NULL)",
                   (id_, f"{i:04}", "right" if right else "wrong", float(right)))
    for i, (reason, words) in enumerate(reasons):
        db.execute("INSERT INTO reason VALUES (?, ?, ?, ?)", (id_, i, reason, words))
    db.commit()
    return id_


def speed(value, width=0.02):
    return ("decode", "depth=0", "tokens/s", value, value * (1 - width), value * (1 + width), 5, 1)


def make_world():
    """Three quantisations of one model with speed, quality, memory and depth; one of a hostile name."""
    hone("results")  # makes the database
    for i, (quantisation, rate, share) in enumerate([("Q4_K_M", 31, 0.61), ("Q6_K", 24, 0.66), ("F16", 11, 0.67)]):
        name = HOSTILE if quantisation == "F16" else "made:1b"
        hash_ = str(i) * 64
        rows = [{"tokens": 128, "depth": d, "tokens_per_s": rate * f, "parallel": 1, "ops_per_byte": 1.9,
                 "ops_per_s": 2e10 * f, "spread": {"low": rate * f * 0.97, "high": rate * f * 1.03}}
                for d, f in ((0, 1), (1024, 0.93), (4096, 0.75), (8192, 0.6))]
        prefills = [{"tokens": 512, "depth": d, "tokens_per_s": rate * 9 * f, "batch": None, "ops_per_byte": 700,
                     "ops_per_s": 3e11 * f, "spread": {"low": rate * 8.8 * f, "high": rate * 9.2 * f}}
                    for d, f in ((0, 1), (4096, 0.8))]
        add(name=name, quantisation=quantisation, hash_=hash_, detail={"decodes": rows, "prefills": prefills},
            metrics=[speed(rate), ("peak_memory", "", "bytes", 1.2e9 * (1 + i), None, None, 1, -1),
                     ("steady_memory", "", "bytes", 1.1e9 * (1 + i), None, None, 1, -1),
                     ("read_limit", "", "bytes/s", 3e10, None, None, 1, 0),
                     ("arithmetic_limit", "", "ops/s", 9e11, None, None, 1, 0)])
        add("eval", name=name, quantisation=quantisation, hash_=hash_, items_hash="feed",
            metrics=[("accuracy", "task=t", "share", share, share - 0.04, share + 0.04, 400, 1)])
    add(reasons=[("early_end", "an answer ended " + HOSTILE)], metrics=[speed(99)])


def test_lists_and_filters():
    lines = lines_of("results")
    assert len(lines) == 8 and "made:1b (Q4_K_M)" in lines[1] and "yes" in lines[1], lines
    assert "no: an answer ended" in lines[7]
    assert len(lines_of("results", "--valid")) == 7
    assert len(lines_of("results", "--invalid")) == 2
    assert len(lines_of("results", "--kind", "eval")) == 4
    assert len(lines_of("results", "--model", "MADE")) == 6
    assert len(lines_of("results", "--since", "2026-11-30")) == 1
    assert len(lines_of("results", "--since", "2020-01-01")) == 8
    assert len(lines_of("results", "-n", "2")) == 3
    listed = json.loads(hone("results", "--json", "--kind", "bench"))
    assert [r["id"] for r in listed] == [1, 3, 5, 7] and listed[3]["reasons"][0]["code"] == "early_end"
    assert "--kind is bench" in hone("results", "--kind", "nothing", code=2)
    assert "--since takes" in hone("results", "--since", "soon", code=2)


def test_csv_can_be_read_back():
    rows = list(csv.DictReader(io.StringIO(hone("report", "--csv", "--invalid"))))
    assert len(rows) == 3 * 5 + 3 + 1, len(rows)
    assert [r["model"] for r in rows if r["result"] == "5"][0] == HOSTILE
    assert rows[-1]["valid"] == "false" and HOSTILE in rows[-1]["reason"]


def test_invalid_results_stay_out_of_reports():
    for form in ("--markdown", "--csv", "--json"):
        text = hone("report", form)
        assert "an answer ended" not in text, form
        assert "an answer ended" in hone("report", form, "--invalid")
    assert "Do not rely" not in hone("report")
    assert "Do not rely on these numbers" in hone("report", "7")  # asked for by number: shown, with its reason
    page = f"{HOME}/page.html"
    hone("report", "--html", page)
    assert "an answer ended" not in pathlib.Path(page).read_text(encoding="utf-8")


def test_markdown_stays_markdown():
    text = hone("report", "5", "--markdown")
    assert "<script" not in text.replace("\\<", "") and "\\|\\*\\_" in text, text
    for line in text.splitlines():
        if line.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", line)) == 6, line


def test_reports_name_what_is_needed_to_repeat():
    text = hone("report", "1")
    for word in ("Made CPU", "aaaa", "0.1.0", "SHA-256 " + "0" * 64, "hone bench made:1b", "Linux 6"):
        assert word in text, word


def test_differences():
    a = add(metrics=[speed(30)])
    same, faster, slower = (add(metrics=[speed(v)]) for v in (30.5, 40, 20))
    verdicts = [json.loads(hone("results", "diff", a, b, "--json"))["metrics"][0]["verdict"]
                for b in (same, faster, slower)]
    assert verdicts == ["not distinguishable", "better", "worse"], verdicts
    assert "better" in hone("results", "diff", a, faster)


def test_other_machines_and_other_items_are_not_compared():
    a, b = add(metrics=[speed(30)]), add(metrics=[speed(30)], machine="bbbb")
    o = json.loads(hone("results", "diff", a, b, "--json"))
    assert not o["comparable"] and o["metrics"][0]["verdict"] == "not comparable"
    assert any("two machines" in d for d in o["doubts"])
    accuracy = ("accuracy", "task=t", "share", 0.5, 0.4, 0.6, 100, 1)
    c = add("eval", metrics=[accuracy], items_hash="one")
    d = add("eval", metrics=[accuracy], items_hash="two", machine="bbbb")
    o = json.loads(hone("results", "diff", c, d, "--json"))
    assert not o["comparable"] and o["doubts"] == ["accuracy at task=t was measured on other items"], o["doubts"]
    e = add("eval", metrics=[accuracy], items_hash="one", machine="bbbb")
    assert json.loads(hone("results", "diff", c, e, "--json"))["comparable"]  # what is right is so anywhere
    assert not json.loads(hone("results", "diff", a, c, "--json"))["comparable"]


def test_items_are_paired():
    base = [1] * 50 + [0] * 50
    a = add("eval", items=base)
    b = add("eval", items=[1] * 50 + [1] * 9 + [0] * 41)
    c = add("eval", items=[1] * 50 + [1] * 3 + [0] * 47)
    task = json.loads(hone("results", "diff", a, b, "--json"))["tasks"][0]
    assert (task["n"], task["only_a"], task["only_b"]) == (100, 0, 9) and task["verdict"] == "better", task
    assert abs(task["p"] - 2 / 2 ** 9) < 1e-9 and abs(task["difference"] - 0.09) < 1e-9
    task = json.loads(hone("results", "diff", a, c, "--json"))["tasks"][0]
    assert task["verdict"] == "not distinguishable" and abs(task["p"] - 0.25) < 1e-9


def test_unfinished_runs_are_invalid():
    id_ = add(state="running", metrics=[speed(1)])
    assert "did not come to its end" in hone("report", id_)
    assert str(id_) not in [str(r["id"]) for r in json.loads(hone("report", "--json"))["results"]]


def quota_group():
    """A control group with a fifth of a processor, or None where we may make none."""
    for root, name, value in (("/sys/fs/cgroup/cpu", "cpu.cfs_quota_us", "20000"), ("/sys/fs/cgroup", "cpu.max", "20000 100000")):
        group = pathlib.Path(root) / f"hone-test-{os.getpid()}"
        try:
            group.mkdir()
            (group / name).write_text(value)
            return group
        except OSError:
            if group.is_dir():
                group.rmdir()
    return None


def test_a_quota_that_stops_the_run_is_noticed():
    if not TINY.exists():
        raise suite.Skip("the reference data is missing")
    group = quota_group()
    if not group:
        raise suite.Skip("no control group can be made here")
    try:
        script = f"echo $$ > {group}/cgroup.procs; exec '{HONE}' bench '{TINY}' --prompt 512 --decode 256 --threads 1 --json"
        got = subprocess.run(["sh", "-c", script], env={**os.environ, "HONE_HOME": HOME}, capture_output=True,
                             text=True, timeout=300)
        o = json.loads(got.stdout)
        assert any("quota stopped the run" in r for r in o["reasons"]), o["reasons"]
    finally:
        group.rmdir()


def test_deleting():
    id_ = add(metrics=[speed(1)])
    hone("results", "delete", id_)
    assert f"there is no result {id_}" in hone("report", id_, code=1)
    assert "no number of a result" in hone("results", "delete", "x", code=2)
    assert database().execute("SELECT count(*) FROM metric WHERE result = ?", (id_,)).fetchone()[0] == 0


def test_repeating():
    if not TINY.exists():
        raise suite.Skip("the reference data is missing")
    with tempfile.TemporaryDirectory(prefix="hone-repeat-") as folder:
        shutil.copy(TINY, f"{folder}/model one.gguf")
        hone("bench", "./model one.gguf", "--prompt", "8", "--decode", "8", "--repeat", "3", cwd=folder)
        id_ = json.loads(hone("results", "--json", "-n", "1"))[0]["id"]
        got = subprocess.run([HONE, "report", "--repeat", str(id_), "--json"], capture_output=True, text=True,
                             env={**os.environ, "HONE_HOME": HOME}, timeout=300)  # from another folder
        o = json.loads(got.stdout)
        assert got.returncode == (0 if o["holds"] else 3) and o["a"] == id_ and o["b"] > id_, (got, o)
        assert {m["name"] for m in o["metrics"]} >= {"prefill", "decode", "ttft", "peak_memory"}
        again = json.loads(hone("results", "--json", "-n", "1"))[0]
        assert again["repeats"] == id_ and "'./model one.gguf'" in hone("report", id_)
        # another file under the same name cannot be compared
        with open(f"{folder}/model one.gguf", "ab") as file:
            file.write(b"\0" * 64)
        got = subprocess.run([HONE, "report", "--repeat", str(id_)], capture_output=True, text=True,
                             env={**os.environ, "HONE_HOME": HOME}, timeout=300)
        assert got.returncode == 3 and "is another file" in got.stdout + got.stderr, got
    assert "does not say by which command" in hone("report", "--repeat", make_without_command(), code=1)


def make_without_command():
    id_ = add()
    db = database()
    db.execute("UPDATE result SET command = NULL WHERE id = ?", (id_,))
    db.commit()
    return id_


def test_the_page_needs_nothing_else():
    page = f"{HOME}/page.html"
    hone("report", "--html", page, "--invalid")
    text = pathlib.Path(page).read_text(encoding="utf-8")
    assert "default-src 'none'" in text
    for attribute in re.findall(r"<(?:link|img|iframe|script)[^>]*\b(?:src|href)=", text):
        raise AssertionError(attribute)
    data = re.search(r'<script type="application/json" id=data>(.*?)</script>', text, re.S)[1]
    assert HOSTILE in {r["subjects"][0]["name"] for r in json.loads(data)["results"]}
    assert html.escape(HOSTILE, quote=True).replace("&#x27;", "&#39;") in text
    outside = text.replace(data, "")
    assert "<img src=x" not in outside and "<script>window" not in outside


def browser():
    return next((b for b in ("chromium", "chromium-browser", "google-chrome") if shutil.which(b)), None)


def browse(page, *options):
    with tempfile.TemporaryDirectory(prefix="hone-chromium-") as profile:
        return subprocess.run(
            [browser(), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", f"--user-data-dir={profile}",
             "--virtual-time-budget=4000", *options, f"file://{page}"],
            capture_output=True, text=True, timeout=300)


def test_the_page_in_a_browser():
    if not browser():
        raise suite.Skip("chromium is not there")
    page = f"{HOME}/page.html"
    hone("report", "--html", page)
    text = pathlib.Path(page).read_text(encoding="utf-8")
    if "built without the chart library" in text:
        raise suite.Skip("Chart.js was not there when hone was built")
    # a witness: what scripts did, and whether names became more than text
    pathlib.Path(page).write_text(text.replace("</body>", """<p id=witness></p><script>
        document.getElementById("witness").textContent = [typeof window.broken,
          document.querySelectorAll("canvas").length, document.querySelectorAll("img").length,
          [...document.querySelectorAll("h3")].map((h) => h.textContent).join("; ")].join(" / ");
        </script></body>"""), encoding="utf-8")
    dom = browse(page, "--dump-dom")
    found = re.search(r'<p id="witness">(.*?)</p>', dom.stdout, re.S)
    assert found, dom.stderr[-2000:]
    broken, canvases, images, titles = html.unescape(found[1]).split(" / ")
    assert broken == "undefined" and images == "0", found[1]
    assert int(canvases) >= 5, found[1]
    for title in ("Speed against quality: accuracy, task=t", "Memory", "Decode by depth", "Prefill by depth",
                  "Roofline"):
        assert title in titles, titles


def screenshots(folder):
    page = f"{HOME}/page.html"
    hone("report", "--html", page)
    pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    browse(page, f"--screenshot={folder}/light.png", "--window-size=1300,2600")
    browse(page, f"--screenshot={folder}/dark.png", "--window-size=1300,2600",
           "--force-dark-mode", "--blink-settings=preferredColorScheme=0")
    browse(page, f"--screenshot={folder}/narrow.png", "--window-size=500,2600")


def main():
    global HONE, HOME
    HONE, wanted = suite.arguments()
    tally = suite.Tally()
    with tempfile.TemporaryDirectory(prefix="hone-report-") as HOME:
        make_world()
        if wanted[:1] == ["--screenshots"]:
            return screenshots(wanted[1])
        tally.run_all(suite.find(globals(), wanted))
    return tally.end()


if __name__ == "__main__":
    sys.exit(main())
