"""docs/performance.md from the parts of a bench: the machine, every row, goals met and missed, rows where a peer is ahead,
and pictures. Groups, order and words come from the table of scenarios in docs/bench.md."""
import os
import re
from fnmatch import fnmatch

from . import bench_figures as figures_of
from . import bench_pictures
from .bench_figures import shown, shown_ratio
from .bench_pictures import in_order, name_of

NO_GROUP = "others"
METHOD = """Everything that is compared runs in interleaved rounds: ours, the floor, each peer, then all again in another order; nine
rounds as a rule, after one that is thrown away. All of it is pinned to one core, but for what goes from one thread to
another, which has two; servers, and what is asked for its memory, are processes of their own. A figure is the minimum of its
rounds, the run that was disturbed least; of what one thread does, its processor time. What counts is the ratio of two
minima: single figures differ by half from one machine, and one hour, to the next. The *floor* is the least code that does
the same work, without errors, cancellation, bounds or safety; it is a yardstick, and no design. Cancellation, deadlines,
census, exception state and the seams of tests are all there while ours is measured. How to run it, and what a figure is
not: [bench.md](bench.md)."""


def read_catalogue(text):
    """[(group, pattern, what, program)], from the rows | group | `scenario` | what | `program` | of docs/bench.md."""
    rows = []
    for row in re.findall(r"^\| *([^|]+?) *\| *(`[^|]+`) *\| *([^|]+?) *\| *`(\w+)` *\|$", text, re.M):
        for pattern in re.findall(r"`([^`]+)`", row[1]):
            rows.append((row[0], pattern, row[2], row[3]))
    return rows


def find(catalogue, scenario):
    """Its row: a name stands before a pattern."""
    for row in catalogue:
        if row[1] == scenario:
            return row
    for row in catalogue:
        if "*" in row[1] and fnmatch(scenario, row[1]):
            return row
    return None


def file_name(what):
    return re.sub(r"[^a-z0-9]+", "_", what.lower()).strip("_") + ".svg"


def verdict_text(verdict):
    if verdict["against"] in ("most", "least"):
        word = "at " + verdict["against"]
        return f"{'met' if verdict['met'] else '**missed**'}: {figures_of.counted(verdict['ratio'])}, {word} {figures_of.counted(verdict['goal'])}"
    sign = "≤" if verdict["met"] else ">"
    ratio, goal = shown_ratio(verdict["ratio"]), shown_ratio(verdict["goal"])
    if ratio == goal:
        ratio = f"{verdict['ratio']:.4f}"
    return f"{'met' if verdict['met'] else '**missed**'}: {ratio} {sign} {goal} × {name_of(verdict['against'])}"


def group_table(rows, marks):
    """rows: [(scenario, figures, what)]. A figure in bold is less than ours."""
    others = in_order({who for _, figures, _ in rows for who in figures_of.contenders(figures)} - {"spruce"})
    yield "| scenario | one operation | " + " | ".join(["Spruce (median)"] + [name_of(who) for who in others]) + " | goal |"
    yield "|---|---|" + "--:|" * (1 + len(others)) + "---|"
    for scenario, figures, what in rows:
        ours = figures.get("spruce", {}).get("min")
        median = figures.get("spruce", {}).get("median")
        cells = ["-" if ours is None else shown(ours) + (f" ({shown(median)})" if median != ours else "")]
        for who in others:
            theirs = figures.get(who, {}).get("min")
            if theirs is None:
                cells.append("")
                continue
            ratio = figures_of.ratio(ours, theirs)
            cell = shown(theirs) + (f" · {shown_ratio(ratio)}" if ratio is not None else "")
            cells.append(f"**{cell}**" if ratio is not None and ratio > 1 and who != "floor" else cell)
        goals = "; ".join(verdict_text(v) for v in figures.get("goals", [])) or "-"
        unit = "" if figures["unit"] == "ns" else f", {figures['unit']}"
        yield f"| `{scenario}`{marks.get(scenario, '')} | {what}{unit} | " + " | ".join(cells) + f" | {goals} |"


def missed_lines(missed, marks, reasons):
    """A line for each scenario, with its verdicts, and why."""
    by_name = {}
    for name, verdict in missed:
        by_name.setdefault(name, []).append(verdict_text(verdict)[len("**missed**: "):])
    for name, verdicts in by_name.items():
        why = f". {reasons[name][0].upper()}{reasons[name][1:]}" if name in reasons else ""
        yield f"- `{name}`{marks.get(name, '')}: {'; '.join(verdicts)}{why}"


