"""Tasks in gdb, on a live process and on a core dump:

    (gdb) source tools/spruce-gdb.py
    (gdb) info tasks
    (gdb) task 3 bt
    (gdb) task reader info locals
    (gdb) task apply all bt
    (gdb) task hub bt
    (gdb) task core FILE

docs/gdb.md tells more. Registers are never written: while a command runs on a task, an unwinder says that whoever
called the innermost frame of the thread is the place where the task waits.
"""
import contextlib
import struct

import gdb
import gdb.unwinder
from gdb.FrameDecorator import FrameDecorator

DETAIL = "spruce::v0::detail::"
# As in src/context/stack_pool.hpp and src/loop/ready_ring.hpp.
GUARD_BYTES = 16 << 10
COLOURS = 32
LINE = 64
STACK_BYTES = {"k16": 16 << 10, "k64": 64 << 10, "k256": 256 << 10, "m1": 1 << 20, "m8": 8 << 20,
               "bare2k": 2 << 10, "bare4k": 4 << 10, "bare8k": 8 << 10}
EXTENSION_BIT = 1


def number(value):
    return int(value.cast(gdb.lookup_type("unsigned long")))


def read_words(address, count):
    return struct.unpack(f"={count}Q", bytes(gdb.selected_inferior().read_memory(address, 8 * count)))


def enumerator(value):
    """The last part of an enumerator's name."""
    for field in value.type.strip_typedefs().fields():
        if field.enumval == int(value):
            return field.name.rsplit("::", 1)[-1]
    return str(int(value))


def symbol_at(address):
    text = gdb.execute(f"info symbol {address:#x}", to_string=True).strip()
    return text.rsplit(" in section", 1)[0] if " in section" in text else f"{address:#x}"


# -- where a stack that was left goes on


def registers_at(saved, execution):
    """What the registers hold when the stack with this saved stack pointer goes on: {name: value}."""
    architecture = gdb.selected_inferior().architecture().name()
    arm = architecture.startswith("aarch64")
    if any(field.name == "part" for field in execution.type.fields()):
        context = execution["part"]["registers"]["uc_mcontext"]
        if arm:
            found = {f"x{i}": int(context["regs"][i]) for i in range(19, 31)}
            found.update(sp=int(context["sp"]), pc=int(context["pc"]))
            return found
        places = {"r12": 4, "r13": 5, "r14": 6, "r15": 7, "rbp": 10, "rbx": 11, "rsp": 15, "rip": 16}
        return {name: int(context["gregs"][at]) & (1 << 64) - 1 for name, at in places.items()}
    if arm:
        frame, pc = read_words(saved, 2)
        found = {"pc": pc, "sp": saved, "x29": frame}
    elif architecture.startswith("i386:x86-64"):
        pc, _, frame = read_words(saved, 3)
        found = {"rip": pc, "rsp": saved + 8, "rbp": frame}
    else:
        raise gdb.GdbError(f"the switch of {architecture} is not known here")
    # A caller's frame is looked up by the byte before its address, which a function that was not begun does not have.
    if symbol_at(pc) == "spruce_first_entry":
        found["pc" if arm else "rip"] += 4 if arm else 1
    return found


class frame_id:
    def __init__(self, sp, pc):
        self.sp = sp
        self.pc = pc


class task_unwinder(gdb.unwinder.Unwinder):
    """While it has registers: the innermost frame of the thread was called from there."""

    def __init__(self):
        super().__init__("spruce-task")
        self.registers = None

    def __call__(self, pending):
        if self.registers is None or pending.level() != 0:
            return None
        sp = self.registers.get("rsp", self.registers.get("sp"))
        pc = self.registers.get("rip", self.registers.get("pc"))
        word = gdb.lookup_type("unsigned long")
        # As if it lay just below the task's own: gdb refuses callers that lie further down than who they called.
        info = pending.create_unwind_info(frame_id(gdb.Value(sp - 8).cast(word), gdb.Value(pc).cast(word)))
        for name, value in self.registers.items():
            info.add_saved_register(name, gdb.Value(value).cast(word))
        return info


class short_name(FrameDecorator):
    """gdb shows a frame that comes through a filter with its parameters' types, and the values behind them."""

    def function(self):
        name = super().function()
        plain = isinstance(name, str) and name.endswith(")") and name.count("(") == 1
        return name[:name.index("(")] if plain else name


