#include "spoiled.hpp"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <new>
#include <numeric>
#include <string>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <spruce/faults.hpp>
#include <spruce/loop.hpp>

#include "../../src/loop/hub.hpp"
#include "../../src/sys/kernel.hpp"
#include "runner.hpp"

namespace harness {

spoilt how;

namespace {
using spruce::testing::faulty_kernel;

constexpr int most_kernels = 256;   // loops of one test; those beyond are not spoilt
alignas(faulty_kernel) unsigned char kernel_room[most_kernels][sizeof(faulty_kernel)];
int kernels = 0;
std::uint64_t fails_at = 0;

faulty_kernel& kernel_at(int i) { return *std::launder(reinterpret_cast<faulty_kernel*>(kernel_room[i])); }

spruce::kernel* in_front(spruce::kernel& of) noexcept {
    int const i = __atomic_fetch_add(&kernels, 1, __ATOMIC_RELAXED);
    if (i >= most_kernels) return &of;
    auto* const k = ::new (static_cast<void*>(kernel_room[i])) faulty_kernel(&of);
    k->fail_call(fails_at);
    k->limit_transfers(how.transfers);
    k->refuse(how.refused);
    return k->on();
}

// What a round tells its parent, beside its exit code.
struct shared_notes {
    bool ran_out;              // the body came to its end and nothing had failed: there is no n-th
    std::uint64_t counted;     // how many there are
    char struck[48];
};

std::uint64_t counted_calls() {
    std::uint64_t most = 0;
    for (int i = 0; i < kernels && i != most_kernels; ++i) most = kernel_at(i).calls() > most ? kernel_at(i).calls() : most;
    return most;
}
char const* struck_call() {
    for (int i = 0; i < kernels && i != most_kernels; ++i)
        if (kernel_at(i).struck()) return kernel_at(i).struck();
    return nullptr;
}

[[noreturn]] void round(test_case const& t, std::uint64_t n, shared_notes& notes) {
    refusals& memory = refused_allocations();
    refusals& mappings = refused_mapping_calls();
    // Where the test's own loop could not be made, it may have got the main thread's, which nobody destroys; and what
    // is in it may refer to what was the test's. Such a round is over here.
    before_balances = [] {
        if (spruce::detail::current_hub) give_up();
    };
    bool const calls = how.each == "calls";
    refusals& one = how.each == "memory" ? memory : mappings;
    if (calls) fails_at = n;
    else one = {0, n};
    int const code = run_in_this_process(t);
    notes.counted = calls ? counted_calls() : one.calls;
    char const* const struck = calls ? struck_call() : one.calls >= n && n != 0 ? how.each.data() : nullptr;
    notes.ran_out = !struck;
    std::snprintf(notes.struck, sizeof notes.struck, "%s", struck ? struck : "");
    std::fflush(stdout);
    ::_exit(code);
}

double now() {
    timespec t{};
    ::clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

struct outcome {
    int status = 0;
    bool hung = false;
    double seconds = 0, cpu_seconds = 0;
    std::string text{};
};

// One round in a fork. Its output comes through a file, so that nobody has to read along.
outcome fork_round(test_case const& t, std::uint64_t n, shared_notes& notes, double seconds) {
    outcome o;
    char name[] = "/tmp/spruce-round-XXXXXX";
    int const file = ::mkstemp(name);
    ::unlink(name);
    std::fflush(stdout);
    notes = {};
    int const self = ::getpid(), pid = ::fork();
    if (pid == 0) {
        ::setpgid(0, 0);
        end_with_parent(self);
        ::dup2(file, 1);
        ::dup2(file, 2);
        ::close(file);
        ::setvbuf(stdout, nullptr, _IOLBF, 0);   // what was said is known even if it hangs
        round(t, n, notes);
    }
    double const began = now(), until = began + seconds;
    timespec pause{0, 200'000};
    rusage used{};
    while (::wait4(pid, &o.status, WNOHANG, &used) == 0) {
        if (now() > until) {
            o.hung = true;
            ::kill(-pid, SIGKILL);
            ::kill(pid, SIGKILL);
            while (::wait4(pid, &o.status, 0, &used) < 0 && errno == EINTR) {}
            break;
        }
        ::nanosleep(&pause, nullptr);
        if (pause.tv_nsec < 20'000'000) pause.tv_nsec += pause.tv_nsec / 4;
    }
    o.seconds = now() - began;
    o.cpu_seconds = static_cast<double>(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                    static_cast<double>(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
    ::kill(-pid, SIGKILL);
    char room[4096];
    ::lseek(file, 0, SEEK_SET);
    for (ssize_t got; (got = ::read(file, room, sizeof room)) > 0 && o.text.size() < 16'384;) o.text.append(room, static_cast<std::size_t>(got));
    ::close(file);
    return o;
}

// What is wrong about a round, or null. That checks fail is not; nor that the test, which was made for a world without
// failures, waits for ever for what could not be begun, as long as it does so asleep; nor that it looks into a result
// which holds an error: it then ends by the library's word. (That each failure is told to somebody, and ends no wait
// silently, is the affair of test/fault.)
char const* fault_of(outcome const& o, outcome const& usual) {
    auto const says = [&](char const* what) { return o.text.find(what) != std::string::npos; };
    if (o.hung) return o.cpu_seconds > 0.05 + 4 * usual.cpu_seconds ? "it spins" : nullptr;
    if (says("waits for ever: nothing is ready")) return nullptr;
    if (says("not in balance")) return "it leaks";
    bool const misuse = says("the value asked of a result that holds an error") || says("(task_local:0)") ||
                        says("error() asked of a result that holds a value");
    if (WIFSIGNALED(o.status)) return misuse ? nullptr : "it dies";
    int const code = WEXITSTATUS(o.status);
    if (code == 0 || code == exit_failed || code == exit_skipped || misuse) return nullptr;
    return code == 99 ? "it dies" : "it ends oddly";   // 99: a sanitizer's
}

void nothing(int) {}
}  // namespace

bool interrupted() noexcept { return how.interrupts; }
bool cut_short() noexcept { return how.transfers != 0; }
bool spoilt_kernel() noexcept { return how.transfers != 0 || how.refused != 0 || how.each == "calls"; }

void spoil_this_process() {
    if (how.transfers || how.refused || how.each == "calls") spruce::detail::kernel_in_front = in_front;
    if (how.interrupts) {
        struct sigaction a {};
        a.sa_handler = nothing;
        ::sigaction(SIGRTMAX, &a, nullptr);
        sigevent to{};
        to.sigev_notify = SIGEV_SIGNAL;
        to.sigev_signo = SIGRTMAX;
        timer_t timer;
        if (::timer_create(CLOCK_MONOTONIC, &to, &timer) != 0) return;
        itimerspec const often{{0, 1'000'000}, {0, 1'000'000}};
        ::timer_settime(timer, 0, &often, nullptr);
    }
}

// 1, 2, 3, …; scattered: so that the first few are spread evenly over 1 … count, each once, and then count + 1, ….
class failures_in_turn {
public:
    failures_in_turn(std::uint64_t count, bool scattered, std::uint64_t seed) noexcept : count_(scattered ? count : 0) {
        if (count_ < 2) return;
        at_ = seed % count_;
        // Multiples of the golden section are spread evenly (Knuth, The Art of Computer Programming, vol. 3, 6.4).
        step_ = static_cast<std::uint64_t>(static_cast<double>(count_) * 0.6180339887498949);
        while (std::gcd(step_, count_) != 1) ++step_;
    }
    std::uint64_t next() noexcept {
        if (given_++ >= count_) return given_;
        std::uint64_t const n = at_ + 1;
        at_ = (at_ + step_) % count_;
        return n;
    }

private:
    std::uint64_t count_, given_ = 0, at_ = 0, step_ = 1;
};

int run_every_failure(test_case const& t) {
    if (t.dies_with) {
        std::puts("it is to die");
        return exit_skipped;
    }
    auto* const notes = static_cast<shared_notes*>(::mmap(nullptr, sizeof(shared_notes), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    if (notes == MAP_FAILED) return exit_failed;
    double const began = now();
    outcome const usual = fork_round(t, 0, *notes, how.most_seconds != 0 ? how.most_seconds : t.time_limit_s);
    double const alone = now() - began;
    if (usual.hung && how.most_seconds != 0) {
        std::puts("by itself it takes the seconds that there are for its rounds");
        return exit_skipped;
    }
    if (usual.hung || !WIFEXITED(usual.status) || WEXITSTATUS(usual.status) != 0) {
        std::printf("%s", WIFEXITED(usual.status) && WEXITSTATUS(usual.status) == exit_skipped ? usual.text.c_str() : "it fails by itself\n");
        return WIFEXITED(usual.status) && WEXITSTATUS(usual.status) == exit_skipped ? exit_skipped : exit_failed;
    }
    std::uint64_t const count = notes->counted;
    int bad = 0;
    std::string waits;   // the rounds that waited for ever
    std::uint64_t rounds = 0;
    failures_in_turn in_turn(count, how.most_seconds != 0, seed());
    // Rounds that hang take much longer than the usual one: only the clock knows how many there is time for.
    while (bad < 5 && (how.most_seconds == 0 || now() - began < how.most_seconds)) {
        std::uint64_t const n = how.at != 0 ? how.at : in_turn.next();
        double const seconds = 0.6 + alone * 10;
        outcome o = fork_round(t, n, *notes, seconds);
        // A loaded machine may take that long by itself: what spins does so with more time, too.
        if (o.hung && fault_of(o, usual)) o = fork_round(t, n, *notes, 5 * seconds);
        if (char const* const fault = fault_of(o, usual)) {
            std::printf("%s: when %.*s %llu%s%s fails\n%s", fault, static_cast<int>(how.each.size()), how.each.data(),
                        static_cast<unsigned long long>(n), notes->struck[0] ? ", " : "", notes->struck, o.text.c_str());
            ++bad;
        } else if (o.hung) {
            if (how.at != 0) std::printf("%s", o.text.c_str());   // it may say why
            waits += ' ' + std::to_string(n);
        }
        // Failures change what follows: there may be more calls than without.
        if (how.at != 0 || (notes->ran_out && n > count) || n > count * 2 + 100) break;
        ++rounds;
    }
    std::printf("%llu of %llu failures, %.1f s%s%s\n", static_cast<unsigned long long>(rounds), static_cast<unsigned long long>(count), now() - began,
                waits.empty() ? "" : "; for ever waited:", waits.c_str());
    return bad ? exit_failed : 0;
}

}  // namespace harness