def summary(scenarios, marks, reasons):
    verdicts = [(name, v) for name, figures in scenarios.items() for v in figures.get("goals", [])]
    missed = [(name, v) for name, v in verdicts if not v["met"]]
    yield f"**{len(verdicts) - len(missed)} of {len(verdicts)} goals met.**"
    yield ""
    yield "Missed, and why:"
    yield ""
    yield from list(missed_lines(missed, marks, reasons)) or ["- none"]
    ahead = []
    for name, figures in scenarios.items():
        ours = figures.get("spruce", {}).get("min")
        for who in in_order(set(figures_of.contenders(figures)) - {"spruce", "floor"}):
            ratio = figures_of.ratio(ours, figures[who]["min"])
            if ratio is not None and ratio > 1:
                ahead.append(f"- `{name}`{marks.get(name, '')}: {name_of(who)}, {shown(figures[who]['min'])} {figures['unit']} "
                             f"to our {shown(ours)}")
    yield ""
    yield "Where another is ahead of us:"
    yield ""
    yield from ahead or ["- nowhere"]


def read_counted(text):
    """{path: {what: value}}, from lines "path what value" of a file in bench/expected/."""
    counted = {}
    for line in text.splitlines():
        words = line.split("#")[0].split()
        if len(words) == 3:
            counted.setdefault(words[0], {})[words[1]] = float(words[2])
    return counted


def judge_counted(counted, goals):
    """Goals of path/what, as the scenarios they are in the list of goals: {name: figures}."""
    scenarios = {}
    for path, values in counted.items():
        for what, value in values.items():
            name = f"{path}/{what}"
            if name in goals:
                figures = {"unit": what, "spruce": {"min": value, "median": value}}
                figures["goals"] = figures_of.judge(figures, goals[name])
                scenarios[name] = figures
    return scenarios


def counted_table(counted, judged):
    kinds = list(dict.fromkeys(what for values in counted.values() for what in values))
    yield "| path | " + " | ".join(kind.replace("_", " ") for kind in kinds) + " | goal |"
    yield "|---|" + "--:|" * len(kinds) + "---|"
    for path, values in counted.items():
        goals = "; ".join(verdict_text(v) for what in values for v in judged.get(f"{path}/{what}", {"goals": []})["goals"])
        yield f"| `{path}` | " + " | ".join(figures_of.counted(values[kind]) if kind in values else "" for kind in kinds) + f" | {goals or '-'} |"


def machines(parts, scenarios, remark):
    for number, part in enumerate(parts):
        taken = sum(figures["part"] == number for figures in scenarios.values())
        if not taken:
            continue
        yield (f"- {taken} rows: {part['machine'] or 'an unnamed machine'}; commit {part['commit'] or 'unknown'}, {part['date']}; load "
               f"{part['load'][0]} before and {part['load'][1]} after"
               + ("; a **quick run**, marked ◦: good for a look, not for a claim." if part.get("quick") else "."))
    if remark:
        yield ""
        yield remark


def growth_rows(scenarios, catalogue):
    """Each series, in the order of the table, with all its n."""
    def place(name):
        row = find(catalogue, f"grow_{name}_1")
        return catalogue.index(row) if row else len(catalogue)
    series = figures_of.series_of(scenarios)
    for name in sorted(series, key=place):
        yield name, series[name], sorted({n for points in series[name]["who"].values() for n, _ in points})


def absent(catalogue, scenarios, skipped):
    """The rows of the table that no run took or skipped by name."""
    seen = list(scenarios) + list(skipped)
    return [row[1] for row in catalogue if not any(fnmatch(name, row[1]) for name in seen)]


