"""Mistakes of users' that the compiler answers with a sentence: each of test/consumer/mistakes is compiled, and its first
error holds the text that stands behind it."""
import glob
import os
import re

from .commands import all_of, compilers, run
from .stamps import stamp

MISTAKES = "test/consumer/mistakes/mistakes.cpp"


def check(top):
    source = os.path.join(top, MISTAKES)
    with open(source, encoding="utf-8") as f:
        lines = f.read().split("\n")
    expected = [(0, 1, "")]
    for number, line in enumerate(lines, 1):
        if match := re.match(r"#\w+ MISTAKE == (\d+)\s*// says: (.*)", line):
            expected.append((int(match.group(1)), number, match.group(2)))
    headers = sorted(glob.glob(os.path.join(top, "include/spruce/**/*.hpp"), recursive=True))
    found = []
    for compiler in compilers():
        done = stamp(top, f"mistakes-{compiler}", [source, os.path.abspath(__file__), *headers], run([compiler, "--version"])[1])
        if done.holds():
            continue

        def compile_it(mistake, compiler=compiler):
            return run([compiler, "-std=c++20", "-Wall", "-Wextra", f"-DMISTAKE={mistake}", "-fsyntax-only",
                        "-I" + os.path.join(top, "include"), source])

        outputs = all_of([lambda m=m: compile_it(m) for m, _, _ in expected])
        wrong = []
        for (mistake, line, says), (code, output) in zip(expected, outputs):
            first = next((said for said in output.split("\n") if re.search(r"\berror\b", said)), "")
            if (code == 0) != (mistake == 0):
                wrong.append(f"{MISTAKES}:{line}: {compiler} {'refuses' if code else 'takes'} it: {first}")
            elif says not in first:
                wrong.append(f"{MISTAKES}:{line}: {compiler} does not say so first, but: {first}")
        found += wrong
        if not wrong:
            done.put()
    return found
