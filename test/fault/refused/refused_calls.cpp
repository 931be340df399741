// What a program meets whose sandbox refuses one system call: refused_calls CALL ERRNO SCENE runs the scene with the call refused,
// by seccomp, from main() on. It prints what came of it, one line: "ok", or "refused: ERROR (DETAIL)" for an error that
// says so. A wrong answer, a crash or a hang is neither. tools/try-refusals runs all of them; docs/porting.md has the outcomes.
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <spruce/spruce.hpp>

using namespace spruce;
using namespace std::chrono_literals;

namespace {
// A call, or several that stand for each other, all refused.
struct call {
    char const* name;
    long numbers[4];   // those after the last: -1
};
#define CALL(name) {#name, {SYS_##name, -1, -1, -1}}
constexpr call calls[] = {
#if defined(SYS_pipe)   // those of x86 that newer processors do not have
    CALL(pipe), CALL(accept), CALL(epoll_wait), CALL(poll), CALL(dup2), CALL(fork),
    {"pipe2+pipe", {SYS_pipe2, SYS_pipe, -1, -1}},
    {"accept4+accept", {SYS_accept4, SYS_accept, -1, -1}},
    {"epoll_create1+eventfd2+pipe2", {SYS_epoll_create1, SYS_eventfd2, SYS_pipe2, -1}},
    {"epoll_wait+epoll_pwait2", {SYS_epoll_wait, SYS_epoll_pwait, SYS_epoll_pwait2, -1}},
    {"epoll_create1+poll", {SYS_epoll_create1, SYS_poll, SYS_ppoll, -1}},
#endif
#if defined(SYS_newfstatat)
    CALL(newfstatat),
    {"fstat+newfstatat", {SYS_fstat, SYS_newfstatat, -1, -1}},
#endif
    {"pidfd_open+wait4", {SYS_pidfd_open, SYS_wait4, -1, -1}},
    {"pidfd_open+rt_sigaction", {SYS_pidfd_open, SYS_rt_sigaction, -1, -1}},
    {"waitid+wait4", {SYS_waitid, SYS_wait4, -1, -1}},
    {"madvise+mprotect", {SYS_madvise, SYS_mprotect, -1, -1}},
    {"rt_sigpending+rt_sigtimedwait", {SYS_rt_sigpending, SYS_rt_sigtimedwait, -1, -1}},
    {"rt_sigpending+rt_sigtimedwait+rt_sigaction", {SYS_rt_sigpending, SYS_rt_sigtimedwait, SYS_rt_sigaction, -1}},
    CALL(pidfd_open), CALL(clone3), CALL(epoll_pwait2), CALL(process_madvise),
    CALL(epoll_create1), CALL(epoll_ctl), CALL(epoll_pwait), CALL(eventfd2), CALL(pipe2), CALL(ppoll), CALL(timerfd_create),
    CALL(signalfd4), CALL(rt_sigaction), CALL(rt_sigprocmask), CALL(rt_sigpending), CALL(rt_sigtimedwait), CALL(sigaltstack),
    CALL(kill), CALL(tgkill), CALL(waitid), CALL(wait4), CALL(clone), CALL(sched_yield), CALL(sched_getaffinity), CALL(getcpu),
    CALL(gettid), CALL(prctl), CALL(membarrier), CALL(getrandom), CALL(madvise), CALL(mprotect), CALL(mincore), CALL(process_vm_readv),
    CALL(mmap), CALL(munmap), CALL(fcntl), CALL(fstat), CALL(ioctl), CALL(socket), CALL(socketpair), CALL(bind), CALL(listen),
    CALL(accept4), CALL(connect), CALL(shutdown), CALL(getsockname), CALL(getpeername), CALL(getsockopt), CALL(setsockopt),
    CALL(sendto), CALL(sendmsg), CALL(recvfrom), CALL(writev), CALL(openat), CALL(getdents64), CALL(setsid), CALL(chdir),
    CALL(flock), CALL(ftruncate), CALL(clock_gettime), CALL(clock_nanosleep), CALL(prlimit64), CALL(set_robust_list),
};

// All threads that come later have it, too.
bool refuse(call const& c, int with) {
    auto const number = [&](int i) { return static_cast<unsigned>(c.numbers[i] < 0 ? c.numbers[0] : c.numbers[i]); };
    sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number(0), 3, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number(1), 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number(2), 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(with)),
    };
    sock_fprog program{static_cast<unsigned short>(sizeof filter / sizeof filter[0]), filter};
    return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

