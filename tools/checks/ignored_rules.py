"""[[nodiscard]] stands on each public call that waits, or whose value, data or right would be lost; and compilers warn."""
import re

from .commands import all_of, compilers, first_error, run
from .header_builds import FLAGS, PROFILES
from .public_calls import NAMES_CANCELED, calls_of
from .stamps import stamp

TABLE = "test/consumer/ignored/ignored_calls.cpp"
OWN = "For the library's own use"


def must_be_kept(call):
    """Why it may not be ignored, or None."""
    if re.search(r"\bdeadline\b", call.parameters) or NAMES_CANCELED.search(call.manual):
        return "waits"
    if call.returns.startswith("result<") and not re.fullmatch(r"result<\s*void\s*>", call.returns):
        return "gives a value"
    if call.name.endswith("::take"):
        return "takes what a wait has won"
    return None


def check(files):
    found, calls = [], []
    for file in files:
        if not file.path.startswith("include/spruce/"):
            continue
        for call in calls_of(file):
            why = must_be_kept(call)
            if why and not call.is_kept and call.returns != "handler":
                found.append(file.finding(call.line, f"{call.name} {why}, and may be ignored; [[nodiscard]] belongs there"))
            calls.append(call)
    for file in files:
        if file.path == TABLE:
            found += missing(file, calls)
    return found


def rows(file):
    """(line, the call's name or None, whether it is to be kept) of the statements in the table."""
    kept = None
    for number, line in enumerate(file.lines, 1):
        if match := re.match(r"void (kept|free_to_ignore)\(\)", line):
            kept = match.group(1) == "kept"
        if kept is not None and re.match(r"    \S.*;", line):
            name = re.search(r";\s*// (\S+)$", line)
            yield number, name.group(1) if name else None, kept


def missing(table, calls):
    found = []
    # What waits call of a condition is not for users to call.
    conditions = {call.name.rsplit("::", 1)[0] for call in calls if call.name.endswith("::arm")}
    known = {call.name for call in calls
             if not (call.name.rsplit("::", 1)[0] in conditions and call.name.endswith(("::arm", "::take"))) and OWN not in call.manual and "detail::" not in call.parameters}
    listed = set()
    for line, name, _ in rows(table):
        listed.add(name)
        is_constructor = name and name.split("::")[-1] in name.split("::")[:-1]
        if name and name not in known and not is_constructor:
            found.append(table.finding(line, f"no public header has {name}"))
    for name in sorted(known - listed):
        call = next(c for c in calls if c.name == name)
        found.append(f"{call.path}:{call.line}: {name} is not in {TABLE}, which tells whether it may be ignored")
    return found


def check_warnings(top, files):
    """Compiles the table."""
    table = next((file for file in files if file.path == TABLE), None)
    if not table:
        return [f"{TABLE}:1: is not there"]
    sources = [f"{top}/{file.path}" for file in files if file.path == TABLE or file.path.startswith("include/spruce/")]
    expected = list(rows(table))

    def with_one(compiler, profile):
        flags = [f for f in [*FLAGS, *PROFILES[profile]] if f != "-Werror"]
        done = stamp(top, f"ignored-{compiler}-{profile}", sources, run([compiler, "--version"])[1], __file__, *flags)
        if done.holds():
            return []
        code, output = run([compiler, *flags, f"-I{top}/include", f"{top}/{TABLE}"])
        if code != 0:
            return [f"{TABLE}:1: does not compile ({compiler}, {profile}): {first_error(output)}"]
        warned = {int(n) for n in re.findall(re.escape(TABLE) + r":(\d+):\d+: warning:", output)}
        wrong = [(line, kept) for line, name, kept in expected if (line in warned) != kept and not hidden(table, line, profile)]
        if not wrong:
            done.put()
        return [table.finding(line, f"{compiler} ({profile}) {'does not warn' if kept else 'warns'}") for line, kept in wrong]

    jobs = [(compiler, profile) for compiler in compilers() for profile in ("hosted", "embedded")]
    return [finding for found in all_of([lambda j=j: with_one(*j) for j in jobs]) for finding in found]


def hidden(table, line, profile):
    """Whether the line stands in a part for programs with exceptions, and this one has none."""
    above = [text for text in table.lines[:line] if text.startswith("#")]
    return profile == "embedded" and bool(above) and above[-1].startswith("#if SPRUCE_EXCEPTIONS")
