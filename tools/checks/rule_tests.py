"""Plants violations in small trees and expects each to be found, at its line; and a clean tree to pass."""
import os
import tempfile

from . import archive_tests, bench_rules, conditional_rules, floor_rules, ignored_rules, tree_rules, waiting_rules, word_rules
from .source_text import tree

# Calls that may wait, and some that look like them.
WAITING = """namespace spruce {
namespace detail {
void wait_here(int a, deadline dl) noexcept;
}
class event {
public:
    explicit event(int n) noexcept : n_(n) {}
    // Waits. Errors: closed.
    template <class T> result<T> wait(T a = {}, deadline dl = {}) { if (a) { return a; } return wait_on(dl); }
    // Errors: canceled, closed.
    result<void> look();
    // Errors: closed.
    bool done() const noexcept { return n_ != 0; }

private:
    void wait_on(deadline dl);
    int n_;
};
// Sleeps. Cancel: ends it.
SPRUCE_API result<void> nap(int a);
}
"""

CLEAN = {
    "src/base/thing.cpp": '#include <spruce/error.hpp>\n\n#include "thing.hpp"\n#if defined(__clang__)\n#endif\n',
    "src/base/thing.hpp": "// Not a std::vector, and \"throw\" is a word here.\nchar const* const says = \"throw new std::string\";\n"
                          "char const* const raw = R\"(throw)\";\nint const many = 1'000'000;  // it's throw\n"
                          "inline void* make(void* at) { return ::new (at) int; }\n",
    "src/sys/seam.cpp": "#include <unistd.h>\n#if defined(__linux__)\n#endif\n",
    "src/context/registers.hpp": '#include "../sys/seam.hpp"\n#if defined(__x86_64__)\n#endif\n',
    "src/sys/seam.hpp": "#include <cstddef>\n",
    "src/loop/center.cpp": '#include <spruce/loop.hpp>\n\n#include "../sys/seam.hpp"\n',
    "src/task/work.cpp": '#include "../context/registers.hpp"\n#include "../base/thing.hpp"\n',
    "include/spruce/error.hpp": "#include <cstddef>\n#if SPRUCE_THROWS\ninline void fail() { throw 1; }\n#endif\n",
    "include/spruce/loop.hpp": '#include "error.hpp"\n',
    "test/base/test_thing.cpp": "#include <vector>\nstd::vector<int> many;\n",
    "docs/text.md": "A URL: https://example.org/work/of/art, and a tissue 5 cm wide.\n",
    "docs/bench.md": "| group | scenario | one | program |\n|---|---|---|---|\n| a | `b_1k` `c_*` | d | `bench_b` |\n",
    "bench/bench_b.cpp": "\n",
    "bench/goals.txt": "# goals\nb_1k floor 1.0\nc_9 least 2\n",
    "Makefile": "all:\n",
}
# The same with calls that may wait, and the table that has each of them.
CLEAN_WAITING = {
    **CLEAN,
    "include/spruce/sync.hpp": WAITING,
    waiting_rules.TABLE: 'row const rows[] = {\n    CALL("event::wait", { }),\n    CALL("nap", { }),\n    CALL("event::look", { }),\n};\n',
}