class hide_innermost:
    """Leaves the thread's own innermost frame out of backtraces while the unwinder is at work."""

    name = "spruce-task"
    enabled = True
    priority = 1

    def __init__(self, unwinder):
        self.unwinder = unwinder

    def filter(self, frames):
        if self.unwinder.registers is None:
            return frames
        return (short_name(f) for f in frames if f.inferior_frame().level() != 0)


UNWINDER = task_unwinder()


@contextlib.contextmanager
def place_kept():
    """Thread and frame are selected as before afterwards."""
    thread = gdb.selected_thread()
    level = gdb.selected_frame().level()
    try:
        yield
    finally:
        thread.switch()
        frame = gdb.newest_frame()
        while frame.level() < level and frame.older() is not None:
            frame = frame.older()
        frame.select()


@contextlib.contextmanager
def standing_at(registers):
    """Within it, the selected frame is the one that has these registers."""
    UNWINDER.registers = registers
    gdb.invalidate_cached_frames()
    try:
        there = gdb.newest_frame().older()
        if there is None:
            raise gdb.GdbError("gdb does not walk to that stack")
        there.select()
        yield
    finally:
        UNWINDER.registers = None
        gdb.invalidate_cached_frames()


# -- finding them


class found_scheduler:
    def __init__(self, thread, value):
        self.thread = thread
        self.value = value
        self.sp = number(gdb.newest_frame().read_register("sp"))
        ring = value["h"]["ready"]
        self.ready = {}
        self.taken = None
        if int(ring["entries_"]) != 0:
            mask, head, tail = (int(ring[name]) for name in ("mask_", "head_", "tail_"))
            entry = lambda at: ring["entries_"][at & mask]  # noqa: E731
            for at in range(head, head + (tail - head & 0xffffffff)):
                node = number(entry(at)["node"])
                if node & EXTENSION_BIT:
                    self.ready[node & ~EXTENSION_BIT] = number(entry(at)["word"])
            last = entry(head - 1)
            self.taken = (number(last["node"]) & ~EXTENSION_BIT, number(last["word"]))
        # Who waits within run_now(); 0 is the hub.
        self.returns = {}
        frame = value["returns"]
        while int(frame) != 0:
            self.returns[int(frame["caller"])] = number(frame["stack_pointer"])
            frame = frame["outer"]

    def tasks(self):
        """Those that have not ended."""
        found = list(self.walk())
        missing = int(self.value["live"]) - len(found)
        if missing > 0 and not found:
            print(f"{missing} tasks are not to be seen: are their stacks in the core dump? gdb's gcore leaves stacks with "
                  "light guards out; \"task core\" does not, nor does the kernel.")
        return found

    def walk(self):
        block_type = gdb.lookup_type(DETAIL + "task_block")
        pool = self.value["arena"]["pool"]
        for n in range(int(pool["slab_count_"])):
            slab = pool["slabs_"][n]
            name = enumerator(slab["size_class"])
            size = STACK_BYTES[name]
            base = int(slab["base"])
            for i in range(int(slab["carved"])):
                if name.startswith("bare"):
                    bottom = base + i * (size + LINE) + LINE
                    top = bottom + size
                else:
                    bottom = base + i * (size + GUARD_BYTES) + GUARD_BYTES
                    top = bottom + size - i % COLOURS * LINE
                address = top - block_type.sizeof
                block = gdb.Value(address).cast(block_type.pointer()).dereference()
                if enumerator(block["state"]) not in ("unused", "claimed", "ended"):
                    yield found_task(self, block, address, bottom, top)

    def hub_registers(self):
        """Of the stack on which the loop runs; None if the thread is on it."""
        if int(self.value["current"]) == 0:
            return None
        saved = self.returns.get(0, number(self.value["hub_stack_pointer"]))
        return registers_at(saved, self.value["hub_machine"])


