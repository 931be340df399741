// A group is a scope for tasks: when it ends, whoever is still at work is canceled and waited for. With
// on_error::cancel_rest the first failure does so at once, and join() says which it was.
// expect: two at work
// expect: out of the scope
// expect: writer has put away its tools
// expect: reader has put away its tools
// expect: the scope is left, and nobody is
// expect: the group failed with end_of_stream
// expect: the one that slept: task_canceled
#include <cstdio>
#include <spruce/spruce.hpp>
using namespace spruce;
using namespace std::chrono_literals;

struct tools {
    char const* whose;
    ~tools() { std::printf("%s has put away its tools\n", whose); }
};

static result<void> work(char const* who) {
    tools own{who};
    return sleep_for(24h);
}

int main() {
    auto ran = run([]() -> result<void> {
        {
            task_group shop;
            shop.spawn(work, "writer");
            shop.spawn(work, "reader");
            SPRUCE_CHECK(sleep_for(1ms));
            std::puts("two at work");
            std::puts("out of the scope");
        }
        std::puts("the scope is left, and nobody is");

        task_group together(on_error::cancel_rest);
        auto patient = together.spawn([] { return sleep_for(24h); });
        together.spawn([]() -> result<void> {
            SPRUCE_CHECK(sleep_for(1ms));
            return errc::end_of_stream;
        });
        std::printf("the group failed with %s\n", together.join().error().name());
        std::printf("the one that slept: %s\n", patient.get().error().name());
        return {};
    });
    return ran ? 0 : 1;
}