# (what is planted, path, text, line of the finding, a part of its sentence)
PLANTED = (
    ("base includes loop", "src/base/a.cpp", '#include "../loop/center.hpp"\n', 1, "base may not include loop"),
    ("loop includes task", "src/loop/a.cpp", '\n#include "../task/work.hpp"\n', 2, "loop may not include task"),
    ("loop includes its sibling's user", "src/loop/a.cpp", '#include "../context/registers.hpp"\n', 1, "loop may not include context"),
    ("timer includes sys", "src/timer/a.cpp", '#include "../sys/seam.hpp"\n', 1, "timer may not include sys"),
    ("sys includes context", "src/sys/a.cpp", '#include "../context/registers.hpp"\n', 1, "sys may not include context"),
    ("sync includes io", "src/sync/a.cpp", '#include "../io/x.hpp"\n', 1, "sync may not include io"),
    ("interop includes task", "src/interop/a.cpp", '#include "../task/x.hpp"\n', 1, "interop may not include task"),
    ("source includes a header above it", "src/loop/a.cpp", "#include <spruce/task.hpp>\n", 1, "loop may not include task"),
    ("header includes one above it", "include/spruce/time.hpp", '#include "loop.hpp"\n', 1, "base may not include loop"),
    ("source includes the umbrella", "src/io/a.cpp", "#include <spruce/spruce.hpp>\n", 1, "may not include all"),
    ("include with a space", "src/base/a.cpp", '  #  include "../loop/center.hpp"\n', 1, "base may not include loop"),
    ("header without a floor", "include/spruce/novel.hpp", "\n", 1, "has no floor"),
    ("folder without a floor", "src/misc/a.cpp", "\n", 1, "has no floor"),
    ("include outside the library", "src/base/a.cpp", '#include "../../test/harness/harness.hpp"\n', 1, "lies outside"),
    ("header includes an OS header", "include/spruce/net.hpp", "#include <sys/socket.h>\n", 1, "public header includes <sys/socket.h>"),
    ("header includes a stream", "include/spruce/net.hpp", "#include <iostream>\n", 1, "includes <iostream>"),
    ("timer includes an OS header", "src/timer/a.cpp", "#include <unistd.h>\n", 1, "header of the operating system"),
    ("OS in io", "src/io/a.cpp", "#if defined(__linux__)\n#endif\n", 1, "operating system (__linux__)"),
    ("OS in a header", "include/spruce/io.hpp", "#ifdef __FreeBSD__\n#endif\n", 1, "operating system (__FreeBSD__)"),
    ("OS in an elif", "src/loop/a.cpp", "#if 0\n#elif defined(__OpenBSD__)\n#endif\n", 2, "operating system (__OpenBSD__)"),
    ("OS in a condition of two lines", "src/loop/a.cpp", "#if 0 || \\\n    defined(__APPLE__)\n#endif\n", 1, "(__APPLE__)"),
    ("processor in loop", "src/loop/a.cpp", "#if defined(__x86_64__)\n#endif\n", 1, "processor (__x86_64__)"),
    ("compiler in task", "src/task/a.cpp", "#if defined(__clang__)\n#endif\n", 1, "compiler (__clang__)"),
    ("sanitizer in io", "src/io/a.cpp", "#ifdef __SANITIZE_ADDRESS__\n#endif\n", 1, "compiler (__SANITIZE_ADDRESS__)"),
    ("compiler in a header", "include/spruce/task.hpp", "#if __has_feature(x)\n#endif\n", 1, "compiler (__has_feature)"),
    ("std::vector", "src/loop/a.cpp", "std::vector<int> v;\n", 1, "std::vector"),
    ("std::string, not string_view", "src/loop/a.cpp", "std::string_view v;\nstd::string s;\n", 2, "std::string"),
    ("std::function", "include/spruce/loop.hpp", "std::function<void()> f;\n", 1, "std::function"),
    ("std::thread", "src/sys/a.cpp", "std::thread t;\n", 1, "std::thread"),
    ("operator new", "src/base/a.cpp", "void* p = ::operator new(4);\n", 1, "operator new"),
    ("new without a place", "src/base/a.cpp", "int* p = new int;\n", 1, "new without a place"),
    ("malloc outside the hook", "src/loop/a.cpp", "void* p = std::malloc(4);\n", 1, "malloc()"),
    ("throw in src", "src/base/a.cpp", "void f() { throw 1; }\n", 1, "throw: the library never throws"),
    ("catch in src", "src/base/a.cpp", "/* a\nb */ void f() { try { } catch (...) { } }\n", 2, "catch: the library never throws"),
    ("throw in a header", "include/spruce/task.hpp", "#if SPRUCE_THROWS\n#else\ninline void f() { throw 1; }\n#endif\n", 3,
     "throw outside #if SPRUCE_THROWS"),
    ("dynamic_cast", "src/io/a.cpp", "auto p = dynamic_cast<int*>(q);\n", 1, "dynamic_cast"),
    ("virtual", "src/io/a.cpp", "struct a { virtual void f(); };\n", 1, "virtual"),
    ("std clock", "src/loop/a.cpp", "auto t = std::chrono::steady_clock::now();\n", 1, "steady_clock"),
    ("exception_ptr in src", "src/task/a.cpp", "std::exception_ptr p;\n", 1, "exception_ptr"),
    ("thread_local with a constructor", "src/task/a.cpp", "thread_local thing t;\n", 1, "thread_local"),
    ("substr", "src/io/a.cpp", "auto v = text.substr(1);\n", 1, "substr()"),
    ("printf", "src/task/a.cpp", "void f() { std::printf(\"a\"); }\n", 1, "printf()"),
    ("assert", "src/task/a.cpp", "void f() { assert(1); }\n", 1, "assert()"),
    ("number of an issue", "test/base/a.cpp", "// see iss" + "ue #12\n", 1, "number of an issue"),
    ("path of one machine", "docs/text2.md", "\nRun /ho" + "me/someone/bin/tool.\n", 2, "path of one machine"),
    ("something left to do", "src/base/a.cpp", "// TO" + "DO: more\n", 1, "behind"),
    ("half a merge", "docs/b.md", "<<<<" + "<<< HEAD\n", 1, "half done"),
    ("base name twice", "test/base/thing.cpp", "\n", 1, "has the base name of src/base/thing.cpp"),
    ("long file", "src/io/a.cpp", "\n" * 351, 351, "has 351 lines"),
    ("file at the top", "notes.txt", "\n", 1, "no place at the top"),
    ("folder at the top", "lib/a.cpp", "\n", 1, "no place at the top"),
    ("benchmark without a row", "bench/bench_c.cpp", "\n", 1, "has no row in the table"),
    ("reason without a scenario", "bench/goals.txt", "b_1k floor 1\nwhy d: words\n", 2, "d has no row in the table"),
    ("goal without a scenario", "bench/goals.txt", "b_1k floor 1\nd floor 1\n", 2, "d has no row in the table"),
    ("goal of what nobody counts", "bench/goals.txt", "b_1k floor 1\nd/bytes most 1\n", 2, "d/bytes is recorded nowhere"),
    ("row without a program", "docs/bench.md", "| a | `b_1k` `c_*` | d | `bench_b` |\n| a | `e` | d | `bench_e` |\n", 2, "no bench/bench_e.cpp"),
    ("named by an OS", "src/sys/poller_linux.cpp", "\n", 1, "named by an operating system"),
)

