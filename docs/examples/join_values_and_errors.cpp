// What a task leaves behind: a value, an error of its own, or an exception, which the library keeps for who asks.
// needs: exceptions
// expect: a value: 12
// expect: an error: full
// expect: an exception: task_failed, and it was: out of ink
// expect: only movable: hello
// expect: taken already: wrong_state
// expect: value() throws what the task returned: full
#include <cstdio>
#include <memory>
#include <spruce/spruce.hpp>
#include <stdexcept>
#include <string>
using namespace spruce;

int main() {
    auto ran = run([]() -> result<void> {
        auto dozen = spawn([] { return 12; });
        std::printf("a value: %d\n", dozen.get().value_or(0));

        auto refused = spawn([]() -> result<int> { return errc::full; });
        std::printf("an error: %s\n", refused.get().error().name());

        auto thrower = spawn([]() -> int { throw std::runtime_error("out of ink"); });
        std::printf("an exception: %s", thrower.get().error().name());
        try {
            std::rethrow_exception(thrower.exception());
        } catch (std::exception const& what) {
            std::printf(", and it was: %s\n", what.what());
        }

        auto owner = spawn([] { return std::make_unique<std::string>("hello"); });
        auto taken = owner.get();
        SPRUCE_CHECK(taken);
        std::printf("only movable: %s\n", (*taken)->c_str());
        std::printf("taken already: %s\n", owner.get().error().name());

        try {
            (void)refused.get().value();
        } catch (failure const& f) {
            std::printf("value() throws what the task returned: %s\n", f.reason().name());
        }
        return {};
    });
    return ran ? 0 : 1;
}
