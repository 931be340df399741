// Canceling who waits cancels what only he waits for, as far down as that goes; a shield stops it.
// expect: the inner call is told to stop
// expect: without a shield: task_canceled
// expect: with a shield: task_canceled
// expect: but the inner call ended with 5
#include <cstdio>
#include <spruce/spruce.hpp>
using namespace spruce;
using namespace std::chrono_literals;

int main() {
    auto all = run([]() -> result<void> {
        async_function inner([]() -> result<int> {
            if (auto slept = sleep_for(5ms); !slept) {
                std::puts("the inner call is told to stop");
                return slept.error();
            }
            return 5;
        });

        auto open = spawn([&] { return inner().get(); });
        SPRUCE_CHECK(yield());
        open.cancel();
        std::printf("without a shield: %s\n", open.get().error().name());

        auto work = inner();
        auto guarded = spawn([&] { return work.shield().get(); });
        SPRUCE_CHECK(yield());
        guarded.cancel();
        std::printf("with a shield: %s\n", guarded.get().error().name());
        std::printf("but the inner call ended with %d\n", work.get().value_or(0));
        return {};
    });
    return all ? 0 : 1;
}