// Said without stdio's buffers and in one call, so that a child's or a dying process's is seen, too.
void say(std::string const& text) {
    iovec const all{const_cast<char*>(text.data()), text.size()};
    if (::write(1, text.data(), text.size()) < 0) static_cast<void>(!::syscall(SYS_pwritev2, 1, &all, 1, -1L, -1L, 0));
}
[[noreturn]] void end(std::string const& outcome, int code) {
    say(outcome + "\n");
    ::_exit(code);
}
[[noreturn]] void refused(error const& e) { end(std::string("refused: ") + e.name() + " (" + e.detail() + ")", 0); }
#define NEED(expression)                                             \
    do {                                                             \
        if (!(expression)) end("wrong: " #expression, 1);            \
    } while (false)
template <class R> decltype(auto) got(R&& r) {
    if (!r) refused(r.error());
    if constexpr (!std::is_same_v<std::decay_t<R>, result<void>>) return *std::forward<R>(r);
}
loop_options const plain{};

void timers() {
    loop l(plain);
    got(l.status());
    int beats = 0;
    auto const began = l.time();
    l.call_every(2ms, [&](handler h) { if (++beats == 3) h.cancel(); });
    got(l.run());
    NEED(beats == 3 && l.time() - began >= 6ms);
}
void threads() {
    auto other = got(loop_thread::start());
    NEED(got(run([&]() -> result<int> { return run_on(other.remote(), [] { return 7; }); })) == 7);
    NEED(got(other.remote().call_wait([] { return 8; })) == 8);
    got(other.stop());
    got(other.join());
}
void monitor() {
    loop l(plain);
    got(l.status());
    static std::atomic<int> told{0};
    auto const m = got(debug::watch_stalls(1ms, [](debug::stall const&, void*) noexcept { ++told; }, nullptr));
    l.call_soon([] { while (told == 0) {} });
    got(l.run());
}
void stacks() {
    loop l(plain);
    got(l.status());
    int sum = 0;
    for (std::size_t const size : {std::size_t{16} << 10, std::size_t{64} << 10, std::size_t{1} << 20})
        for (int i = 0; i != 40; ++i) {
            auto t = spawn({.stack_size = size}, [&] { volatile char room[8000]; room[0] = 1; static_cast<void>(yield()); sum += room[0]; });
            if (auto made = t.id() == task_id{} ? t.get() : result<void>(); !made) refused(made.error());
        }
    got(l.run());
    NEED(sum == 120);
}
void streams() {
    got(run(plain, [&]() -> result<void> {
        SPRUCE_TRY(auto ends, make_pipe());
        SPRUCE_CHECK(ends.write_end.write("through the pipe"));
        char room[64];
        SPRUCE_TRY(auto n, ends.read_end.read(room));
        NEED(std::string_view(room, n) == "through the pipe");
        ends.write_end.close();
        NEED(ends.read_end.read(room) == errc::end_of_stream);
        return {};
    }));
}
void sockets() {
    got(run(plain, [&]() -> result<void> {
        SPRUCE_TRY(auto at, tcp_listener::listen("127.0.0.1:0"));
        auto server = spawn([&]() -> result<void> {
            SPRUCE_TRY(auto peer, at.accept(in(1s)));
            char room[16];
            SPRUCE_TRY(auto n, peer.read(room, in(1s)));
            SPRUCE_CHECK(peer.write(std::string_view(room, n), in(1s)));
            return peer.shut_write();
        });
        SPRUCE_TRY(auto client, tcp_stream::connect(at.local(), in(1s)));
        SPRUCE_CHECK(client.no_delay(true));
        SPRUCE_CHECK(client.write("echo", in(1s)));
        char room[16];
        auto const n = client.read(room, in(1s));
        if (!n && server.done()) return server.get();
        SPRUCE_CHECK(n);
        NEED(std::string_view(room, *n) == "echo");
        auto const over = client.read(room, in(1s));
        if (over != errc::end_of_stream) return server.get();
        return server.get();
    }));
}
// An fd that the program has made is adopted, and one is watched by a callback.
void adopted() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0 && ::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) end("ok", 0);   // refused to this program itself
    got(run(plain, [&]() -> result<void> {
        SPRUCE_TRY(auto from, stream::adopt(ends[0]));
        SPRUCE_TRY(auto into, stream::adopt(ends[1]));
        SPRUCE_CHECK(into.write("x"));
        char room[8];
        SPRUCE_TRY(auto n, from.read(room));
        NEED(n == 1);
        return {};
    }));
}
void signals_by(bool by_fd) {
    if (by_fd) {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGUSR1);
        ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
    }
    loop l(loop_options{.use_signalfd = by_fd});
    got(l.status());
    int heard = 0;
    got(l.add_signal_handler(SIGUSR1, [&] { ++heard; }));
    if (::kill(::getpid(), SIGUSR1) != 0 && ::syscall(SYS_tkill, ::getpid(), SIGUSR1) != 0) end("ok", 0);   // refused to this program itself
    got(l.run_until([&] { return heard == 1; }, in(1s)));
}
void signals() { signals_by(false); }
void signalfd() { signals_by(true); }
void children() {
    loop l(plain);
    got(l.status());
    for (int const code : {3, 4}) {
        int const pid = ::fork();
        if (pid < 0) end("ok", 0);   // refused to this program itself
        if (pid == 0) ::_exit(code);
        int came = -1;
        error why = errc::closed;
        got(l.add_child_handler(pid, [&](result<exit_status> s) { came = s ? s->code() : -2, why = s ? why : s.error(); }));
        got(l.run_until([&] { return came != -1; }, in(1s)));
        if (came == -2) refused(why);
        NEED(came == code);
    }
}
// A write to a pipe without a reader inside a run; afterwards the process is as it was.
void broken_pipe() {
    got(run(plain, []() -> result<void> {
        SPRUCE_TRY(auto ends, make_pipe());
        ends.read_end.close();
        auto const n = ends.write_end.write("x");
        if (n) end("wrong: a write to nobody", 1);
        if (n.error().errno_value() != EPIPE) return n.error();
        return {};
    }));
}
void guest() {
    loop l(plain);
    got(l.status());
    static_cast<void>(l.backend_fd());
    got(l.prepare());
    int ran = 0;
    l.call_soon([&] { ++ran; });
    got(l.dispatch());
    NEED(ran == 1);
    std::optional<host_turn> last;
    std::atomic<bool> there{false};
    got(l.interleave([&](host_turn t) { last.emplace(std::move(t)), there = true; return true; }));
    l.call_later(2ms, [&] { ++ran; static_cast<void>(l.stop()); });
    for (int spins = 0; ran != 2 && spins != 100'000'000; ++spins) {
        if (!there.exchange(false)) continue;
        host_turn now = *std::exchange(last, std::nullopt);
        now();
    }
    NEED(ran == 2);
}
void forked() {
    loop l(plain);
    got(l.status());
    int beats = 0;
    l.call_every(1ms, [&] { ++beats; });
    got(l.run_until([&] { return beats == 1; }, in(1s)));
    int const pid = ::fork();
    if (pid < 0) end("ok", 0);
    if (pid == 0) {
        ::alarm(4);
        got(l.after_fork());
        got(l.run_until([&] { return beats == 3; }, in(1s)));
        ::_exit(0);
    }
    got(l.run_until([&] { return beats == 3; }, in(1s)));
    int status = 0;
    siginfo_t info{};
    if (::waitpid(pid, &status, 0) == pid) NEED(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    else if (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED) == 0) NEED(info.si_code == CLD_EXITED && info.si_status == 0);
}
void overflows() {
    auto const reports = got(debug::report_overflows());
    got(run(plain, [] { return 1; }));
}
void daemon() {
    auto const side = got(daemonize());
    if (side == fork_side::child) ::_exit(0);
}

