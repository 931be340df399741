"""Each public header compiles alone, without a warning, in both profiles and beside Qt, with each compiler at hand."""
import glob
import os
import tempfile

from .commands import all_of, compilers, first_error, run
from .stamps import stamp

FLAGS = ("-fsyntax-only -x c++ -std=c++20 -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror").split()
PROFILES = {
    "hosted": ["-DSPRUCE_EXCEPTIONS=1"],
    # Words that Qt defines.
    "beside Qt": ["-DSPRUCE_EXCEPTIONS=1", "-Dslots=", "-Dsignals=public", "-Demit=", "-Dforeach=for", "-Dforever=for(;;)"],
    "embedded": ["-DSPRUCE_EXCEPTIONS=0", "-fno-exceptions", "-fno-rtti"],
}


def alone(top, scratch, compiler, profile, flags, header):
    # Through a file that includes it, since a #pragma once in the main file is itself a warning. The second include
    # must change nothing.
    name = os.path.relpath(header, os.path.join(top, "include"))
    source = os.path.join(scratch, f"{compiler}-{profile}-{os.path.basename(header)}.cpp")
    with open(source, "w", encoding="utf-8") as f:
        f.write(f"#include <{name}>\n#include <{name}>\n")
    code, output = run([compiler, *FLAGS, *flags, "-I" + os.path.join(top, "include"), source])
    if code == 0:
        return None
    return f"include/{name}:1: does not compile alone ({compiler}, {profile}): {first_error(output)}"


def check(top):
    headers = sorted(glob.glob(os.path.join(top, "include/spruce/*.hpp")) + glob.glob(os.path.join(top, "include/spruce/detail/*.hpp")))
    found = []
    with tempfile.TemporaryDirectory() as scratch:
        for compiler in compilers():
            version = run([compiler, "--version"])[1]
            for profile, flags in PROFILES.items():
                done = stamp(top, f"{compiler}-{profile}", headers, version, compiler, *FLAGS, *flags)
                if done.holds():
                    continue
                failures = all_of([lambda h=h: alone(top, scratch, compiler, profile, flags, h) for h in headers])
                failures = [f for f in failures if f]
                found += failures
                if not failures:
                    done.put()
    return found
