"""Words that the library's own code does not use, and words that no file of the tree uses."""
import re

# In src/ and in the public headers.
EVERYWHERE = (
    (r"(?<![\w:])(?:::\s*)?\boperator\s+(new|delete)\b", "operator {0}: memory comes through the hooks"),
    (r"#\s*include\s*<(iostream|fstream|sstream|ostream|istream|iomanip|string|vector|map|unordered_map|set|list|deque|queue|"
     r"thread|mutex|condition_variable|future|regex|random|locale|filesystem|any)>", "includes <{0}>"),
    (r"\bstd::(function|string|vector|map|unordered_map|set|deque|list|thread|jthread|mutex|shared_mutex|condition_variable|cout|"
     r"cerr|clog|shared_ptr|make_shared|make_unique|async|random_device|locale|any)\b", "std::{0}"),
    (r"\b(dynamic_cast|typeid)\b", "{0}: the library is built without RTTI"),
    (r"\b(virtual)\b", "virtual: tables of function pointers instead"),
    (r"\bstd::(?:chrono::)?(steady_clock|system_clock|high_resolution_clock)\b", "std::chrono::{0}: the clock is a parameter of the loop"),
    (r"(?<!constinit )\b(thread_local)\b(?! constinit)", "thread_local without constinit"),
    (r"\.(substr)\s*\(", "substr(): its range check throws, out of the C++ library"),
    (r"\b(malloc|calloc|realloc|free)\s*\(", "{0}(): memory comes through the hooks"),
)
# Only in src/: headers may catch and throw where SPRUCE_THROWS says so.
LIBRARY = (
    (r"\b(throw|catch)\b", "{0}: the library never throws"),
    (r"\b(try)\s*\{", "{0}: the library never throws"),
    (r"\bstd::(exception_ptr|current_exception|rethrow_exception)\b", "std::{0}: exceptions live only in headers"),
    (r"\b(printf|puts|perror|fprintf)\s*\(", "{0}(): the library prints only through the unhandled hook"),
    (r"\b(assert)\s*\(", "assert(): SPRUCE_VERIFY says the broken rule in words"),
)
# A new-expression that is no placement: "new (" is one, and so is "::new (".
PLAIN_NEW = re.compile(r"(?<![\w\"'])new\s+(?!\()[A-Za-z_:]")
# Files that are the hook behind which such words stand.
ALLOWED = {
    ("src/base/memory.cpp", "malloc"), ("src/base/memory.cpp", "calloc"), ("src/base/memory.cpp", "realloc"),
    ("src/base/memory.cpp", "free"), ("src/base/memory.cpp", "aligned_alloc"),
}

# In any file. The words are put together here, so that this file passes.
ANYWHERE = (
    (re.compile(r"\bissue" + r"s?\s*#?\d+", re.I), "names the number of an issue: say the reason instead"),
    (re.compile(r"(?:(?<=^)|(?<=[\s\"'`(=:<]))/(?:work|home/\w+|root|Users)" + r"/\w"), "names a path of one machine"),
    (re.compile(r"\b(XX" + r"X|FIX" + r"ME|TO" + r"DO)\b"), "leaves {0} behind"),
)
# Words that users do not look for, and what they look for instead (docs/glossary.md): they have left the public headers'
# comments and the library's sentences, and stay away.
LEFT = (
    (re.compile(r"\b(nobody|somebody|whoever)\b", re.I), "say which task, thread or waiter"),
    (re.compile(r"\bwho (waits|waited)\b", re.I), "say waiter, or the task that waits"),
    (re.compile(r"\b(told)\b", re.I), "say reported, notified, or what it says"),
    (re.compile(r"\b(melts?|melted)\b", re.I), "say coalesce"),
    (re.compile(r"\b(door)\b", re.I), "say thread-safe handle"),
    (re.compile(r"\b(for want of)\b", re.I), "say what is missing"),
    (re.compile(r"\b(lay_ghosts|forsake|dozing|rouse)\b", re.I), "say drop stale registrations, unlink, asleep, wake"),
)
COMMENT = re.compile(r"//(?![^\"]*\",).*")
LITERAL = re.compile(r'"((?:\\.|[^"\\])*)"')
COLUMNS = 120


def old_words(file):
    """In the comments of public headers, and in the sentences that the library reports."""
    header = re.match(r"include/spruce/\w+\.hpp$", file.path)
    for number, line in enumerate(file.lines, 1):
        said = []
        if header:
            said = COMMENT.findall(line)
        if header or file.path.startswith("src/"):
            said += [] if re.match(r"\s*(#\s*include|//)", line) else LITERAL.findall(line)
        for text in said:
            for pattern, instead in LEFT:
                if match := pattern.search(text):
                    yield file.finding(number, f"\"{match.group(0)}\" is none of the glossary's words: {instead}")


def long_lines(file):
    for number, line in enumerate(file.lines, 1):
        if len(line) > COLUMNS and '"' not in line and "http" not in line:   # a string is not cut for it
            yield file.finding(number, f"has {len(line)} columns; {COLUMNS} is the most")


CONFLICT = re.compile(r"(<<<<<<<|>>>>>>>)( |$)")


def words(file, rules):
    compiled = [(re.compile(pattern), sentence) for pattern, sentence in rules]
    for number, line in enumerate(file.code, 1):
        for pattern, sentence in compiled:
            for match in pattern.finditer(line):
                if (file.path, match.group(1)) not in ALLOWED:
                    yield file.finding(number, sentence.format(match.group(1)))
        if not re.match(r"\s*#", line) and PLAIN_NEW.search(line):
            yield file.finding(number, "new without a place: memory comes through the hooks")


def throws_only_where_allowed(file):
    """Headers throw and catch only between #if SPRUCE_THROWS (or SPRUCE_EXCEPTIONS) and its #else or #endif."""
    open_conditions = []
    for number, line in enumerate(file.code, 1):
        directive = re.match(r"\s*#\s*(if|ifdef|ifndef|elif|else|endif)\b(.*)", line)
        if directive:
            kind, condition = directive.groups()
            if kind in ("if", "ifdef", "ifndef"):
                open_conditions.append(bool(re.match(r"\s*SPRUCE_(THROWS|EXCEPTIONS)\b", condition)))
            elif kind == "endif" and open_conditions:
                open_conditions.pop()
            elif open_conditions:
                open_conditions[-1] = False
            continue
        match = re.search(r"\b(throw|catch)\b|\b(try)\s*\{|\bstd::(exception_ptr|current_exception)\b", line)
        if match and not any(open_conditions):
            word = next(g for g in match.groups() if g)
            yield file.finding(number, f"{word} outside #if SPRUCE_THROWS")


def check(files):
    found = []
    for file in files:
        in_library = file.is_code and file.path.startswith("src/")
        in_headers = file.is_code and file.path.startswith("include/")
        if in_library:
            found += words(file, EVERYWHERE + LIBRARY)
        elif in_headers:
            found += words(file, EVERYWHERE)
            found += throws_only_where_allowed(file)
        if in_library or in_headers:
            found += old_words(file)
        if file.is_code and file.path.startswith(("src/", "include/")):
            found += long_lines(file)
        for number, line in enumerate(file.lines, 1):
            for pattern, sentence in ANYWHERE:
                match = pattern.search(line)
                if match:
                    found.append(file.finding(number, sentence.format(match.group(0))))
            if CONFLICT.match(line):
                found.append(file.finding(number, "a merge was left half done"))
    return found