constexpr struct {
    char const* name;
    void (*run)();
} scenes[] = {
    {"timers", timers}, {"threads", threads}, {"monitor", monitor}, {"stacks", stacks}, {"streams", streams}, {"sockets", sockets},
    {"adopted", adopted}, {"signals", signals}, {"signalfd", signalfd}, {"children", children}, {"broken_pipe", broken_pipe},
    {"guest", guest}, {"forked", forked}, {"overflows", overflows}, {"daemon", daemon},
};
constexpr struct {
    char const* name;
    int value;
} errors[] = {{"EPERM", EPERM}, {"EACCES", EACCES}, {"ENOSYS", ENOSYS}};

// One in a process of its own: its output, and how it ended.
std::string outcome(call const& c, int with, void (*scene)(), bool none) {
    int ends[2];
    if (::pipe(ends) != 0) return "no pipe";
    int const pid = ::fork();
    if (pid < 0) return "no process";
    if (pid == 0) {
        ::dup2(ends[1], 1);
        ::close(ends[0]);
        ::close(ends[1]);
        ::alarm(5);
        if (!none && !refuse(c, with)) end("no seccomp", 3);
        scene();
        end("ok", 0);
    }
    ::close(ends[1]);
    std::string said;
    char room[512];
    for (ssize_t n; (n = ::read(ends[0], room, sizeof room)) > 0 || (n < 0 && errno == EINTR);)
        if (n > 0) said.append(room, static_cast<std::size_t>(n));
    ::close(ends[0]);
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
    while (!said.empty() && said.back() == '\n') said.pop_back();
    if (WIFSIGNALED(status)) return "DIED of signal " + std::to_string(WTERMSIG(status)) + " " + said;
    if (WEXITSTATUS(status) != 0) return "FAILED " + said;
    return said.empty() ? "FAILED silently" : said;
}
}  // namespace

// refused_calls SHARD SHARDS [ERRNO…]: every call and scene, of each so many; lines "CALL ERRNO SCENE: OUTCOME".
int main(int count, char** words) {
    long const shard = count > 1 ? std::atol(words[1]) : 0, shards = count > 2 ? std::atol(words[2]) : 1;
    std::setvbuf(stdout, nullptr, _IONBF, 0);
    long n = 0;
    auto const mine = [&] { return n++ % shards == shard; };
    auto const wanted = [&](char const* name) {
        for (int i = 3; i < count; ++i)
            if (!std::strcmp(words[i], name)) return true;
        return count <= 3;
    };
    for (auto const& s : scenes)
        if (mine()) std::printf("nothing 0 %s: %s\n", s.name, outcome(calls[0], 0, s.run, true).c_str());
    for (auto const& c : calls)
        for (auto const& e : errors)
            for (auto const& s : scenes)
                if (wanted(e.name) && mine()) std::printf("%s %s %s: %s\n", c.name, e.name, s.name, outcome(c, e.value, s.run, false).c_str());
    return 0;
}
