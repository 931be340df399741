// What every host's guest does, and what is asked of it: timers, sockets, tasks and calls from another thread all ride
// through the host; with nothing to do, no turn comes; the end leaves no thread behind.
#pragma once
#include <atomic>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <thread>

#include <sys/socket.h>
#include <unistd.h>

#include <spruce/spruce.hpp>

namespace foreign {

// Counts what holds. main() ends with its code.
class checks {
public:
    explicit checks(char const* host) : host_(host) { std::setvbuf(stdout, nullptr, _IOLBF, 0); }
    void expect(bool holds, char const* what) {
        std::printf("%s  %s: %s\n", holds ? "ok" : "FAILED", host_, what);
        if (!holds) ++failed_;
    }
    int code() const { return failed_ == 0 ? 0 : 1; }

private:
    char const* host_;
    int failed_ = 0;
};

inline long threads_of_process() {
    using std::filesystem::directory_iterator;
    return std::distance(directory_iterator("/proc/self/task"), directory_iterator());
}
inline double processor_seconds() {
    timespec now{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

// Looks on while nothing is to happen: a thread that notes how often each of the others has gone to sleep, a little after it
// was made and a little before `all` is over. Who woke up in between went to sleep again.
class idle_watch {
public:
    enum class of { every_thread, all_but_this };
    idle_watch(std::chrono::milliseconds all, of whom = of::every_thread)
        : thread_([this, all, left_out = whom == of::every_thread ? 0 : ::gettid()] {
              std::this_thread::sleep_for(all / 5);
              auto const before = sleeps(left_out);
              std::this_thread::sleep_for(all * 7 / 10);
              for (auto const& [id, count] : sleeps(left_out)) {
                  auto const known = before.find(id);
                  woken_ += known == before.end() ? 1 : count - known->second;
              }
          }) {}
    ~idle_watch() {
        if (thread_.joinable()) thread_.join();
    }
    // How often any of them woke up.
    long woken() {
        thread_.join();
        return woken_;
    }

private:
    static std::map<long, long> sleeps(long left_out) {
        std::map<long, long> counts;
        for (auto const& entry : std::filesystem::directory_iterator("/proc/self/task")) {
            long const id = std::stol(entry.path().filename().string());
            if (id == left_out || id == ::gettid()) continue;
            std::ifstream status(entry.path() / "status");
            for (std::string line; std::getline(status, line);)
                if (line.rfind("voluntary_ctxt_switches:", 0) == 0) counts[id] = std::stol(line.substr(line.find(':') + 1));
        }
        return counts;
    }
    std::atomic<long> woken_{0};
    std::thread thread_;
};

// Begins it all on the loop, whose host is to be run then; all_done() is called in the loop, once, when it is over.
class ride {
public:
    ride(spruce::loop& on, std::function<void()> all_done) : loop_(on), all_done_(std::move(all_done)) {
        turns_hook_ = loop_.on_turn([this] { ++turns_; });
        begin_timer();
        begin_sockets();
        begin_thread();
    }
    ~ride() {
        if (caller_.joinable()) caller_.join();
        turns_hook_.cancel();
    }
    ride(ride const&) = delete;
    ride& operator=(ride const&) = delete;

    void check(checks& all) const {
        all.expect(ticks_ == 20, "a timer ticks twenty times");
        all.expect(echoed_ == 200, "two tasks pass two hundred lines through a socket");
        all.expect(called_ == 300, "three hundred calls come from another thread");
        all.expect(answer_ == 42, "a call from another thread has its answer");
        all.expect(elsewhere_ == 0, "everything runs on the host's thread");
    }
    // The turns so far.
    long turns() const { return turns_; }

private:
    void here() {
        if (std::this_thread::get_id() != home_) ++elsewhere_;
    }
    void one_done() {
        here();
        if (++over_ == 3) loop_.call_soon(all_done_);
    }
    void begin_timer() {
        using namespace std::chrono_literals;
        ticking_ = loop_.call_every(3ms, [this] {
            here();
            if (++ticks_ != 20) return;
            ticking_.cancel();
            one_done();
        });
    }
    void begin_sockets() {
        int ends[2] = {-1, -1};
        if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return;
        spruce::spawn([this, fd = ends[0]]() -> spruce::result<void> {
            SPRUCE_TRY(auto client, spruce::stream::adopt(fd));
            spruce::reader answers(client);
            for (int n = 0; n != 200; ++n) {
                SPRUCE_CHECK(client.write("line " + std::to_string(n) + "\n"));
                SPRUCE_TRY(auto const line, answers.read_line());
                here();
                if (line == "line " + std::to_string(n)) ++echoed_;
            }
            SPRUCE_CHECK(client.shut_write());
            return {};
        });
        spruce::spawn([this, fd = ends[1]]() -> spruce::result<void> {
            SPRUCE_TRY(auto server, spruce::stream::adopt(fd));
            char room[256];
            for (;;) {
                auto const n = server.read(room);
                if (n == spruce::errc::end_of_stream) break;
                SPRUCE_CHECK(n);
                SPRUCE_CHECK(server.write({room, *n}));
            }
            one_done();
            return {};
        });
    }
    void begin_thread() {
        caller_ = std::thread([this, door = loop_.remote()] {
            for (int n = 0; n != 300; ++n) {
                while (!door.call([this] { here(), ++called_; }).ok()) std::this_thread::yield();   // the inbox is full
                if (n % 50 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
            }
            auto const answer = door.call_wait([this] { return here(), 42; });
            static_cast<void>(door.call([this, answer] {
                answer_ = answer.value_or(0);
                one_done();
            }));
        });
    }

    spruce::loop& loop_;
    std::function<void()> all_done_;
    std::thread::id const home_ = std::this_thread::get_id();
    spruce::handler turns_hook_, ticking_;
    std::thread caller_;
    long turns_ = 0;
    int ticks_ = 0, echoed_ = 0, called_ = 0, answer_ = 0, elsewhere_ = 0, over_ = 0;
};

}  // namespace foreign
