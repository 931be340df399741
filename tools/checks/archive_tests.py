"""Plants violations in small archives and headers, and expects each to be found."""
import os
import platform
import shutil
import tempfile

from . import archive_rules, header_builds
from .commands import all_of, run

# (what is planted, file name, text, a part of the sentence, or None for a clean one)
ARCHIVES = (
    ("a clean archive has no findings", "a.cpp",
     "#include <string_view>\nint spruce_f(std::string_view s) { return s.find('x') == s.npos; }\n", None),
    ("operator new", "a.cpp", "int* spruce_f() { return new int; }\n", "operator new"),
    ("a static constructor", "a.cpp", "int spruce_f();\nint spruce_x = spruce_f();\n", "static constructor"),
    ("a guarded local static", "a.cpp", "int spruce_g();\nint spruce_f() { static int x = spruce_g(); return x; }\n", "local static"),
    ("virtual functions", "a.cpp", "struct spruce_s { virtual void f(); };\nvoid spruce_s::f() {}\n", "virtual functions"),
    ("an exception", "a.cpp", "void spruce_f() { throw 1; }\n", "exceptions"),
    ("the C++ library", "a.cpp", "#include <string_view>\nchar spruce_f(std::string_view s) { return s.substr(1)[0]; }\n", "the C++ library"),
    ("libatomic", "a.cpp", "#include <atomic>\nstruct two { long a, b; };\nstd::atomic<two> spruce_x;\nlong spruce_f() { return spruce_x.load().a; }\n",
     "libatomic"),
    ("a name outside our own", "a.cpp", "int helper() { return 1; }\n", "not ours"),
    ("a switch in a leaf function with locals", "a.cpp",
     "void spruce_f(long* p) {\n    long volatile a[2] = {p[0], p[1]};\n"
     '    asm volatile("jmp *(%%rsi)" : : "S"(p) : "memory");\n    p[0] = a[1];\n}\n', "has a red zone"),
    ("a switch in a leaf function with locals below its frame", "a.cpp",
     "void spruce_f(long* p, long x) {\n    asm volatile(\"\" : : \"r\"(__builtin_frame_address(0)));\n"
     '    asm volatile("jmp *(%%rsi)" : : "S"(p) : "rax", "rbx", "rcx", "rdx", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", '
     '"memory");\n    p[0] = x;\n}\n', "has a red zone"),
    ("a switch in a function that calls another one", "a.cpp",
     "void spruce_f(long* p, long x) {\n    asm volatile(\"\" : : \"r\"(__builtin_frame_address(0)));\n"
     "    if (x == 1) {\n        spruce_f(p, p[1]);\n        asm volatile(\"\");\n    }\n"
     '    asm volatile("jmp *(%%rsi)" : : "S"(p) : "rax", "rbx", "rcx", "rdx", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", '
     '"memory");\n    p[0] = x;\n}\n', None),
    ("assembly without a note", "a.S", "        .text\nspruce_f:\n        nop\n", "no .note.GNU-stack"),
    ("assembly that wants an executable stack", "a.S", '        .section .note.GNU-stack, "x"\n', "asks for an executable stack"),
)
HEADERS = (
    ("a clean header compiles alone", "struct spruce_s {};\n", None),
    ("a header without its includes", "std::uint32_t spruce_f();\n", "does not compile alone"),
    ("a header that warns", "inline int spruce_f(long x) { return x; }\n", "does not compile alone"),
    ("a header without a guard", "struct spruce_s {};\n", "does not compile alone"),
    ("a header that throws without exceptions", "inline void spruce_f() { throw 1; }\n", "does not compile alone"),
)


def archive_case(name, text):
    with tempfile.TemporaryDirectory() as scratch:
        with open(os.path.join(scratch, name), "w", encoding="utf-8") as f:
            f.write(text)
        code, output = run(["g++", "-std=c++20", "-O1", "-c", name, "-o", "a.o"], cwd=scratch)
        if code == 0:
            code, output = run(["ar", "rcs", "a.a", "a.o"], cwd=scratch)
        if code != 0:
            return [output]
        return (archive_rules.section_findings(run(["readelf", "-SW", "a.a"], cwd=scratch)[1], "a.a") +
                archive_rules.symbol_findings(run(["nm", "-A", "a.a"], cwd=scratch)[1], "a.a") +
                archive_rules.red_zone_findings(run(["objdump", "-d", "--no-show-raw-insn", "a.a"], cwd=scratch)[1], "a.a"))


def header_case(what, text):
    with tempfile.TemporaryDirectory() as top:
        os.makedirs(os.path.join(top, "include/spruce"))
        header = os.path.join(top, "include/spruce/a.hpp")
        with open(header, "w", encoding="utf-8") as f:
            f.write(("" if "guard" in what else "#pragma once\n") + text)
        found = [header_builds.alone(top, top, "g++", p, flags, header) for p, flags in header_builds.PROFILES.items()]
        return [f for f in found if f]


def testing_cases():
    """What nm -A says of an archive in which a poller needs the simulated kernel, and of one in which it does not."""
    defines = "a.a:simulated.cpp.o:0000000000000010 T spruce_simulated\n"
    for what, user, expected in (
        ("a member that needs what is for tests", "poller.cpp.o", 1),
        ("a member for tests that needs another one", "fds.cpp.o", 0),
    ):
        found = archive_rules.testing_findings(f"{defines}a.a:{user}:                 U spruce_simulated\n", "a.a",
                                               {"simulated.cpp.o", "fds.cpp.o"})
        yield what, len(found) == expected, found


def cases():
    """(what, whether it is right, what was found)"""
    for tool in ("g++", "ar", "readelf", "nm", "objdump"):
        if not shutil.which(tool):
            print(f"skipped: archives and headers, since {tool} is not installed")
            return
    here = [a for a in ARCHIVES if "%%rsi" not in a[2] or platform.machine() == "x86_64"]
    plans = [(w, lambda n=n, t=t: archive_case(n, t), s) for w, n, t, s in here]
    plans += [(w, lambda w=w, t=t: header_case(w, t), s) for w, t, s in HEADERS]
    for (what, _, sentence), found in zip(plans, all_of([case for _, case, _ in plans])):
        yield what, any(sentence in f for f in found) if sentence else not found, found
