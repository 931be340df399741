"""What bench-report must do with lines, parts and goals; and that its pictures are well-formed."""
import xml.dom.minidom

from . import bench_figures as figures_of
from . import bench_page, bench_pictures

TABLE = """
| group | scenario | one operation | program |
|---|---|---|---|
| yield | `yield_2` | a yield of one of 2 | `bench_yield` |
| timers | `rearm_1k` `rearm_1m` | one armed anew | `bench_timers` |
| sizes | `size_*` | of a program | `bench_size` |
| growth | `grow_yield_*` | a yield of one of n | `bench_grow` |
"""
GOALS = """
# words
yield_2 boost.fiber 0.09   # behind
yield_2 floor 1.5
rearm_1k libuv 0.5
rearm_1k floor 9
size_echo most 65536
alive least 100
echo/system_calls most 3.00
echo/instructions most 100
why yield_2: it is a test.
"""
RECORDED = "# words\necho instructions 120.5\necho system_calls 3.00\nyield instructions 20\n"
LINES = """
yield_2_spruce_min 9 ns
yield_2_spruce_median 11 ns
yield_2_boost.fiber_min 90.0 ns
yield_2_boost.fiber_median 91 ns
yield_2_spruce_to_boost.fiber 0.1 ratio
yield_2_floor_min 8 ns
yield_2_coroutine_min 4 ns
rearm_1k_spruce_min 8 ns
rearm_1k_floor_min 1 ns
size_echo_spruce_min 65000 bytes
alive_spruce_min 99 tasks
grow_yield_10_spruce_min 5 ns
grow_yield_1000_spruce_min 7 ns
grow_yield_1000_floor_min 0 ns
skipped grow_yield_1000000 under 6 GB free
skipped yield_2 it was taken after all
not a figure
broken_spruce_min x ns
""".splitlines()


def part(lines, quick=False):
    scenarios, skipped = figures_of.read_lines(lines)
    goals = figures_of.read_goals(GOALS)
    for name, one in scenarios.items():
        one["goals"] = figures_of.judge(one, goals.get(name, []))
    return {"machine": "one of ours & <more>", "commit": "abc", "date": "2000-01-01", "load": [0, 1], "quick": quick,
            "scenarios": scenarios, "skipped": skipped}


def cases():
    whole = part(LINES)
    got = whole["scenarios"]
    yield "lines are read, others passed over", sorted(got), ["alive", "grow_yield_10", "grow_yield_1000", "rearm_1k", "size_echo", "yield_2"]
    yield "the unit is kept", got["size_echo"]["unit"], "bytes"
    yield "a minimum stands for a missing median", got["yield_2"]["floor"], {"min": 8.0, "median": 8.0}
    yield "what was taken is not skipped", whole["skipped"], {"grow_yield_1000000": "under 6 GB free"}
    yield "peers decide, not the floor", [(v["against"], v["met"]) for v in got["yield_2"]["goals"]], [("boost.fiber", False)]
    yield "the floor stands in", [(v["against"], v["met"]) for v in got["rearm_1k"]["goals"]], [("floor", True)]
    yield "at most", [v["met"] for v in got["size_echo"]["goals"]], [True]
    yield "at least", [v["met"] for v in got["alive"]["goals"]], [False]
    yield "the best peer is no yardstick", figures_of.best_peer(got["yield_2"]), "boost.fiber"
    yield "growth is a series", figures_of.series_of(got)["yield"]["who"]["spruce"], [(10, 5.0), (1000, 7.0)]

    other = part(["yield_2_spruce_min 1 ns", "size_lib_spruce_min 3 bytes", "grow_yield_1000000_spruce_min 9 ns"], quick=True)
    merged, skipped = figures_of.merge([whole, other])
    yield "a quick part replaces no whole one", merged["yield_2"]["spruce"]["min"], 9.0
    yield "but adds to it", (merged["size_lib"]["part"], skipped), (1, {})
    yield "a whole part replaces a quick one", figures_of.merge([other, whole])[0]["yield_2"]["spruce"]["min"], 9.0

    text, pictures = bench_page.page(bench_page.read_catalogue(TABLE), [whole, other], "It was busy.", "pictures",
                                     [("gcc-1", RECORDED)], figures_of.read_goals(GOALS), figures_of.read_reasons(GOALS))
    for name, wanted in (("goals", "**3 of 6 goals met.**"), ("a miss", "- `yield_2`: 0.10 > 0.090 × boost.fiber. It is a test."),
                         ("who is ahead", "- `yield_2`: C++20 coroutine, 4 ns to our 9"), ("bold", "| **4 · 2.25** |"),
                         ("another unit", "of a program, bytes | 65,000 |"), ("what is counted", "| `yield` | 20 |  | - |"), ("a goal of it", "- `echo/instructions`: 120, at most 100"), ("a median", "| 9 (11) |"), ("a quick row", "`size_lib` ◦"),
                         ("the remark", "It was busy."), ("what was not taken", "- `rearm_1m`: no figures in these runs"),
                         ("a scenario without a row", "## Others"), ("growth", "| n ◦ | 10 | 1,000 | 1,000,000 |")):
        yield "the page has " + name, wanted in text, True
    yield "what no run took is known", bench_page.absent(bench_page.read_catalogue(TABLE), merged, skipped), ["rearm_1m"]
    yield "a picture each", sorted(pictures), ["grow_yield.svg", "others.svg", "sizes.svg", "timers.svg", "yield.svg"]
    for name, picture in pictures.items():
        yield f"{name} is well-formed", xml.dom.minidom.parseString(picture).documentElement.tagName, "svg"
    yield "nothing is no trouble", bench_pictures.bars("t", "ns", [("a", {"unit": "ns", "spruce": {"min": 0.0}})])[:4], "<svg"


def run():
    passed = failed = 0
    for name, got, wanted in cases():
        if got == wanted:
            passed += 1
        else:
            failed += 1
            print(f"FAILED  {name}: {got!r}, not {wanted!r}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0