class found_task:
    def __init__(self, scheduler, block, address, bottom, top):
        self.scheduler = scheduler
        self.block = block
        self.address = address
        self.bottom = bottom
        self.top = top
        self.id = int(block["id"]["value"])
        self.name = block["name"].string() if block["named"] else f"task {self.id}"
        state = enumerator(block["state"])
        self.state = "ready" if state == "yielded" else state   # what it waited for is nobody's to know
        # Not what the state says: between saying so and being there are a few instructions.
        self.on_thread = bottom <= scheduler.sp < top

    @property
    def waits_for(self):
        wait = self.block["wait"]
        return wait["noun"].string() if self.state == "waiting" and int(wait) != 0 else ""

    def saved(self):
        if self.address in self.scheduler.ready:
            return self.scheduler.ready[self.address]
        if self.address in self.scheduler.returns:
            return self.scheduler.returns[self.address]
        if self.state == "running" and self.scheduler.taken and self.scheduler.taken[0] == self.address:
            return self.scheduler.taken[1]
        return number(self.block["stack_pointer"])

    def registers(self):
        """None while the thread is on its stack."""
        return None if self.on_thread else registers_at(self.saved(), self.block["machine"])

    def used(self):
        registers = self.registers()
        sp = self.scheduler.sp if registers is None else registers.get("rsp", registers.get("sp"))
        return self.top - sp

    def begins_with(self):
        return symbol_at(number(self.block["ops"]["run"])) if self.state == "fresh" else ""


def scheduler_of_thread():
    """The selected thread's, as a value; None if it has none."""
    scheduler_type = gdb.lookup_type(DETAIL + "scheduler").pointer()
    try:
        value = gdb.parse_and_eval(f"'{DETAIL}current_scheduler'")
        return value.dereference() if int(value) != 0 else None
    except gdb.error:
        pass
    # Thread-local variables cannot be read: no libthread_db, or another C library. Then a frame may know.
    frame = gdb.newest_frame()
    while frame is not None:
        if (frame.name() or "").startswith(DETAIL + "task_main"):
            with contextlib.suppress(gdb.error, ValueError):
                block = frame.read_var("block").cast(gdb.lookup_type(DETAIL + "task_block").pointer())
                return block["home"].dereference()
        for name, member in (("s", None), ("h", "ext_state")):
            try:
                value = frame.read_var(name)
                if value.type.code == gdb.TYPE_CODE_REF:
                    value = value.referenced_value()
                if str(value.type.unqualified()) not in (DETAIL + "scheduler", DETAIL + "hub"):
                    continue
                if member is None:
                    return value
                if int(value[member]) != 0:
                    return value[member].cast(scheduler_type).dereference()
            except (gdb.error, ValueError):
                continue
        frame = frame.older()
    return None


def schedulers():
    inferior = gdb.selected_inferior()
    if not inferior.threads():
        raise gdb.GdbError("The program is not being run, and there is no core dump.")
    try:
        gdb.lookup_type(DETAIL + "task_block")
    except gdb.error:
        raise gdb.GdbError("No tasks are known: the library has no debug information, or the program is without it.")
    for thread in sorted(inferior.threads(), key=lambda t: t.num):
        thread.switch()
        value = scheduler_of_thread()
        if value is not None:
            yield found_scheduler(thread, value)


def all_tasks():
    return [task for scheduler in schedulers() for task in scheduler.tasks()]


def kilobytes(size):
    return f"{size >> 20}M" if size >= 1 << 20 and size % (1 << 20) == 0 else f"{size / 1024:.1f}K".replace(".0K", "K")


# -- core dumps


def write_core(path):
    """gcore, and then what it lacks: it gives up on a mapping at the first page that cannot be read, and in the middle
    of each slab of stacks lie guards."""
    tasks = all_tasks()
    gdb.execute(f"gcore {path}")
    inferior = gdb.selected_inferior()
    with open(path, "r+b") as core:
        header = core.read(64)
        if header[:4] != b"\x7fELF" or header[4] != 2:
            raise gdb.GdbError(f"{path} is no core dump of 64 bits")
        order = "<" if header[5] == 1 else ">"
        (table,) = struct.unpack_from(order + "Q", header, 32)
        size, count = struct.unpack_from(order + "HH", header, 54)
        core.seek(table)
        segments = [struct.unpack_from(order + "IIQQQQQQ", core.read(size)) for _ in range(count)]
        for t in tasks:
            # From where it stands, and a page more for what is below the stack pointer, up to where its place ends.
            begin = max(t.bottom, t.top - t.used() - 4096 & ~4095)
            end = t.top + 4095 & ~4095
            for kind, _, offset, address, _, in_file, _, _ in segments:
                if kind == 1 and address <= begin and end <= address + in_file:
                    core.seek(offset + begin - address)
                    core.write(inferior.read_memory(begin, end - begin))
                    break
            else:
                print(f"The stack of task {t.id} has no place in {path}.")


# -- the commands


