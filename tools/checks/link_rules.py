"""Programs link with what the profiles promise: libc and the compiler's helpers alone, dynamically and statically; a
program of the other profile does not link, and is told why; the two files of the amalgamation compile without a warning.
(That the sources compile flat is tools/try-consumers' to try.)"""
import glob
import os
import shutil
import tempfile

from .commands import all_of, archive_of, default_compiler, first_error, last_lines, run
from .stamps import stamp

# Touches each floor: a task, a timer, a group, an event, a socket, a signal handler.
PROGRAM = r"""
#include <csignal>
#include <cstdio>
#include <spruce/spruce.hpp>

int main() {
    using namespace std::chrono_literals;
    auto sum = spruce::run([]() -> spruce::result<int> {
        spruce::event ready;
        spruce::task_group group;
        auto setter = group.spawn([&] {
            (void)spruce::sleep_for(1ms);
            ready.set();
            return 42;
        });
        SPRUCE_CHECK(ready.wait(spruce::in(5s)));
        SPRUCE_TRY(auto listener, spruce::tcp_listener::listen("127.0.0.1:0"));
        SPRUCE_TRY(spruce::loop& loop, spruce::loop::current());
        SPRUCE_TRY(auto signals, loop.add_signal_handler(SIGUSR1, [] {}));
        signals.cancel();
        SPRUCE_CHECK(group.join());
        return setter.get();
    });
    std::printf("%d\n", sum ? *sum : -1);
}
"""
EMBEDDED = ("-std=c++20 -Os -fno-exceptions -fno-rtti -DSPRUCE_EXCEPTIONS=0 -ffunction-sections -fdata-sections "
            "-Wl,--gc-sections").split()
LINKS = (
    ("dynamically with libc and the compiler's helpers alone", ["-Wl,-z,text,--fatal-warnings", "-nodefaultlibs", "-lc", "-lgcc"]),
    # glibc's own archive wants the unwinder.
    ("statically with libc and the compiler's helpers alone", ["-static", "-nodefaultlibs", "-lc", "-lgcc", "-lgcc_eh", "-lc"]),
)


def musl_finding(scratch, compile_program, archive):
    """Statically with musl. Its package has no C++ headers, so the objects are those made with glibc's: this shows that
    no name of glibc alone is needed, and that the program runs all the same."""
    if not shutil.which("musl-gcc"):
        print("skipped: a static program with musl, since musl-gcc is not installed")
        return None
    objects, program = os.path.join(scratch, "program.o"), os.path.join(scratch, "with-musl")
    code, output = run([*compile_program, "-U_FORTIFY_SOURCE", "-c", "-o", objects])
    if code == 0:
        code, output = run(["musl-gcc", "-static", "-Wl,--gc-sections", objects, archive, "-o", program,
                            "-nodefaultlibs", "-lc", "-lgcc"])
    if code != 0 and "_chk'" in output:
        print("skipped: a static program with musl, since this compiler hardens libc's calls by itself")
        return None
    if code == 0:
        code, output = run([program], timeout=30)
    if (code, output) != (0, "42\n"):
        return f"Makefile:1: a small embedded program linked statically with musl gives {code} and says: {last_lines(output)}"
    return None


def program_findings(top, scratch, cxx):
    source = os.path.join(scratch, "program.cpp")
    with open(source, "w", encoding="utf-8") as f:
        f.write(PROGRAM)
    include = "-I" + os.path.join(top, "include")
    archive = {p: os.path.join(top, archive_of(p)) for p in ("hosted", "embedded")}

    def links(name, more):
        program = os.path.join(scratch, "static" if "-static" in more else "dynamic")
        code, output = run([*cxx, *EMBEDDED, include, source, archive["embedded"], "-o", program, *more])
        if code != 0:
            return f"Makefile:1: a small embedded program does not link {name}: {last_lines(output)}"
        code, output = run([program], timeout=30)
        if (code, output) != (0, "42\n"):
            return f"Makefile:1: a small embedded program linked {name} gives {code} and says: {last_lines(output)}"
        return None

    def refuses(program_profile, flags, library_profile, sentence):
        code, output = run([*cxx, "-std=c++20", *flags, include, source, archive[library_profile], "-o",
                            os.path.join(scratch, "wrong-" + library_profile), "-pthread"])
        if code == 0:
            return f"include/spruce/config.hpp:1: a {program_profile} program links with the {library_profile} library"
        if sentence not in output:
            return f"include/spruce/config.hpp:1: a {program_profile} program and the {library_profile} library: no sentence in {last_lines(output)}"
        return None

    return [finding for finding in all_of([
        *[lambda n=n, m=m: links(n, m) for n, m in LINKS],
        lambda: musl_finding(scratch, [*cxx, *EMBEDDED[:-1], include, source], archive["embedded"]),
        lambda: refuses("hosted", [], "embedded", "built_for_programs_with_exceptions_but_this_library_is_the_embedded_profile"),
        lambda: refuses("embedded", ["-fno-exceptions", "-fno-rtti"], "hosted",
                        "built_for_programs_without_exceptions_but_this_library_is_the_hosted_profile"),
    ]) if finding]


def amalgamation_findings(top, scratch, cxx):
    """The program with spruce.hpp and spruce.cpp beside it, without a warning, in both profiles."""
    made_from = [os.path.join(top, "tools/amalgamate"), os.path.join(top, "tools/checks/link_rules.py")]
    for pattern in ("src/*/*", "include/spruce/*.hpp", "include/spruce/detail/*.hpp", "tools/checks/source_text.py"):
        made_from += glob.glob(os.path.join(top, pattern))
    done = stamp(top, "amalgamation", made_from, *cxx, run([*cxx, "--version"])[1])
    if done.holds():
        return []
    where = "tools/amalgamate:1:"
    folder = os.path.join(scratch, "amalgamation")
    code, output = run([os.path.join(top, "tools/amalgamate"), folder])
    if code != 0:
        return [f"{where} fails: {last_lines(output)}"]
    with open(os.path.join(folder, "program.cpp"), "w", encoding="utf-8") as f:
        f.write(PROGRAM.replace("<spruce/spruce.hpp>", '"spruce.hpp"'))

    def works(name, flags):
        program = os.path.join(folder, name)
        code, output = run([*cxx, "-std=c++20", "-Wall", "-Wextra", "-Wpedantic", "-Werror", *flags, "program.cpp", "spruce.cpp",
                            "-o", program, "-pthread"], cwd=folder)
        if code != 0:
            return f"{where} what it writes does not compile ({name}): {first_error(output)}"
        code, output = run([program], timeout=30)
        return None if (code, output) == (0, "42\n") else f"{where} its program ({name}) gives {code} and says: {last_lines(output)}"

    found = [f for f in all_of([lambda: works("hosted", []), lambda: works("embedded", ["-fno-exceptions", "-fno-rtti"])]) if f]
    if not found:
        done.put()
    return found


def check(top):
    cxx = default_compiler()
    with tempfile.TemporaryDirectory() as scratch:
        return program_findings(top, scratch, cxx) + amalgamation_findings(top, scratch, cxx)
