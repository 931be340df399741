// The side of the harness that starts tests: each by fork and exec of this program with the test's number.
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <dirent.h>
#include <fcntl.h>
#include <fstream>
#include <poll.h>
#include <csignal>
#include <iterator>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "guest_runs.hpp"
#include "runner.hpp"
#include "spoiled.hpp"

using namespace harness;

namespace {
long open_fds() noexcept {
    DIR* const dir = ::opendir("/proc/self/fd");
    if (!dir) return 0;
    long count = -1;   // opendir's own
    while (dirent const* const e = ::readdir(dir)) count += e->d_name[0] != '.';
    ::closedir(dir);
    return count;
}

double now() {
    timespec t{};
    ::clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

struct running {
    test_case const* test = nullptr;
    pid_t pid = -1;
    int out = -1;
    double deadline = 0, began = 0;
    bool timed_out = false;
    std::string text{};
};

std::string suite_of(char const* file) {
    std::string path = file;
    std::size_t const at = path.rfind("test/");
    if (at != std::string::npos) path = path.substr(at + 5);
    if (std::size_t const dot = path.rfind('.'); dot != std::string::npos) path.resize(dot);
    return path;
}

running start(test_case const& t, int number, char** argv, std::vector<std::string> const& passed, int slack) {
    int ends[2];
    if (::pipe(ends) != 0) std::abort();
    running r;
    r.test = &t;
    r.began = now();
    r.deadline = r.began + t.time_limit_s * (chosen.nightly || !how.each.empty() ? 60 : 1) * slack;
    std::fflush(stdout);
    int const self = ::getpid();
    r.pid = ::fork();
    if (r.pid == 0) {
        ::setpgid(0, 0);   // so that what a test leaves running goes with it
        end_with_parent(self);
        ::dup2(ends[1], 1);
        ::dup2(ends[1], 2);
        int const null = ::open("/dev/null", O_RDONLY);
        ::dup2(null, 0);
        for (int fd = 3; fd < 64; ++fd) ::close(fd);
        std::string const which = std::to_string(number);
        std::vector<char*> words{argv[0], const_cast<char*>("--run-one"), const_cast<char*>(which.c_str())};
        for (auto const& p : passed) words.push_back(const_cast<char*>(p.c_str()));
        words.push_back(nullptr);
        if (!chosen.under.empty()) {
            // An emulator: it is this machine's program, and takes ours as its argument.
            words.insert(words.begin(), const_cast<char*>(chosen.under.c_str()));
            ::execvp(words[0], words.data());
            ::_exit(126);
        }
        ::execv("/proc/self/exe", words.data());
        ::execv(argv[0], words.data());
        ::_exit(126);
    }
    ::close(ends[1]);
    ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
    ::fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    r.out = ends[0];
    return r;
}

// Reads what there is; true at the end.
bool drain(running& r) {
    char room[4096];
    for (;;) {
        ssize_t const n = ::read(r.out, room, sizeof room);
        if (n > 0) {
            if (r.text.size() < 65'536) r.text.append(room, static_cast<std::size_t>(n));
            continue;
        }
        if (n < 0 && errno == EINTR) continue;
        return n == 0;
    }
}

enum class verdict { passed, failed, skipped };

verdict judge(running& r, int status, std::string& why) {
    test_case const& t = *r.test;
    if (r.timed_out) return why = "time is up", verdict::failed;
    if (WIFEXITED(status) && WEXITSTATUS(status) == exit_skipped)
        return why = r.text.substr(0, r.text.find('\n')), verdict::skipped;
    if (t.dies_with && how.each.empty()) {
        // Sanitizers end a process by an exit code of their own instead of the signal.
        bool const died = WIFSIGNALED(status) || (WIFEXITED(status) && WEXITSTATUS(status) == 99);
        if (!died) return why = "it lives on", verdict::failed;
        if (r.text.find(t.dies_with) == std::string::npos) return why = std::string("it dies without saying: ") + t.dies_with, verdict::failed;
        return verdict::passed;
    }
    if (WIFSIGNALED(status)) return why = std::string("it dies by ") + strsignal(WTERMSIG(status)), verdict::failed;
    int const code = WEXITSTATUS(status);
    if (code == 0) return verdict::passed;
    if (code != exit_failed) why = "it ends with code " + std::to_string(code);
    return verdict::failed;
}

// Of the tests that a run before, whose output is in `path`, had to skip.
std::set<std::string> skipped_in(char const* path) {
    std::set<std::string> names;
    std::ifstream log(path);
    for (std::string line; std::getline(log, line);) {
        if (line.rfind("skipped ", 0) == 0) names.insert(line.substr(8, line.rfind(" (") - 8));
    }
    return names;
}

bool has_one_of(std::string const& text, std::vector<std::string> const& parts) {
    return std::any_of(parts.begin(), parts.end(), [&](std::string const& part) { return text.find(part) != std::string::npos; });
}

// The options that a test's process is given, too.
constexpr std::string_view for_tests[] = {"--host", "--length", "--poller", "--waker", "--signals", "--kernel", "--each-failing",
                                          "--seconds", "--at", "--transfers", "--interrupts", "--refuse"};

int usage() {
    std::puts("usage: spruce-test [--filter TEXT]... [--without TEXT]... [--exact NAME] [--skipped-in LOG] [--list]\n"
              "                   [--jobs N] [--stop-at-failure]\n"
              "                   [--seed N] [--length ci|nightly] [--repeat N]\n"
              "                   [--poller epoll|poll|kqueue[-netbsd|-openbsd]] [--waker eventfd|pipe] [--signals pipe|signalfd]\n"
              "                   [--kernel real|simulated] [--host queue] [--slack N] [--under EMULATOR] [--verbose]\n"
              "                   [--each-failing calls|memory|mappings [--seconds N] [--at N]] [--transfers BYTES] [--interrupts 1]\n"
              "                   [--refuse 1: eventfd + 2: pidfd + 4: epoll]");
    return 2;
}
}  // namespace

int main(int argc, char** argv) {
    std::string exact;
    std::vector<std::string> any_of, none_of;
    std::optional<std::set<std::string>> among;
    bool list = false, verbose = false, stop_early = false;
    int jobs = 2, one = -1, repeat = 1, slack = 1;
    std::vector<std::string> passed;
    timespec t{};
    ::clock_gettime(CLOCK_REALTIME, &t);
    chosen.seed = static_cast<std::uint64_t>(t.tv_sec) * 1000 + static_cast<std::uint64_t>(t.tv_nsec) / 1'000'000;
    for (int i = 1; i < argc; ++i) {
        std::string const word = argv[i];
        if (word == "--list") { list = true; continue; }
        if (word == "--verbose") { verbose = true; continue; }
        if (word == "--stop-at-failure") { stop_early = true; continue; }
        if (i + 1 == argc) return usage();
        char const* const value = argv[++i];
        if (word == "--filter") any_of.push_back(value);
        else if (word == "--without") none_of.push_back(value);
        else if (word == "--exact") exact = value;
        else if (word == "--skipped-in") among = skipped_in(value);
        else if (word == "--jobs") jobs = std::atoi(value);
        else if (word == "--repeat") repeat = std::atoi(value);
        else if (word == "--slack") slack = std::atoi(value);
        else if (word == "--run-one") one = std::atoi(value);
        else if (word == "--seed") chosen.seed = std::strtoull(value, nullptr, 10);
        else if (word == "--length") chosen.nightly = std::strcmp(value, "nightly") == 0;
        else if (word == "--poller") chosen.poller = value;
        else if (word == "--waker") chosen.waker = value;
        else if (word == "--signals") chosen.signals = value;
        else if (word == "--kernel") chosen.kernel = value;
        else if (word == "--host") chosen.host = value;
        else if (word == "--under") chosen.under = value;
        else if (word == "--each-failing") how.each = value;
        else if (word == "--seconds") how.most_seconds = static_cast<unsigned>(std::atoi(value));
        else if (word == "--at") how.at = std::strtoull(value, nullptr, 10);
        else if (word == "--transfers") how.transfers = std::strtoul(value, nullptr, 10);
        else if (word == "--interrupts") how.interrupts = std::atoi(value) != 0;
        else if (word == "--refuse") how.refused = static_cast<unsigned>(std::atoi(value));
        else return usage();
        if (std::find(std::begin(for_tests), std::end(for_tests), word) != std::end(for_tests)) {
            passed.push_back(word);
            passed.push_back(value);
        }
    }
    passed.push_back("--seed");
    passed.push_back(std::to_string(chosen.seed));

    std::vector<test_case const*> all;
    for (test_case* c = first_case; c; c = c->next) all.push_back(c);
    if (one >= 0) {
        // A shell's background job, or a build's step, may have been started with these ignored.
        for (int const sig : {SIGINT, SIGTERM, SIGQUIT, SIGPIPE, SIGCHLD}) ::signal(sig, SIG_DFL);
        on_balance("open fds", open_fds);
        spoil_this_process();
        if (*chosen.host != '\0' && !run_in_host(chosen.host)) {
            std::printf("there is no host of the name %s here\n", chosen.host);
            return exit_failed;
        }
        test_case const& chosen_one = *all[static_cast<std::size_t>(one)];
        return how.each.empty() ? run_in_this_process(chosen_one) : run_every_failure(chosen_one);
    }

    struct job {
        int number;
    };
    std::vector<job> queue;
    for (int r = 0; r != repeat; ++r) {
        for (std::size_t i = 0; i != all.size(); ++i) {
            std::string const whole = suite_of(all[i]->file) + ": " + all[i]->name;
            bool const meant = (any_of.empty() || has_one_of(whole, any_of)) && !has_one_of(whole, none_of);
            if (!exact.empty() ? exact != all[i]->name : all[i]->hidden || !meant) continue;
            if (among && among->count(whole) == 0) continue;
            if (list) std::puts(whole.c_str());
            else queue.push_back({static_cast<int>(i)});
        }
    }
    if (list) return 0;

    int good = 0, bad = 0, skipped = 0;
    std::vector<running> live;
    std::size_t next = 0;
    while (next != queue.size() || !live.empty()) {
        if (stop_early && bad) next = queue.size();
        while (live.size() < static_cast<std::size_t>(jobs) && next != queue.size()) {
            int const number = queue[next++].number;
            live.push_back(start(*all[static_cast<std::size_t>(number)], number, argv, passed, slack));
        }
        std::vector<pollfd> fds;
        double soonest = now() + 1;
        for (auto const& r : live) {
            fds.push_back({r.out, POLLIN, 0});
            soonest = r.deadline < soonest ? r.deadline : soonest;
        }
        double const wait = soonest - now();
        ::poll(fds.data(), fds.size(), wait > 0 ? static_cast<int>(wait * 1000) + 1 : 0);
        for (std::size_t i = 0; i != live.size();) {
            running& r = live[i];
            bool ended = drain(r);
            int status = 0;
            if (!ended && ::waitpid(r.pid, &status, WNOHANG) == r.pid) {
                // Something it started still holds the pipe.
                drain(r);
                ended = true;
            } else if (ended) {
                while (::waitpid(r.pid, &status, 0) < 0 && errno == EINTR) {}
            }
            if (!ended && now() >= r.deadline) {
                r.timed_out = true;
                ::kill(-r.pid, SIGKILL);
                while (::waitpid(r.pid, &status, 0) < 0 && errno == EINTR) {}
                drain(r);
                ended = true;
            }
            if (!ended) {
                ++i;
                continue;
            }
            ::kill(-r.pid, SIGKILL);
            ::close(r.out);
            std::string why;
            verdict const v = judge(r, status, why);
            std::string const name = suite_of(r.test->file) + ": " + r.test->name;
            if (v == verdict::passed) {
                ++good;
                if (verbose) std::printf("ok      %6.2f s  %s\n", now() - r.began, name.c_str());
                if (verbose && !how.each.empty()) std::printf("        %s", r.text.c_str());   // how many of them
            } else if (v == verdict::skipped) {
                ++skipped;
                std::printf("skipped %s (%s)\n", name.c_str(), why.c_str());
            } else {
                ++bad;
                std::printf("FAILED  %s\n        %s (seed %llu)\n%s\n", name.c_str(), why.c_str(),
                            static_cast<unsigned long long>(chosen.seed), r.text.c_str());
            }
            std::fflush(stdout);
            live.erase(live.begin() + static_cast<std::ptrdiff_t>(i));
        }
    }
    if (skipped) std::printf("%d passed, %d failed, %d skipped\n", good, bad, skipped);
    else std::printf("%d passed, %d failed\n", good, bad);
    if (good + bad + skipped == 0) {
        std::puts("no test has such a name");
        return 2;
    }
    return bad ? 1 : 0;
}
