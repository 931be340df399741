"""Figures of benchmarks: lines read, parts merged, goals judged.

A program prints lines "name value unit"; <scenario>_<who>_min and <scenario>_<who>_median are figures, others are for
the eye. "skipped <scenario> why" says that one was not taken. A part is what one run of tools/run-bench gave:
{"machine", "commit", "date", "load", "quick", "scenarios": {name: {"unit", "part", who: {"min", "median"}, "goals"}},
"skipped": {name: why}}.
"""
import re

# Not peers: ours, and the two yardsticks.
YARDSTICKS = ("spruce", "floor", "coroutine")
NOT_WHO = ("unit", "goals", "part")
FIGURE = re.compile(r"^([\w.]+)_([^_\s]+)_(min|median) (\S+) (\S+)$")
SKIPPED = re.compile(r"^skipped (\S+) (.+)$")


def read_lines(lines):
    """What programs printed: {scenario: {...}}, {scenario: why}."""
    scenarios, skipped = {}, {}
    for line in lines:
        line = line.strip()
        match = SKIPPED.match(line)
        if match:
            skipped[match.group(1)] = match.group(2)
            continue
        match = FIGURE.match(line)
        if not match:
            continue
        name, who, what, value, unit = match.groups()
        try:
            value = float(value)
        except ValueError:
            continue
        scenarios.setdefault(name, {"unit": unit}).setdefault(who, {})[what] = value
    for figures in scenarios.values():
        for who in contenders(figures):   # one of the two alone stands for both
            pair = figures[who]
            pair.setdefault("min", pair.get("median"))
            pair.setdefault("median", pair.get("min"))
    return scenarios, {name: why for name, why in skipped.items() if name not in scenarios}


def contenders(figures):
    return [who for who in figures if who not in NOT_WHO]


def peers(figures):
    return [who for who in contenders(figures) if who not in YARDSTICKS]


def read_goals(text):
    """{scenario: [(against, bound)]}; against: who, or "most" or "least" for a bound of our figure itself."""
    goals = {}
    for line in text.splitlines():
        words = line.split("#")[0].split()
        if len(words) == 3 and words[0] != "why":
            goals.setdefault(words[0], []).append((words[1], float(words[2])))
    return goals


def read_reasons(text):
    """{scenario: why its goal is missed}, from lines "why SCENARIO: ..." of the list of goals."""
    lines = (re.match(r"why (\S+): (.+)$", line) for line in text.splitlines())
    return {line.group(1): line.group(2) for line in lines if line}


def ratio(ours, theirs):
    """Ours to theirs, or None where there is no sense in it."""
    if ours is None or theirs is None:
        return None
    if theirs == 0:
        return 1.0 if ours == 0 else None
    return ours / theirs


def judge(figures, goals):
    """Peers that were measured decide; the floor stands in where none was. Bounds of our own figure always count."""
    if "spruce" not in figures:
        return []
    ours = figures["spruce"]["min"]
    verdicts = []
    for against, bound in goals:
        if against in ("most", "least"):
            verdicts.append({"against": against, "goal": bound, "ratio": ours,
                             "met": ours <= bound if against == "most" else ours >= bound})
    for wanted in (lambda who: who != "floor", lambda who: who == "floor"):
        for against, bound in goals:
            if against not in figures or against in NOT_WHO or not wanted(against):
                continue
            got = ratio(ours, figures[against]["min"])
            if got is not None:
                verdicts.append({"against": against, "goal": bound, "ratio": round(got, 4), "met": got <= bound})
        if verdicts:
            break
    return verdicts


def best_peer(figures):
    """The peer with the least figure, or None."""
    measured = peers(figures)
    return min(measured, key=lambda who: figures[who]["min"]) if measured else None


def merge(parts):
    """One list of scenarios from several parts. A later part's figures replace an earlier one's, scenario by scenario,
    but those of a quick run never those of a whole one."""
    scenarios, skipped = {}, {}
    for number, part in enumerate(parts):
        for name, figures in part["scenarios"].items():
            if name in scenarios and part.get("quick") and not parts[scenarios[name]["part"]].get("quick"):
                continue
            scenarios[name] = dict(figures, part=number)
        skipped.update(part.get("skipped", {}))
    return scenarios, {name: why for name, why in skipped.items() if name not in scenarios}


def series_of(scenarios):
    """The growth of each thing: {name: {"unit", "who": {who: [(n, min)]}}}, from scenarios grow_<name>_<n>."""
    series = {}
    for name, figures in scenarios.items():
        match = re.match(r"grow_(\w+)_(\d+)$", name)
        if not match:
            continue
        one = series.setdefault(match.group(1), {"unit": figures["unit"], "who": {}})
        for who in contenders(figures):
            one["who"].setdefault(who, []).append((int(match.group(2)), figures[who]["min"]))
    for one in series.values():
        for points in one["who"].values():
            points.sort()
    return series


def shown(value):
    if value is None:
        return "-"
    if value == int(value):   # bytes, calls: what is counted
        return f"{int(value):,}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) < 100 else f"{value:.0f}"


def counted(value):
    """What is counted is told to the hundredth."""
    return "-" if value is None else shown(value) if abs(value) >= 100 else f"{value:.2f}".rstrip("0").rstrip(".")


def shown_ratio(value):
    if value is None:
        return "-"
    return f"{value:.3f}" if value < 0.1 else f"{value:.2f}"
