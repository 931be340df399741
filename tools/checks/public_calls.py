"""What the public headers declare: each call that users may make, with its manual and whether it may be ignored."""
import re

# The error's name in a comment; not what something is.
NAMES_CANCELED = re.compile(r"(?<!\bis )(?<!\bwas )(?<!\bare )(?<!\bbeen )(?<!\bbeing )(?<!\bhas )(?<!\bor )\bcanceled\b")

SCOPE = re.compile(r"\b(namespace|class|struct|union|enum)\b(?:\s*\[\[\w+\]\])?\s*((?:\w+(?:\s*::\s*)?(?:inline\s+)?)*)")
ACCESS = re.compile(r"\s*(public|protected|private)\s*$")


class call:
    def __init__(self, path, line, where, name, returns, parameters, text, manual):
        self.path, self.line = path, line
        self.name = "::".join([*where, name])     # event::wait
        self.returns = returns                    # result<void>; "" where it is not spelled out
        self.parameters = parameters
        self.is_kept = "[[nodiscard]]" in text
        self.manual = manual                      # the comment above it


def balanced(text, at, pairs="<>"):
    """The place behind the bracket that closes the one at `at`."""
    depth = 0
    for i in range(at, len(text)):
        if text[i] == pairs[0]:
            depth += 1
        elif text[i] == pairs[1] and text[i - 1] != "-":
            depth -= 1
            if depth == 0:
                return i + 1
    return len(text)


def without_templates(text):
    while match := re.search(r"\btemplate\s*<", text):
        text = text[:match.start()] + text[balanced(text, match.end() - 1):]
    return text


RETURNS = re.compile(r"(?<![\w:<(,])(?:std::|spruce::)?(?:(result|task|future|completions|which|generator|timed_function|pool_results)\s*<|"
                     r"(auto|connection|exception_ptr|handler|hold_token|future)\b(?!\s*\())")


def declared(text):
    """(returns, name, parameters) of a function's declaration; None where it gives nothing of the kinds looked at."""
    text = without_templates(text)
    for match in RETURNS.finditer(text):
        end = balanced(text, match.end() - 1) if match.group(1) else match.end()
        behind = re.match(r"[&*\s]*(operator\s*\(\)|\w+)\s*\(", text[end:])
        if behind:
            opening = end + behind.end() - 1
            closing = balanced(text, opening, "()")
            returns = text[match.start():end]
            trailing = re.match(r"[^;{]*?->\s*(.*)", text[closing:], re.S)
            if returns == "auto" and trailing:
                returns = trailing.group(1)
            return returns, re.sub(r"\s", "", behind.group(1)), text[opening:closing]
    return None


def manual_above(file, line):
    said = []
    while line > 1 and re.match(r"\s*(//|template\b|requires\b)", file.lines[line - 2]):
        line -= 1
        if match := re.match(r"\s*//(.*)", file.lines[line - 1]):
            said.insert(0, match.group(1))
        elif said:
            break
    return " ".join(said)


def calls_of(file):
    """The public calls of a header, and of the classes in it; what is in namespace detail is none."""
    found, scopes = [], []   # of scopes: (kind, name, access)
    text, begin, inside, nested = "", 1, 0, 0
    body = 0
    for number, line in enumerate(file.code, 1):
        if re.match(r"\s*#", line):
            continue
        for c in line + "\n":
            if body:
                body += (c == "{") - (c == "}")
                continue
            inside += (c == "(") - (c == ")")
            if inside or nested:
                nested += (c == "{") - (c == "}") if inside or nested else 0
                text += c
                continue
            if c == "{":
                kind = SCOPE.search(without_templates(text))
                function = "(" in without_templates(text).replace("requires(", "requires[") and not (kind and kind.group(1) == "namespace")
                if kind and not function:
                    name = kind.group(2).strip()
                    scopes.append([kind.group(1), name, "public" if kind.group(1) != "class" else "private"])
                else:
                    add(found, file, begin, scopes, text)
                    body = 1
                text = ""
            elif c == "}":
                if scopes:
                    scopes.pop()
                text = ""
            elif c == ";":
                add(found, file, begin, scopes, text)
                text = ""
            elif c == ":" and ACCESS.match(text):
                scopes[-1][2] = text.strip()
                text = ""
            else:
                if not text.strip():
                    text, begin = "", number
                text += c
    return found


def add(found, file, line, scopes, text):
    if any(kind == "namespace" and name == "detail" or "detail" in name.split("::") or access != "public" for kind, name, access in scopes):
        return
    what = declared(text)
    if what:
        spaces = [(kind, re.split(r"::\s*", name.strip())[-1]) for kind, name, _ in scopes]
        where = [name for kind, name in spaces if kind != "namespace" or name in ("testing", "debug")]
        found.append(call(file.path, line, where, what[1], what[0], what[2], text, manual_above(file, line)))
