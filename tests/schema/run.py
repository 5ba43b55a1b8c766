#!/usr/bin/env python3
"""Random texts of JSON schemas under a validator of another make. usage: run.py SCHEMA_TEXTS

For every schema of the suite (drafts 4, 6, 7) and of cases.json (2020-12), read to the letter and as
meant: whatever the grammar generates, the package jsonschema must find valid. For cases.json also:
what is valid can be written, what is not cannot. Prints how long compiling took, and ends with
`N passed, N failed`. Where the package cannot be had, the tests are skipped.
"""
import decimal
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
SHARED = pathlib.Path(os.environ.get("HONE_SHARED", HERE.parents[1].parent / "shared")).resolve()
CACHE = pathlib.Path(os.environ.get("HONE_TEST_CACHE") or pathlib.Path(
    os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "hone-tests")
PACKAGES = ["jsonschema==4.26.0", "rfc3339-validator==0.1.4", "fqdn==1.5.1", "rfc3986-validator==0.1.1"]
COUNT = 40
SUITE = SHARED / "data" / "json-schema"
REMOTES = {f"http://localhost:1234/{p}": json.loads((SUITE / "remotes" / p).read_text())
           for p in ("integer.json", "subSchemas.json", "name.json", "folder/folderInteger.json")
           if (SUITE / "remotes" / p).exists()}


def packages():
    folder = CACHE / ("packages-" + re.sub(r"[^0-9a-z.]+", "-", "-".join(PACKAGES)))
    if not (folder / "ready").exists():
        shutil.rmtree(folder, ignore_errors=True)
        made = subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--target", folder,
                               *PACKAGES], stdout=sys.stderr)
        if made.returncode != 0:
            return False
        (folder / "ready").touch()
    sys.path.insert(0, str(folder))
    return True


def suite():
    """(draft, schema) of all files but those of optional formats, which are annotations elsewhere."""
    for draft in (4, 6, 7):
        for path in sorted((SUITE / "tests" / f"draft{draft}").rglob("*.json")):
            for group in json.loads(path.read_text(), parse_float=decimal.Decimal):
                yield draft, group["schema"]


def plain(value):
    """Decimals as numbers again, for a line of JSON."""
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return [plain(v) for v in value] if isinstance(value, list) else value


def ask(tool, questions):
    lines = "".join(json.dumps(plain(q)) + "\n" for q in questions)
    made = subprocess.run([tool], input=lines, capture_output=True, text=True)
    if made.returncode != 0:
        raise RuntimeError(f"{tool} ended with {made.returncode}: {made.stderr[-2000:]}")
    return [json.loads(line) for line in made.stdout.split("\n") if line]


def validator(draft, schema):
    import jsonschema
    import referencing
    import referencing.jsonschema as drafts
    kinds = {4: (jsonschema.Draft4Validator, drafts.DRAFT4), 6: (jsonschema.Draft6Validator, drafts.DRAFT6),
             7: (jsonschema.Draft7Validator, drafts.DRAFT7),
             2020: (jsonschema.Draft202012Validator, drafts.DRAFT202012)}
    kind, specification = kinds[draft]
    registry = referencing.Registry().with_resources(
        [(uri, specification.create_resource(document)) for uri, document in REMOTES.items()])
    return kind(schema, registry=registry, format_checker=kind.FORMAT_CHECKER)


def unique_pairs(pairs):
    """An object whose names occur once; JSON Schema does not speak of others."""
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise KeyError("a name occurs twice")
    return dict(pairs)


def main():
    tool = sys.argv[1]
    if not packages():
        print(f"skipped: {', '.join(PACKAGES)} cannot be had\n0 passed, 0 failed, 1 skipped")
        return 0
    cases = json.loads((HERE / "cases.json").read_text(), parse_float=decimal.Decimal)
    schemas = list(suite()) + [(2020, case["schema"]) for case in cases]
    passed, failed, times, n_texts, refused = 0, 0, [], 0, 0
    for exact in (True, False):
        answers = ask(tool, [{"schema": schema, "draft": draft, "exact": exact, "count": COUNT,
                              "seed": number, "documents": REMOTES}
                             for number, (draft, schema) in enumerate(schemas)])
        for (draft, schema), answer in zip(schemas, answers, strict=True):
            if "refused" in answer:
                refused += 1
                continue
            times.append(answer["ms"])
            check, wrong = validator(draft, schema), []
            for text in answer["texts"]:
                try:
                    value = json.loads(text, parse_float=decimal.Decimal,
                                       object_pairs_hook=unique_pairs)
                except KeyError:
                    continue
                except ValueError as error:
                    wrong.append((text, error))
                    continue
                n_texts += 1
                error = next(check.iter_errors(value), None)
                if error:
                    wrong.append((text, error.message))
            passed, failed = passed + (not wrong), failed + bool(wrong)
            for text, error in wrong[:3]:
                print(f"FAILED draft {draft}, exact {exact}: {plain(schema)}: {text[:200]!r}: {error}")
    answers = ask(tool, [{"schema": case["schema"], "draft": 2020, "exact": True,
                          "values": case["valid"] + case["invalid"]} for case in cases])
    for case, answer in zip(cases, answers, strict=True):
        wanted = [True] * len(case["valid"]) + [False] * len(case["invalid"])
        good = answer.get("reached") == wanted
        passed, failed = passed + good, failed + (not good)
        if not good:
            print(f"FAILED {plain(case['schema'])}: {answer}")
    times.sort()
    print(f"{n_texts} texts of {len(times)} grammars, {refused} refused; compiled in "
          f"{statistics.median(times):.2f} ms at the median, {times[len(times) * 99 // 100]:.1f} ms at the "
          f"99th percentile, {times[-1]:.1f} ms at most")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
