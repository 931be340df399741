// Inside a loop that is somebody else's: the host asks how long it may sleep, watches one fd beside its own, and gives
// a turn when it wakes.
// expect: a task counts 1
// expect: a task counts 2
// expect: a task counts 3
// expect: the host leaves its loop, the task gave 3
#include <cstdio>
#include <poll.h>
#include <spruce/spruce.hpp>
using namespace std::chrono_literals;

int main() {
    spruce::loop guest;
    if (!guest.status()) return 1;
    auto counter = spruce::spawn([]() -> spruce::result<int> {
        int n = 0;
        while (n != 3) {
            SPRUCE_CHECK(spruce::sleep_for(1ms));
            std::printf("a task counts %d\n", ++n);
        }
        return n;
    });
    while (!counter.done()) {
        auto until = guest.prepare();
        if (!until) return 1;
        pollfd watched{guest.backend_fd(), POLLIN, 0};
        if (::poll(&watched, 1, until->poll_timeout_ms()) < 0) return 1;
        if (!guest.dispatch()) return 1;
    }
    std::printf("the host leaves its loop, the task gave %d\n", counter.get().value_or(-1));
}
