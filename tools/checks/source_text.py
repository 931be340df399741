"""The tree as the rules see it: each file with its lines, and for C++ the same lines without comments and literals."""
import os
import re

SKIPPED_FOLDERS = {".git", ".cache", "build", "__pycache__", "node_modules"}
CODE = (".cpp", ".hpp", ".S")


class source_file:
    def __init__(self, path, text):
        self.path = path
        self.lines = text.split("\n")
        if self.lines and not self.lines[-1]:
            self.lines.pop()
        self.is_code = path.endswith(CODE)
        self.code = blank_comments(text).split("\n") if self.is_code else []

    @property
    def name(self):
        return os.path.basename(self.path)

    def finding(self, line, sentence):
        return f"{self.path}:{line}: {sentence}"


def tree(top):
    """All text files under top, by path; build outputs and what starts a repository are left out."""
    files = []
    for folder, folders, names in os.walk(top):
        folders[:] = sorted(f for f in folders if f not in SKIPPED_FOLDERS)
        for name in sorted(names):
            if name == ".git":
                continue  # a work tree's, which is a file
            path = os.path.join(folder, name)
            if os.path.islink(path) or not os.path.isfile(path):
                continue
            with open(path, "rb") as f:
                content = f.read()
            if b"\0" in content:
                continue
            files.append(source_file(os.path.relpath(path, top), content.decode("utf-8", "replace")))
    return files


# Comments, raw strings, strings and characters, whichever begins first. A quote inside a number (1'000) is no character.
LEXEMES = re.compile(
    r"""//[^\n]*|/\*.*?\*/|R"(?P<mark>[^()\\\s]{0,16})\(.*?\)(?P=mark)"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])*'""",
    re.S)


def blank_comments(text):
    """The text with comments and the insides of literals gone, line by line; an #include keeps its name."""
    def blank(match):
        found = match.group(0)
        newlines = "\n" * found.count("\n")
        if found.startswith('"'):
            begin = text.rfind("\n", 0, match.start()) + 1
            if re.match(r"\s*#\s*include\s*$", text[begin:match.start()]):
                return found
            return '""'
        if found.startswith("R"):
            return '""' + newlines
        return "' '" if found.startswith("'") else " " + newlines
    return LEXEMES.sub(blank, text)


INCLUDE = re.compile(r"\s*#\s*include\s*([<\"])([^>\"]*)[>\"]")


def includes(file):
    """(line, name, is_quoted) for each include."""
    for number, line in enumerate(file.code, 1):
        match = INCLUDE.match(line)
        if match:
            yield number, match.group(2), match.group(1) == '"'


def part_of(path):
    """The folder of src/ that a file belongs to, or None."""
    parts = path.split("/")
    return parts[1] if len(parts) > 2 and parts[0] == "src" else None