# Of calls that must not be ignored, and of those that must be tried in a canceled task.
PLANTED_IGNORED = (
    ("a wait that may be ignored", "include/spruce/sync.hpp", "namespace spruce {\nclass event {\npublic:\n    result<void> wait(deadline dl = {});\n};\n}\n", 4,
     "event::wait waits"),
    ("a wait by its manual alone", "include/spruce/task.hpp", "// Errors: canceled.\nresult<void> yield();\n", 2, "yield waits"),
    ("a value that may be ignored", "include/spruce/io.hpp", "struct stream {\n    template <class T> static result<stream> adopt(int fd) { return {}; }\n};\n", 2,
     "stream::adopt gives a value"),
    ("a call that no row names", "test/consumer/ignored/ignored_calls.cpp", "void kept() {\n    f();   // f\n}\n", 2, "no public header has f"),
)
PLANTED_WAITING = (
    ("a call with a deadline that no test cancels", "include/spruce/loop.hpp",
     "namespace spruce {\nstruct part {\n    result<void> more(\n        deadline dl = {});\n};\n}\n", 3, "part::more may wait"),
    ("a call that says what a cancel does", "include/spruce/loop.hpp",
     "namespace spruce {\n// Cancel: ends it.\ntemplate <class F>\n    requires(sizeof(F) > 1)\nresult<void> doze(F f);\n}\n", 3, "doze may wait"),
    ("a row for what does not wait", waiting_rules.TABLE,
     'CALL("event::wait", {}),\nCALL("nap", {}),\nCALL("event::look", {}),\nCALL("event::done", {}),\n', 4, "event::done is no call"),
)
RULES = (floor_rules, conditional_rules, word_rules, tree_rules, bench_rules)


def findings(plan, rules):
    with tempfile.TemporaryDirectory() as top:
        for path, text in plan.items():
            os.makedirs(os.path.dirname(os.path.join(top, path)), exist_ok=True)
            with open(os.path.join(top, path), "w", encoding="utf-8") as f:
                f.write(text)
        files = tree(top)
        return [f for each in rules for f in each.check(files)]


def run():
    passed = failed = 0

    def expect(what, right, found):
        nonlocal passed, failed
        if right:
            passed += 1
        else:
            failed += 1
            print(f"FAILED  {what}; found: {found}")

    for clean, planted, rules in ((CLEAN, PLANTED, RULES), (CLEAN, PLANTED_IGNORED, (*RULES, ignored_rules)),
                                  (CLEAN_WAITING, PLANTED_WAITING, (*RULES, waiting_rules))):
        found = findings(clean, rules)
        expect("a clean tree has no findings", not found, found)
        for what, path, text, line, sentence in planted:
            found = findings({**clean, path: text}, rules)
            # Exactly one thing is wrong, so that no rule hits what it should not.
            right = [f for f in found if f.startswith(f"{path}:{line}: ") and sentence in f]
            others = [f for f in found if not f.startswith(f"{path}:{line}: ")]
            expect(what, right and not others, found)
    for what, right, found in (*archive_tests.testing_cases(), *archive_tests.cases()):
        expect(what, right, found)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0
