"""Counts the tests of reports: prints "PASSED FAILED". One that is missing is a failure."""
import json
import re
import sys
import xml.etree.ElementTree


def count_cmocka(path):
    """meson's log, one JSON document a line: one test program each, of many cases."""
    passed = failed = 0
    with open(path, encoding="utf-8") as log:
        for program in map(json.loads, log):
            output = program.get("stdout", "") + program.get("stderr", "")
            cases = {word: sum(map(int, re.findall(rf"\[  {word}  \] (\d+) test", output)))
                     for word in ("PASSED", "FAILED")}
            good = program["result"] in ("OK", "SKIP", "EXPECTEDFAIL")
            passed += cases["PASSED"] or (1 if good else 0)
            failed += cases["FAILED"] if good else cases["FAILED"] or 1
    return passed, failed


def count_junit(path):
    suite = next(xml.etree.ElementTree.parse(path).getroot().iter("testsuite"))
    tests, bad, skipped = (sum(int(suite.get(key)) for key in keys) for keys in
                           (("tests",), ("failures", "errors"), ("skipped",)))
    return tests - bad - skipped, bad


def count(kind, path):
    try:
        return {"cmocka": count_cmocka, "junit": count_junit}[kind](path)
    except (OSError, ValueError, StopIteration, xml.etree.ElementTree.ParseError) as error:
        print(f"{path}: {error}", file=sys.stderr)
        return 0, 1


def main():
    kind, *paths = sys.argv[1:]
    passed, failed = map(sum, zip(*(count(kind, path) for path in paths)))
    if passed + failed == 0:
        print(f"{' '.join(paths)}: no tests", file=sys.stderr)
        failed = 1
    print(passed, failed)


main()
