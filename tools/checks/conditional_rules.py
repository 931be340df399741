"""Conditionals on the operating system stand only in sys/, on the processor only in context/, on the compiler only in
base/ and context/."""
import re

from .floor_rules import FLOOR_OF_HEADER
from .source_text import part_of

KINDS = (
    ("an operating system", {"sys"}, re.compile(
        r"\b(__linux__|__linux|linux|__gnu_linux__|__unix__|__unix|__FreeBSD__|__OpenBSD__|__NetBSD__|__DragonFly__|"
        r"__APPLE__|__MACH__|_WIN32|__ANDROID__|__GLIBC__|__GLIBC_MINOR__|__GLIBC_PREREQ|__UCLIBC__|__MUSL__|__BIONIC__|"
        r"__FreeBSD_version|__sun|__CYGWIN__|BSD|__has_include(?=\s*\(<sys/))\b")),
    ("a processor", {"context"}, re.compile(
        r"\b(__x86_64__|__x86_64|__amd64__|__i386__|__aarch64__|__arm__|__ARM_\w+|__riscv|__riscv_\w+|__powerpc\w*__|"
        r"__s390x?__|__mips\w*|__loongarch\w*|__sparc\w*|__ILP32__|__LP64__|_LP64|__SSE\w*__|__AVX\w*__|__CET__|"
        r"__SIZEOF_POINTER__|__BYTE_ORDER__)\b")),
    ("a compiler", {"base", "context"}, re.compile(
        r"\b(__clang__|__clang_\w+|__GNUC__|__GNUC_\w+|__GNUG__|_MSC_VER|__INTEL_\w+|__SANITIZE_\w+|__has_feature|__has_builtin|"
        r"__has_extension|__has_attribute|__has_cpp_attribute|__OPTIMIZE\w*__|__ELF__|__GLIBCXX__|_GLIBCXX_\w+|_LIBCPP_\w+|"
        r"__cpp_\w+|__EXCEPTIONS|__GXX_RTTI|__has_include(?!\s*\(<sys/))\b")),
)
CONDITION = re.compile(r"\s*#\s*(if|elif|ifdef|ifndef|elifdef|elifndef)\b(.*)")


def check(files):
    found = []
    for file in files:
        if not file.is_code:
            continue
        if file.path.startswith("include/spruce/"):
            floor = FLOOR_OF_HEADER.get(file.name)
        else:
            floor = part_of(file.path)
        if not floor:
            continue
        lines = enumerate(file.code, 1)
        for number, line in lines:
            match = CONDITION.match(line)
            if not match:
                continue
            condition = match.group(2)
            while line.endswith("\\"):  # a condition that goes on
                _, line = next(lines, (0, ""))
                condition += line
            for what, floors, names in KINDS:
                named = names.search(condition)
                if named and floor not in floors:
                    where = " and ".join(f"{f}/" for f in sorted(floors))
                    found.append(file.finding(number, f"a conditional on {what} ({named.group(1)}); these stand only in {where}"))
    return found
