"""Running compilers and the like, two at a time."""
import concurrent.futures
import os
import shlex
import shutil
import subprocess


def run(command, cwd=None, timeout=120):
    """(exit code, what it printed)."""
    try:
        done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                              timeout=timeout, check=False, env={**os.environ, "LC_ALL": "C"})
    except subprocess.TimeoutExpired:
        return 124, f"did not end within {timeout} s"
    return done.returncode, done.stdout.decode("utf-8", "replace")


def all_of(jobs):
    """The results of callables without arguments, in their order."""
    with concurrent.futures.ThreadPoolExecutor(max(2, os.cpu_count() or 2)) as pool:
        return [future.result() for future in [pool.submit(job) for job in jobs]]


def compilers():
    """g++ and clang++, those that are installed; the others are named."""
    found = [c for c in ("g++", "clang++") if shutil.which(c)]
    for missing in {"g++", "clang++"} - set(found):
        print(f"skipped: {missing} is not installed")
    return found


def default_compiler():
    """The words of CXX, or g++."""
    return shlex.split(os.environ.get("CXX", "")) or ["g++"]


def archive_of(profile, compiler=None):
    """Where the Makefile puts the archive of a profile, with the default compiler or the one given."""
    name = os.path.basename(compiler or default_compiler()[0])
    return f"build/{profile}{'' if name in ('g++', 'c++') else '-' + name}/libspruce.a"


def last_lines(output, count=3):
    return " | ".join(line.strip() for line in output.strip().split("\n")[-count:])


def first_error(output):
    for line in output.split("\n"):
        if "error:" in line or "warning:" in line:
            return line.strip()
    return last_lines(output)
