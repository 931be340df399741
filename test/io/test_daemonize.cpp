// Becoming a daemon. What the daemon finds it writes into a pipe, which its end closes.
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../harness/forked.hpp"
#include "../harness/harness.hpp"
#include <spruce/spruce.hpp>

using namespace spruce;
using namespace std::chrono_literals;

namespace {
// Whatever interrupts it.
ssize_t read_once(int fd, char* room, std::size_t size) {
    ssize_t got;
    do got = ::read(fd, room, size);
    while (got < 0 && errno == EINTR);
    return got;
}

// What the daemon, which runs `body`, wrote into the fd that it is given; in the caller, once the daemon has ended.
template <class Body> result<std::string> said_by_daemon(std::string const& pidfile, Body body) {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    auto const side = daemonize(pidfile);
    if (side && *side == fork_side::child) {
        ::close(ends[0]);
        std::string const text = body();
        bool const told = ::write(ends[1], text.data(), text.size()) == static_cast<ssize_t>(text.size());
        ::_exit(told ? 0 : 1);
    }
    ::close(ends[1]);
    std::string text;
    char piece[256];
    for (ssize_t n; (n = read_once(ends[0], piece, sizeof piece)) > 0;) text.append(piece, static_cast<std::size_t>(n));
    ::close(ends[0]);
    if (!side) {
        CHECK_EQ(text, "");
        return side.error();
    }
    return text;
}

std::string place_of(int fd) {
    struct stat is{}, null{};
    return ::fstat(fd, &is) == 0 && ::stat("/dev/null", &null) == 0 && is.st_rdev == null.st_rdev ? "null" : "other";
}
std::string content(std::string const& path) {
    std::ifstream in(path);
    return std::string(std::istreambuf_iterator<char>(in), {});
}
// A folder for pidfiles, gone at the end.
struct folder {
    folder() { REQUIRE(::mkdtemp(path) != nullptr); }
    ~folder() {
        ::unlink((std::string(path) + "/pid").c_str());
        ::rmdir(path);
    }
    char path[32] = "/tmp/spruce-daemon.XXXXXX";
};
}  // namespace

TEST("a daemon has a session that it does not lead, / and /dev/null, and keeps the other fds") {
    auto const said = said_by_daemon("", [] {
        char where[64] = "";
        std::string seen = ::getcwd(where, sizeof where) ? where : "nowhere";
        for (int fd = 0; fd != 3; ++fd) seen += " " + place_of(fd);
        seen += ::getsid(0) != ::getpid() ? " led by another" : " leads it";
        return seen + " " + std::to_string(::getsid(0));
    });
    REQUIRE(said.ok());
    std::string const wanted = "/ null null null led by another ";
    CHECK_EQ(said->substr(0, wanted.size()), wanted);
    CHECK(said->substr(wanted.size()) != std::to_string(::getsid(0)));
    CHECK(place_of(1) == "other");   // the caller keeps its own
}

TEST("a daemon's pidfile has its number before the caller goes on, and is locked while it lives") {
    folder here;
    std::string const file = std::string(here.path) + "/pid";
    std::ofstream(file) << "what an earlier one left, and longer";
    int hold[2], word[2];
    REQUIRE(::pipe(hold) == 0);
    REQUIRE(::pipe(word) == 0);
    auto const side = daemonize(file);
    REQUIRE(side.ok());
    if (*side == fork_side::child) {
        std::string const me = std::to_string(::getpid());
        ::close(hold[1]);
        static_cast<void>(::write(word[1], me.data(), me.size()));
        char none;
        static_cast<void>(read_once(hold[0], &none, 1));   // until the caller lets go
        ::_exit(0);
    }
    ::close(word[1]);
    ::close(hold[0]);
    char number[32] = "";
    REQUIRE(read_once(word[0], number, sizeof number - 1) > 0);
    CHECK_EQ(content(file), std::string(number) + "\n");
    auto const second = daemonize(file);
    CHECK(second == errc::already_registered);
    CHECK(std::strstr(second.error().detail(), "locked") != nullptr);
    CHECK_EQ(content(file), std::string(number) + "\n");
    ::close(hold[1]);
    char end;
    CHECK_EQ(read_once(word[0], &end, 1), 0);   // it has ended, and with it the lock
    ::close(word[0]);
    auto const third = said_by_daemon(file, [] { return std::to_string(::getpid()); });
    REQUIRE(third.ok());
    CHECK_EQ(content(file), *third + "\n");
}

