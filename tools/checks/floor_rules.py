"""Folders are floors: an include never goes up, and of siblings only context may look at sys."""
import os
import re

from .source_text import includes, part_of

FLOORS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "floors")


def read_floors(text):
    """({folder: the folders it may include besides itself}, {public header: folder}), lowest first, of tools/floors."""
    allowed, floor_of_header = {}, {}
    for line in text.split("\n"):
        if not line.strip() or line.startswith("#"):
            continue
        floor, rest = line.split(":", 1)
        below, headers = rest.split("|")
        allowed[floor] = set()
        for part in below.replace(",", " ").split():
            allowed[floor] |= {part} if part != "below" else set()
        for top in re.findall(r"\bbelow (\w+)", below):
            allowed[floor] |= allowed[top]
        floor_of_header.update({f"{name.removeprefix('detail/')}.hpp": floor for name in headers.split()})
    return allowed, floor_of_header


with open(FLOORS, encoding="utf-8") as f:
    ALLOWED, FLOOR_OF_HEADER = read_floors(f.read())
ALLOWED["all"] = set(ALLOWED)  # the umbrella header
FLOOR_OF_HEADER["spruce.hpp"] = "all"

# A public header shows no header of an operating system, and none of these, which cost every user their compile time
# or say that the library does what it must not.
STANDARD_FOR_HEADERS = set("""
algorithm array atomic bit chrono compare concepts coroutine cstddef cstdint cstring exception functional initializer_list
iterator limits memory new numeric optional ratio source_location span string_view tuple type_traits utility variant version
""".split())

# Operating system headers belong to sys/; above it they stand where a socket address or an option is named.
OS_HEADER = re.compile(r"^(sys/|net/|netinet/|arpa/|linux/)|^(unistd|pthread|sched|poll|fcntl|dirent|netdb|spawn|"
                       r"termios|ucontext|dlfcn|pwd|ifaddrs|signal|time|errno)\.h$")
OS_HEADERS_ALLOWED = {
    "sys": None,      # all
    "testing": None,  # what it stands for
    "io": None,       # addresses, socket options, terminals: values, not calls
    "offload": None,
    "base": {"unistd.h"},      # the panic's write to stderr, which must not go through a loop
    "loop": {"unistd.h", "sched.h"},  # the unhandled hook's write to stderr; the inbox's yield
    "context": {"ucontext.h"},
}


def floor_of_include(file, name, quoted):
    """The floor that an include leads to; None for what is not ours."""
    if quoted:
        path = os.path.normpath(os.path.join(os.path.dirname(file.path), name))
        if path.startswith("include/spruce/"):
            return FLOOR_OF_HEADER.get(os.path.basename(path), "unknown")
        return part_of(path)
    if name.startswith("spruce/"):
        return FLOOR_OF_HEADER.get(os.path.basename(name), "unknown")
    return None


def check(files):
    found = []
    for file in files:
        if not file.is_code:
            continue
        is_header = file.path.startswith("include/spruce/")
        if is_header:
            floor = FLOOR_OF_HEADER.get(file.name)
        else:
            floor = part_of(file.path)
            if not floor:
                continue
        if floor not in ALLOWED:
            found.append(file.finding(1, "has no floor: name it in tools/floors"))
            continue
        for line, name, quoted in includes(file):
            to = floor_of_include(file, name, quoted)
            if to == "unknown":
                found.append(file.finding(line, f"includes <{name}>, which has no floor"))
            elif to and to != floor and to not in ALLOWED[floor]:
                found.append(file.finding(line, f"an include goes up or sideways: {floor} may not include {to} ({name})"))
            elif to == "all":
                found.append(file.finding(line, "includes the umbrella header, which is for users"))
            elif quoted and not to:
                found.append(file.finding(line, f"includes \"{name}\", which lies outside src and include"))
            elif is_header and not to and not quoted and name not in STANDARD_FOR_HEADERS:
                found.append(file.finding(line, f"a public header includes <{name}>"))
            elif not is_header and not to and not quoted and OS_HEADER.match(name):
                permitted = OS_HEADERS_ALLOWED.get(floor, set())
                if permitted is not None and name not in permitted:
                    found.append(file.finding(line, f"{floor} includes <{name}>, a header of the operating system"))
    return found
