"""What the archives may hold and need: no executable stack, no static constructors, nothing but libc and the compiler's
helpers, and no name outside our own."""
import os
import re
import shutil

from .commands import archive_of, last_lines, run

# Needed by neither archive: memory by operator new, exceptions, RTTI, guards of local statics, the C++ library, libatomic.
NOT_NEEDED = (
    (re.compile(r"^_Zn[aw]|^_Zd[al]"), "operator new or delete"),
    (re.compile(r"^__cxa_guard_"), "a local static with a constructor"),
    (re.compile(r"^__cxa_(?:thread_)?atexit$|^__dso_handle$"), "a destructor at exit"),
    (re.compile(r"^__cxa_pure_virtual$|^_ZTVN10__cxxabiv1|^_ZT[VIS]|^__dynamic_cast$"), "virtual functions or RTTI"),
    (re.compile(r"^__cxa_(?!get_globals$)|^_Unwind_|^__gxx_personality"), "exceptions"),
    (re.compile(r"^__atomic_"), "libatomic"),
    (re.compile(r"^__emutls"), "emulated thread-local storage"),
    (re.compile(r"^__sprintf_chk|^__\w+_chk$"), None),  # a distribution's hardening of libc calls: libc
    (re.compile(r"^_Z(?!.*6spruce)"), "the C++ library"),
)
OURS = re.compile(r"spruce")


def section_findings(text, archive):
    """From readelf -SW of an archive."""
    found, member, has_note = [], None, True

    def end_of_member():
        if member and not has_note:
            found.append(f"{archive}:1: {member} has no .note.GNU-stack, which makes the stack of every program executable")

    for line in text.split("\n"):
        begin = re.match(r"File: .*\((.*)\)\s*$", line)
        if begin:
            end_of_member()
            member, has_note = begin.group(1), False
            continue
        section = re.match(r"\s*\[\s*\d+\]\s+(\.\S+)\s+\S+\s+[0-9a-f]+\s+[0-9a-f]+\s+([0-9a-f]+)\s+[0-9a-f]+\s+([A-Za-z]*)", line)
        if not section:
            continue
        name, size, flags = section.group(1), int(section.group(2), 16), section.group(3)
        if name == ".note.GNU-stack":
            has_note = True
            if "X" in flags:
                found.append(f"{archive}:1: {member} asks for an executable stack")
        if re.match(r"\.(preinit_array|init_array|fini_array|ctors|dtors)\b", name) and size:
            found.append(f"{archive}:1: {member} has a static constructor or destructor ({name}, {size} bytes)")
    end_of_member()
    if member is None:
        found.append(f"{archive}:1: readelf shows no member")
    return found


def symbol_findings(text, archive):
    """From nm -A of an archive."""
    found = []
    for line in text.split("\n"):
        match = re.match(r".*?:([^:]+):\s*[0-9a-f]*\s+([A-Za-z])\s+(\S+)$", line)
        if not match:
            continue
        member, kind, name = match.groups()
        if kind in "Uwv":
            for pattern, what in NOT_NEEDED:
                if pattern.match(name):
                    if what:
                        found.append(f"{archive}:1: {member} needs {what} ({name})")
                    break
        elif kind.isupper() and kind != "N" and not OURS.search(name):
            if not (kind in "WV" and re.match(r"_ZN?K?St", name)):  # an instantiation of a header-only part, shared by name
                found.append(f"{archive}:1: {member} defines {name}, a global name that is not ours")
    return found


def testing_findings(text, archive, testing):
    """From nm -A of an archive: what other members need of those in src/testing, which a program that does not name
    them must link without."""
    needs, defines = {}, {}
    for member, kind, name in re.findall(r":([^:\s]+):\s*[0-9a-f]*\s+([A-Za-z])\s+(\S+)$", text, flags=re.M):
        where = needs if kind in "Uwv" else defines
        where.setdefault(name, set()).add(member)
    return [f"{archive}:1: {member} needs {name} of {min(owners)}, which is for tests alone"
            for name, owners in sorted(defines.items()) if owners <= testing
            for member in sorted(needs.get(name, set()) - testing)]


def red_zone_findings(text, archive):
    """From objdump -d of an archive: functions that leave their stack by `jmp *(%rsi)` and keep something below rsp, where
    the switch writes. Of locals that are named by the frame's address it shows only whether anything is called: where
    nothing is, compilers leave them below."""
    functions = {}   # a part that is rarely run has a symbol of its own, and the same frame
    for number, member in enumerate(text.split("file format ")):
        for function in re.split(r"\n(?=[0-9a-f]+ <)", member):
            if name := re.match(r"[0-9a-f]+ <(.*?)(?:\.cold(?:\.\d+)?)?>:", function):
                key = (number, name.group(1))
                functions[key] = functions.get(key, "") + function
    found = []
    for (_, name), function in functions.items():
        if "jmp    *(%rsi)" not in function:
            continue
        below = [a for a in re.findall(r"\t([^\t\n]*-0x[0-9a-f]+\(%rsp\)[^\n]*)", function) if not a.startswith("lea ")]
        if not re.search(r"\tcall", function) and re.search(r"\tmov +%rsp,%rbp", function):
            below += [a for a in re.findall(r"\t([^\t\n]*-0x[0-9a-f]+\(%rbp\)[^\n]*)", function) if not a.startswith("lea ")]
        if below:
            found.append(f"{archive}:1: {name} switches and has a red zone ({below[0].strip()})")
    return found


def check(top):
    found = []
    for tool in ("readelf", "nm", "objdump", "make"):
        if not shutil.which(tool):
            print(f"skipped: the archives, since {tool} is not installed")
            return found
    archives = []
    for compiler in ("g++", "clang++"):
        for profile in ("hosted", "embedded"):
            archive = archive_of(profile, compiler)
            # The other compiler's are looked at as far as somebody built them; brought up to date first.
            if compiler != "g++" and not os.path.exists(os.path.join(top, archive)):
                continue
            code, output = run(["make", "-s", "--no-print-directory", f"-j{os.cpu_count() or 2}", f"PROFILE={profile}", "VARIANT=",
                                f"CXX={compiler}", "all"], cwd=top, timeout=600)
            if code != 0:
                found.append(f"Makefile:1: the {profile} profile does not build with {compiler}: {last_lines(output)}")
            archives.append(archive)
    testing = {name + ".o" for name in os.listdir(os.path.join(top, "src/testing"))}
    for archive in sorted(archives):
        if os.path.exists(os.path.join(top, archive)):
            found += section_findings(run(["readelf", "-SW", archive], cwd=top)[1], archive)
            symbols = run(["nm", "-A", archive], cwd=top)[1]
            found += symbol_findings(symbols, archive)
            found += testing_findings(symbols, archive, testing)
            found += red_zone_findings(run(["objdump", "-d", "--no-show-raw-insn", archive], cwd=top)[1], archive)
    return found