def page(catalogue, parts, remark, folder, recorded=(), goals=None, reasons=None):
    """The text of the page, and {file name: picture}. recorded: [(compiler, text of its file in bench/expected/)]."""
    scenarios, skipped = figures_of.merge(parts)
    marks = {name: " ◦" for name, figures in scenarios.items() if parts[figures["part"]].get("quick")}
    pictures, out = {}, []
    out += ["# Performance", "", "Written by `make bench-report` from the figures of `make bench`; what is changed by hand is lost.", ""]
    out += ["## The machine", "", *machines(parts, scenarios, remark), "", "## The method", "", METHOD, ""]
    plain = {name: figures for name, figures in scenarios.items() if not name.startswith("grow_")}
    counted = [(compiler, read_counted(text)) for compiler, text in recorded]
    judged = {compiler: judge_counted(paths, goals or {}) for compiler, paths in counted}
    first = judged[counted[0][0]] if counted else {}
    out += ["## Goals", "", "Each is the largest ratio of our minimum to another's, or the most that ours may be; the tables below say what a scenario is.", "",
            *summary({**plain, **first}, marks, reasons or {}), ""]
    out += ["A row gives minima, ours with the median behind it; behind each other figure stands the ratio, ours to theirs. In bold:",
            "that one is ahead of us. Nanoseconds of one operation, unless the row says otherwise.", ""]

    groups = list(dict.fromkeys(row[0] for row in catalogue if not row[1].startswith("grow_"))) + [NO_GROUP]
    places = {row[1]: number for number, row in enumerate(catalogue)}
    by_group = {group: [] for group in groups}
    for name, figures in plain.items():
        row = find(catalogue, name)
        by_group[row[0] if row else NO_GROUP].append((places[row[1]] if row else 0, name, figures, row[2] if row else "-"))
    for group, rows in by_group.items():
        if not rows:
            continue
        rows = [row[1:] for row in sorted(rows, key=lambda row: row[0])]
        out += [f"## {group[0].upper()}{group[1:]}", "", *group_table(rows, marks), ""]
        units = list(dict.fromkeys(figures["unit"] for _, figures, _ in rows))
        for unit in units:
            several = [(name, figures) for name, figures, _ in rows if figures["unit"] == unit]
            file = file_name(group + ("" if unit == units[0] else " " + unit))
            pictures[file] = bench_pictures.bars(f"{group[0].upper()}{group[1:]}", unit, several)
            out += [f"![{group}, {unit}]({folder}/{file})", ""]

    for compiler, paths in counted:
        out += [f"## What is counted, {compiler}", "",
                "Of one repetition, as `bench/expected/` records it; a test compares. It does not depend on the machine's load.", "",
                *counted_table(paths, judged[compiler]), ""]

    series = list(growth_rows(scenarios, catalogue))
    if series:
        out += ["## How cost grows", "", "Of one operation while there are *n* of its kind; both axes of a picture are logarithmic. What rises though nothing is",
                "searched or sorted is the price of memory out of the caches' reach: [bench.md](bench.md) tells how to see that.", ""]
    for name, one, counts in series:
        row = find(catalogue, f"grow_{name}_{counts[0]}")
        out += [f"### {name.replace('_', ' ')}", "", (row[2][0].upper() + row[2][1:] if row else name) + f"; {one['unit']}.", ""]
        quick = any(f"grow_{name}_{n}" in marks for n in counts)
        out += [f"| n{' ◦' if quick else ''} | " + " | ".join(f"{n:,}" for n in counts) + " |", "|---|" + "--:|" * len(counts)]
        for who in in_order(one["who"]):
            values = dict(one["who"][who])
            out.append(f"| {name_of(who)} | " + " | ".join(shown(values[n]) if n in values else "" for n in counts) + " |")
        file = file_name("grow " + name)
        pictures[file] = bench_pictures.growth(name.replace("_", " "), one["unit"], one["who"])
        out += ["", f"![{name.replace('_', ' ')}]({folder}/{file})", ""]

    missing = [(name, "no figures in these runs") for name in absent(catalogue, scenarios, skipped)]
    if skipped or missing:
        out += ["## Not taken", ""] + [f"- `{name}`: {why}" for name, why in list(skipped.items()) + missing] + [""]
    return "\n".join(out).rstrip() + "\n", pictures


def write(text, pictures, page_path, pictures_path):
    os.makedirs(pictures_path, exist_ok=True)
    for old in os.listdir(pictures_path):
        if old.endswith(".svg") and old not in pictures:
            os.remove(os.path.join(pictures_path, old))
    for name, picture in pictures.items():
        with open(os.path.join(pictures_path, name), "w", encoding="utf-8") as file:
            file.write(picture)
    with open(page_path, "w", encoding="utf-8") as file:
        file.write(text)
