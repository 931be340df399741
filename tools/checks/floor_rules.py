"""Folders are floors: an include never goes up, and of siblings only context may look at sys."""
import os
import re

from .source_text import includes, part_of

# What each floor may include besides itself. Interop is a guest of the loop, and knows no task.
BELOW_LOOP = {"base", "timer", "sys"}
ALLOWED = {
    "base": set(),
    "timer": {"base"},
    "sys": {"base"},
    "context": {"base", "sys"},
    "loop": BELOW_LOOP,
    "task": BELOW_LOOP | {"loop", "context"},
    "sync": BELOW_LOOP | {"loop", "context", "task"},
    "offload": BELOW_LOOP | {"loop", "context", "task", "sync"},
    "io": BELOW_LOOP | {"loop", "context", "task", "sync", "offload"},
    "interop": BELOW_LOOP | {"loop"},
}
ALLOWED["all"] = set(ALLOWED)  # the umbrella header

# The floor of each public header.
HEADERS = {
    "base": "callback config error memory result time verify",
    "sys": "faults testing",
    "loop": "handler census exit_status hold_token host_turn loop_options loop_ref loop_state loop",
    "task": "debug group run task task_local task_outcome this_task wait_point",
    "sync": "waiter_list counted backlog barrier conditions wait message future_core future future_sets async_function timed timer emitter emitted event_bus sync channel queue shared generator as_future future_timers future_filter bound task_pool run_on loop_thread",
    "offload": "offload shards",
    "io": "io net process",
    "interop": "interop",
    "all": "spruce",
}
FLOOR_OF_HEADER = {f"{name}.hpp": floor for floor, names in HEADERS.items() for name in names.split()}

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
            found.append(file.finding(1, "has no floor: name it in tools/checks/floor_rules.py"))
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
