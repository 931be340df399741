// How the cost of a signal grows with its handlers, 1 to 1,000: one arrival, per handler that it runs; and a handler added
// and canceled beside n. With few handlers the arrival itself is what costs: the kernel's, a pipe, a poll.
#include <spruce/spruce.hpp>

#include <csignal>
#include <string>
#include <vector>

#include "measure.hpp"

namespace {
std::string name_of(char const* what, long n) { return std::string("grow_signal_") + what + "_" + std::to_string(n); }

void race(long n, measure::effort const& e) {
    spruce::loop hub;
    long ran = 0;
    std::vector<spruce::handler> handlers;
    for (long i = 0; i < n; ++i) handlers.push_back(*hub.add_signal_handler(SIGUSR1, [&ran] { ++ran; }));
    measure::contest arrival(name_of("handlers", n));
    arrival.enter("spruce", [&] {
        long const arrivals = e.of(100'000) / (n + 10) + 1;
        std::int64_t const begin = measure::cpu_ns();
        for (long i = 0; i < arrivals; ++i) {
            ran = 0;
            static_cast<void>(::raise(SIGUSR1));
            static_cast<void>(hub.run_until([&] { return ran == n; }));
        }
        return static_cast<double>(measure::cpu_ns() - begin) / static_cast<double>(arrivals * n);
    });
    arrival.run(e);
    measure::contest add(name_of("add_cancel", n));
    add.enter("spruce", [&] {
        long const operations = e.of(100'000);
        std::int64_t const begin = measure::cpu_ns();
        for (long i = 0; i < operations; ++i) hub.add_signal_handler(SIGUSR1, [] {})->cancel();
        return static_cast<double>(measure::cpu_ns() - begin) / static_cast<double>(operations);
    });
    add.run(e);
    for (spruce::handler& one : handlers) one.cancel();
}
}  // namespace

int main(int count, char** arguments) {
    measure::pin();
    measure::effort const e(count, arguments);
    for (long n = 1; n <= 1'000; n *= 10) race(n, e);
}
