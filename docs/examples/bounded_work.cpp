// Ten pieces of work, three at a time, each with a permit of its own; a wait group tells when all are done. Then one
// task fills a shelf that another waits for.
// expect: at most 3 at once
// expect: done: 10
// expect: on the shelf: 2
// expect: nobody fills it: timed_out
#include <cstdio>
#include <spruce/spruce.hpp>
using namespace spruce;
using namespace std::chrono_literals;

int main() {
    auto ran = run([]() -> result<void> {
        semaphore places(3);
        wait_group work;
        int busy = 0, most = 0, done = 0;
        for (int i = 0; i != 10; ++i) {
            work.add();
            spawn([&]() -> result<void> {
                SPRUCE_TRY(auto const place, places.acquire());
                most = ++busy > most ? busy : most;
                static_cast<void>(sleep_for(1ms));
                --busy;
                ++done;
                return work.done();
            });
        }
        SPRUCE_CHECK(work.wait());
        std::printf("at most %d at once\ndone: %d\n", most, done);

        mutex shelf;
        condition_variable filled;
        int items = 0;
        auto filler = spawn([&]() -> result<void> {
            for (int i = 0; i != 2; ++i) {
                SPRUCE_TRY(auto const held, shelf.lock());
                ++items;
                filled.notify();
            }
            return {};
        });
        SPRUCE_TRY(auto held, shelf.lock());
        SPRUCE_CHECK(filled.wait(held, [&] { return items == 2; }));
        std::printf("on the shelf: %d\n", items);
        auto const more = filled.wait(held, [&] { return items == 3; }, in(1ms));
        std::printf("nobody fills it: %s\n", more.error().name());
        return filler.join();
    });
    return ran ? 0 : 1;
}
