"""The shape of the tree: what stands at the top, unique base names, and the length of files."""
import re

LIMIT = 350
# Longer than that, and why.
LONG = {
    "tools/spruce-gdb.py": "one file to source, and to copy to where the core dump is",
}
# A file of tests is a list of short, independent ones.
LONG_LIMIT = 550
NAMED_FOLDERS = ("src/", "include/", "test/", "tools/", "bench/", "docs/examples/")
# May stand in several folders: build systems and readers look for them by name.
SHARED_NAMES = {"CMakeLists.txt": "each CMake project has one", "README.md": "each folder may have one"}
FOLDERS_AT_TOP = {"src", "include", "test", "bench", "tools", "docs", ".ci", ".github"}
FILES_AT_TOP = {"Makefile", "CMakeLists.txt", "LICENSE"}
CONTENT_CODE = (".cpp", ".hpp", ".S", ".py", ".sh", "")
NAMED_BY_SYSTEM = re.compile(r"(^|_)(linux|freebsd|openbsd|netbsd|dragonfly|darwin|macos|posix|unix|bsd)(_|\.|$)")


def check(files):
    found = []
    first = {}
    for file in files:
        parts = file.path.split("/")
        if len(parts) > 1 and parts[0] not in FOLDERS_AT_TOP:
            found.append(file.finding(1, f"the folder {parts[0]} has no place at the top"))
        if len(parts) == 1 and file.name not in FILES_AT_TOP and not file.name.endswith(".md") and not file.name.startswith("."):
            found.append(file.finding(1, "has no place at the top"))
        if file.path.startswith(NAMED_FOLDERS):
            if file.name not in SHARED_NAMES:
                if file.name in first:
                    found.append(file.finding(1, f"has the base name of {first[file.name]}; base names are unique"))
                else:
                    first[file.name] = file.path
            extension = "." + file.name.rsplit(".", 1)[1] if "." in file.name else ""
            limit = LONG_LIMIT if file.path in LONG or file.path.startswith("test/") else LIMIT
            if extension in CONTENT_CODE and len(file.lines) > limit:
                found.append(file.finding(limit + 1, f"has {len(file.lines)} lines; more than {limit} are two nouns"))
        if file.path.startswith(("src/", "include/")) and NAMED_BY_SYSTEM.search(file.name):
            found.append(file.finding(1, "is named by an operating system; files are named by mechanism or processor"))
    return found