def plain_errors(invoke):
    """What goes wrong is one line, and no trace of this script."""
    def wrapped(self, arguments, from_tty):
        try:
            invoke(self, arguments, from_tty)
        except gdb.GdbError:
            raise
        except gdb.error as e:
            raise gdb.GdbError(str(e))
    return wrapped


class info_tasks(gdb.Command):
    """The tasks that have not ended, of all threads.
Usage: info tasks
A star is before the one that the selected thread runs. "Stack" is how deep the task stands now, and the size of its
stack. "Waits for" is the kind of wait; for a task that never ran, what it will begin with."""

    def __init__(self):
        super().__init__("info tasks", gdb.COMMAND_STATUS)

    @plain_errors
    def invoke(self, arguments, from_tty):
        with place_kept():
            here = gdb.selected_thread()
            rows = [("", "Id", "Name", "State", "Thread", "Stack", "Waits for")]
            for t in all_tasks():
                state = t.state + (", canceled" if t.block["canceled"] else "")
                size = STACK_BYTES[enumerator(t.block["size_class"])]
                thread = t.scheduler.thread.num
                rows.append(("*" if t.on_thread and thread == here.num else "", str(t.id), t.name, state, str(thread),
                             f"{kilobytes(t.used())} of {kilobytes(size)}", t.waits_for or t.begins_with()))
            if len(rows) == 1:
                print("No tasks.")
                return
            widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
            for row in rows:
                print(" ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


def run_on(scheduler, registers, command):
    scheduler.thread.switch()
    if registers is None:
        gdb.newest_frame().select()
        gdb.execute(command)
        return
    with standing_at(registers):
        gdb.execute(command)


class task_command(gdb.Command):
    """Runs a command of gdb as if the thread stood where the task does.
Usage: task ID-OR-NAME [COMMAND]
       task apply all COMMAND
       task hub COMMAND
       task core FILE
"task 3 bt" is its backtrace, "task 3 frame 2" and "task 3 info locals" look around in it. Frames of a task that does
not run count from 1. "hub" is the stack on which the selected thread's loop runs. "task core" is gcore,
with the stacks of tasks that gcore leaves out where guards are light. Nothing is changed: no register is
written, and the same thread and frame are selected afterwards."""

    def __init__(self):
        super().__init__("task", gdb.COMMAND_STACK)

    @plain_errors
    def invoke(self, arguments, from_tty):
        word, _, rest = arguments.strip().partition(" ")
        rest = rest.strip()
        if not word:
            raise gdb.GdbError("Usage: task ID-OR-NAME [COMMAND], task apply all COMMAND, task hub COMMAND, task core FILE")
        with place_kept():
            here = gdb.selected_thread().num
            if word == "hub":
                for scheduler in schedulers():
                    if scheduler.thread.num == here:
                        return run_on(scheduler, scheduler.hub_registers(), rest or "frame")
                raise gdb.GdbError("This thread has no loop with tasks.")
            if word == "core":
                return write_core(rest or f"core.{gdb.selected_inferior().pid}")
            tasks = all_tasks()
            if word == "apply":
                which, _, command = rest.partition(" ")
                if which != "all" or not command.strip():
                    raise gdb.GdbError("Usage: task apply all COMMAND")
                for t in tasks:
                    self.tell(t)
                    try:
                        run_on(t.scheduler, t.registers(), command)
                    except gdb.error as e:
                        print(e)
                return None
            if word[0] in "\"'" and word[0] in arguments.strip()[1:]:  # a name with blanks
                word, _, rest = arguments.strip()[1:].partition(word[0])
            chosen = [t for t in tasks if str(t.id) == word or t.name == word]
            if not chosen:
                raise gdb.GdbError(f"There is no task {word}; see \"info tasks\".")
            if len(chosen) > 1:
                raise gdb.GdbError(f"{len(chosen)} tasks are called {word}; say which by its number.")
            self.tell(chosen[0])
            return run_on(chosen[0].scheduler, chosen[0].registers(), rest.strip() or "frame")

    def tell(self, t):
        more = f", waits for {t.waits_for}" if t.waits_for else ""
        if t.state == "fresh":
            more = f", begins with {t.begins_with()}"
        print(f"\nTask {t.id} \"{t.name}\", {t.state}{more}:")


gdb.unwinder.register_unwinder(None, UNWINDER, replace=True)
gdb.frame_filters["spruce-task"] = hide_innermost(UNWINDER)
info_tasks()
task_command()