TEST("what fails before a daemon runs is told to who called, by name, and nothing is left") {
    folder here;
    auto const nowhere = daemonize(std::string(here.path) + "/none/pid");
    CHECK(!nowhere.ok() && nowhere.error() == error::from_errno(ENOENT));
    CHECK(std::strstr(nowhere.error().detail(), "pidfile") != nullptr);
    CHECK(daemonize(std::string(5'000, 'x')) == errc::too_long);
    CHECK(daemonize(std::string_view("/tmp/a\0b", 8)) == errc::invalid_argument);
    // This one fails in the daemon: its caller hears of it all the same.
    auto const unwritable = said_by_daemon("/dev/full", [] { return std::string("ran"); });
    REQUIRE(!unwritable.ok());
    CHECK(std::strstr(unwritable.error().detail(), "cannot be written") != nullptr);
}

TEST("where no process can be made, that is what the caller hears, and not that somebody holds the pidfile") {
    auto const e = harness::forked([] {
        rlimit const none{0, 0};
        if (::getuid() == 0 && (::setgid(65'534) != 0 || ::setuid(65'534) != 0)) ::_exit(77);
        if (::setrlimit(RLIMIT_NPROC, &none) != 0) ::_exit(77);
        auto const side = daemonize();
        if (side && *side == fork_side::child) ::_exit(77);
        ::_exit(side == error::from_errno(EAGAIN) ? 0 : 1);
    });
    REQUIRE(WIFEXITED(e.status));
    if (WEXITSTATUS(e.status) == 77) harness::skip("nobody is held to a number of processes here");
    CHECK_EQ(e.said, "");
    CHECK_EQ(WEXITSTATUS(e.status), 0);
}

TEST("a daemon is refused while a loop lives, on whatever thread, and not once it is gone") {
    {
        loop l;
        CHECK(daemonize() == errc::wrong_state);
        std::thread([] { CHECK(daemonize() == errc::wrong_state); }).join();
    }
    CHECK_EQ(said_by_daemon("", [] { return std::string("runs"); }).value(), "runs");
}

TEST("a daemon runs a loop with tasks") {
    auto const turn = [] {
        auto const slept = run([] { return sleep_for(1ms); });
        return std::string(slept.ok() ? "slept" : slept.error().name());
    };
    CHECK_EQ(said_by_daemon("", turn).value(), "slept");
}

TEST("a caller whose standard fds are closed gets a daemon, too") {
    if (harness::option("host") == "libuv") harness::skip("libuv's fork handler ends a process whose fds it finds among those");
    int kept[3];
    for (int fd = 0; fd != 3; ++fd) {
        kept[fd] = ::fcntl(fd, F_DUPFD_CLOEXEC, 10);
        ::close(fd);
    }
    // Its pipe's ends have the numbers 0 and 1, and are the daemon's to keep or to lose: here a pidfile tells.
    folder here;
    std::string const file = std::string(here.path) + "/pid";
    auto const side = daemonize(file);
    if (side && *side == fork_side::child) ::_exit(place_of(0) == "null" && place_of(2) == "null" ? 0 : 1);
    for (int fd = 0; fd != 3; ++fd) {
        if (kept[fd] >= 0) ::dup2(kept[fd], fd);
        if (kept[fd] >= 0) ::close(kept[fd]);
    }
    CHECK(side.ok());
    CHECK(std::atoi(content(file).c_str()) > 1);
}
