// A simulated kernel with one poller on it, for tests below the loop.
#pragma once
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include <spruce/testing.hpp>

#include "../../src/sys/kernel.hpp"
#include "../harness/harness.hpp"

namespace {

using namespace spruce;
using namespace spruce::detail;
using namespace std::chrono_literals;

struct simulated_world {
    testing::simulation sim;
    kernel& on = *sim.on();
    kernel_calls const& calls = *on.calls;
    kernel::made_poller poller;
    poll_event events[64];

    explicit simulated_world(testing::simulation_options options = {}) : sim(with_patience(options)) {
        REQUIRE(on.make_poller(on.context, 0, {}, &poller) == 0);
    }
    ~simulated_world() { poller.calls->close(poller.context); }

    // Whoever waits for ever in these tests has no other thread to wait for.
    static testing::simulation_options with_patience(testing::simulation_options options) {
        if (options.stuck_after == testing::simulation_options{}.stuck_after) options.stuck_after = duration::zero();
        return options;
    }
    int change(int fd, std::uint32_t generation, int before, int wanted) {
        poll_change c{fd, generation, static_cast<std::uint8_t>(before), static_cast<std::uint8_t>(wanted), 1};
        poller.calls->change(poller.context, &c, 1);
        return c.result;
    }
    int watch(int fd, int wanted = interest_read) { return change(fd, static_cast<std::uint32_t>(fd), interest_none, wanted); }
    int wait(duration timeout = {}, int room = 64) { return poller.calls->wait(poller.context, events, room, timeout.count()); }
    int wait_for_ever() { return poller.calls->wait(poller.context, events, 64, -1); }
    // What the poller says of an fd now; 0 for nothing.
    unsigned ready(int fd) {
        int const count = wait();
        for (int i = 0; i < count; ++i)
            if (events[i].fd == fd) return events[i].ready;
        return 0;
    }
    std::string take(int fd, std::size_t most = 4'096) {
        std::string got(most, '\0');
        auto const took = sim.read(fd, got.data(), most);
        got.resize(took ? *took : 0);
        return got;
    }
    // Writes until no more is taken; says how much was.
    std::size_t fill(int fd) {
        std::string const block(4'096, 'x');
        std::size_t all = 0;
        while (auto const took = sim.write(fd, block)) all += *took;
        return all;
    }
    std::size_t drain(int fd) {
        char block[4'096];
        std::size_t all = 0;
        while (auto const took = sim.read(fd, block, sizeof block)) all += *took;
        return all;
    }
    // The client's and the server's end.
    std::pair<int, int> connected() {
        int const l = *sim.listen();
        int const client = *sim.connect(*sim.port_of(l));
        int const server = *sim.accept(l);
        CHECK(sim.close(l).ok());
        return {client, server};
    }
    int failure(result<std::size_t> const& r) { return r ? 0 : r.error().errno_value(); }
};

}  // namespace
