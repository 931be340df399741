// One download that two masters wait for: who gives up leaves it to the other, and it is made once.
// expect: the download begins
// expect: first master: task_canceled
// expect: second master has 512 bytes
// expect: runs: 1
#include <cstdio>
#include <spruce/spruce.hpp>
using namespace spruce;
using namespace std::chrono_literals;

int main() {
    auto all = run([]() -> result<void> {
        int runs = 0;
        async_function download([&runs](int size) -> result<int> {
            std::puts("the download begins");
            ++runs;
            SPRUCE_CHECK(sleep_for(5ms));
            return size;
        }, {.policy = call_policy::singleton});
        auto master = [&] { return download(512).get(); };
        auto first = spawn(master), second = spawn(master);
        SPRUCE_CHECK(yield());
        first.cancel();
        std::printf("first master: %s\n", first.get().error().name());
        std::printf("second master has %d bytes\n", second.get().value_or(0));
        std::printf("runs: %d\n", runs);
        return {};
    });
    return all ? 0 : 1;
}
