// A service that beats, takes calls from callbacks, and stops on a signal: all in one wait.
// expect: beat
// expect: job 1
// expect: job 2
// expect: beat
// expect: stopped by a signal
#include <csignal>
#include <cstdio>
#include <spruce/spruce.hpp>
using namespace spruce;
using namespace std::chrono_literals;

int main() {
    auto all = run([]() -> result<void> {
        SPRUCE_TRY(loop& here, loop::current());
        every beat(20ms);
        called<int> jobs;           // a callable that can be waited for
        signaled stop(SIGTERM);     // listens from its first wait on
        int beats = 0;
        for (;;) {
            SPRUCE_TRY(auto won, wait_any(stop, jobs, beat));
            if (won.is(stop)) break;
            if (won.is(jobs)) {
                std::printf("job %d\n", won.get<1>().value_or(0));
                continue;
            }
            std::puts("beat");
            if (++beats == 1) here.call_soon([&] { static_cast<void>(jobs(1)), static_cast<void>(jobs(2)); });
            else std::raise(SIGTERM);
        }
        std::puts("stopped by a signal");
        return {};
    });
    return all ? 0 : 1;
}
