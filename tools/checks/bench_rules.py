"""The table of scenarios in docs/bench.md: each benchmark program has a row there, each row its program, each goal a row; a
goal of path/what is one of what is counted, and recorded in bench/expected/."""
import re
from fnmatch import fnmatch

PAGE, GOALS = "docs/bench.md", "bench/goals.txt"


def check(files):
    by_path = {file.path: file for file in files}
    if PAGE not in by_path:
        return []
    page, found, scenarios, programs = by_path[PAGE], [], set(), set()
    for number, line in enumerate(page.lines, 1):
        row = re.match(r"\| *[^|]+? *\| *(`[^|]+`) *\| *[^|]+? *\| *`(\w+)` *\|$", line)
        if not row:
            continue
        scenarios.update(re.findall(r"`([^`]+)`", row.group(1)))
        programs.add(row.group(2))
        if f"bench/{row.group(2)}.cpp" not in by_path:
            found.append(page.finding(number, f"there is no bench/{row.group(2)}.cpp"))
    for file in files:
        name = re.match(r"bench/(bench_\w+)\.cpp$", file.path)
        if name and name.group(1) not in programs:
            found.append(file.finding(1, f"has no row in the table of {PAGE}"))
    recorded = {"/".join(line.split()[:2]) for file in files if file.path.startswith("bench/expected/") for line in file.lines}
    for number, line in enumerate(by_path[GOALS].lines if GOALS in by_path else [], 1):
        words = line.split("#")[0].split()
        if len(words) > 1 and words[0] == "why":
            words = [words[1].rstrip(":")]
        if words and "/" in words[0]:
            if words[0] not in recorded:
                found.append(by_path[GOALS].finding(number, f"{words[0]} is recorded nowhere in bench/expected"))
        elif words and not any(fnmatch(words[0], pattern) for pattern in scenarios):
            found.append(by_path[GOALS].finding(number, f"{words[0]} has no row in the table of {PAGE}"))
    return found
