"""Calls that may wait: each public one stands in the table of the test that calls it in a canceled task.

Such a call takes a deadline, or its comment says what a cancel does ("Cancel:") or lists canceled among its errors.
"""
import re

from .public_calls import NAMES_CANCELED

TABLE = "test/io/test_canceled_beforehand.cpp"
# Those that wait for no task's sake, and why.
EXCEPT = {
    "loop::run_once": "plain code's: runs a turn",
    "loop::run_until": "plain code's: runs turns",
    "loop::destroy": "plain code's: drives turns",
    "run_host_until": "plain code's: runs the host",
    "with_deadline": "waits for nothing itself",
    "delay": "makes a future",
    "time_limit": "makes a future",
    "yielder::operator()": "the generator's own task ends it, see test_generator.cpp",
    "wait_point::fire_at": "tells a wait of a condition's time",
    "handler::rearm": "a timer's",
    "task_group::spawn": "says what becomes of the task",
}
DEADLINE = re.compile(r"\bdeadline\s+\w+\s*(?:=\s*0\s*)?[,)]")
CANCEL = re.compile(r"\bCancel:")
ERRORS = re.compile(r"\bErrors[^:]*:([^:]*)", re.S)


def strip(lines):
    """The code with comments and literals blanked, and each line's own comment."""
    code, comments = [], []
    for line in lines:
        comment = ""
        plain = re.sub(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])\'', '""', line)
        at = plain.find("//")
        if at >= 0:
            comment, plain = plain[at + 2:], plain[:at]
        # A default value's braces are none of a body; a list of initialisers ends with the body.
        plain = re.sub(r"=\s*\{\s*\}", "= 0", plain)
        code.append("" if plain.lstrip().startswith("#") else plain)
        comments.append(comment)
    return code, comments


def comment_above(code, comments, number):
    """The block of comment lines directly above a line (the lines of a template's head are skipped)."""
    block = []
    while number > 0:
        number -= 1
        if code[number].strip():
            break
        if not comments[number]:
            break
        block.append(comments[number])
    return "\n".join(reversed(block))


def function_name(head):
    """The name before the parameter list: the last parenthesis at depth 0 that a name stands before."""
    depth, found = 0, None
    head = re.split(r"\)\s*(?:noexcept\s*)?:(?!:)", head)[0]   # a constructor's initialisers are no parameters
    for at, c in enumerate(head):
        if c == "(":
            if depth == 0:
                before = re.search(r"(operator\s*\(\s*\)\s*|\b[A-Za-z_]\w*)\s*$", head[:at])
                if before and before.group(1) not in ("requires", "noexcept", "decltype", "sizeof", "explicit"):
                    found = before.group(1)
            depth += 1
        elif c == ")":
            depth -= 1
    return "operator()" if found and found.startswith("operator") else found


def waiting_calls(file):
    """(line, name) of each public call of a header that may wait."""
    code, comments = strip(file.lines)
    stack, head, start = [], "", None   # of ("namespace" | "class" | "body", name, access)
    for number, line in enumerate(code):
        for c in line + "\n":
            if stack and stack[-1][0] == "body" and c not in "{}":
                continue
            if c in ";{":
                public = not any(s[0] == "namespace" and s[1] == "detail" or s[2] != "public" for s in stack)
                in_body = bool(stack) and stack[-1][0] == "body"
                if public and not in_body and head.strip() and "(" in head and start is not None and "using " not in head:
                    text = comment_above(code, comments, start)
                    errors = ERRORS.search(text)
                    waits = DEADLINE.search(head) or CANCEL.search(text) or (errors and NAMES_CANCELED.search(errors.group(1)))
                    kind = re.match(r"\s*(?:class|struct|enum|namespace)\b", re.sub(r"template\s*<[^{};]*?>\s*", "", head))
                    name = None if kind or not waits else function_name(head)
                    classes = [s[1] for s in stack if s[0] == "class"]
                    if name and name not in classes:
                        yield start + 1, "::".join(classes + [name])
                if c == "{":
                    stack.append(scope_of(head, in_body))
                head, start = "", None
            elif c == "}":
                if stack:
                    stack.pop()
                head, start = "", None
            elif c == ":" and re.search(r"\b(public|private|protected)\s*$", head):
                if stack and stack[-1][0] == "class":
                    stack[-1] = ("class", stack[-1][1], head.split()[-1])
                head, start = "", None
            else:
                if start is None and not c.isspace():
                    start = number
                head += c


def scope_of(head, in_body):
    namespace = re.search(r"\bnamespace\s+(?:\w+::)*(?:inline\s+)?([\w:]*)\s*$", head)
    if in_body or not head.strip():
        return ("body", "", "public")
    if namespace:
        return ("namespace", namespace.group(1).split("::")[-1].replace("inline ", ""), "public")
    head = re.sub(r"template\s*<[^{};()]*?>\s*(?=template|class|struct|requires)", "", head)
    kind = re.search(r"(?:^|[\s>])(class|struct)\s+(?:\[\[\w+\]\]\s+)?(?:SPRUCE_API\s+)?([A-Za-z_]\w*)[^()]*$", head)
    if kind and "(" not in head[kind.start():]:
        return ("class", kind.group(2), "public" if kind.group(1) == "struct" else "private")
    return ("body", "", "public")


def check(files):
    headers = [f for f in files if f.path.startswith("include/spruce/") and f.path.endswith(".hpp")]
    table = next((f for f in files if f.path == TABLE), None)
    named = set(re.findall(r'^\s*\{?\s*CALL\("([^"]+)"', "\n".join(table.lines), re.M)) if table else set()
    found, seen = [], set()
    for file in headers:
        for line, name in waiting_calls(file):
            seen.add(name)
            if table and name not in named and name not in EXCEPT:
                found.append(file.finding(line, f"{name} may wait, and {TABLE} does not call it in a canceled task"))
    if table:
        for number, line in enumerate(table.lines, 1):
            for name in re.findall(r'CALL\("([^"]+)"', line):
                if name not in seen and name not in BESIDES:
                    found.append(table.finding(number, f"{name} is no call that may wait, as far as the headers say"))
    return found


# Called in the table though the headers' comments do not say that they wait.
BESIDES = {"switch_to_hub", "task_pool::map"}
