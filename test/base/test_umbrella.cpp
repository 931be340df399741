#include <spruce/spruce.hpp>

#include "../harness/harness.hpp"

// Nothing but the umbrella is included: the name of a part whose header it forgot would not be known.
namespace {
spruce::task_local<int> of_task;
template <class... T> constexpr bool complete = ((sizeof(T) > 0) && ...);
}  // namespace

TEST("one header gives all of it: loops, tasks, groups, waiting, streams, sockets, values and errors") {
    using namespace spruce;
    CHECK(complete<loop, loop_options, loop_ref, waker, hold_token, handler, scoped_handler>);
    CHECK(complete<task<int>, task_options, task_group, cancel_shield, event>);
    CHECK(complete<stream, reader, pipe_stream, tcp_stream, tcp_listener, address>);
    CHECK(complete<result<int>, error, deadline, loop_clock, memory_hook>);
    CHECK(SPRUCE_VERSION_MAJOR >= 0 && SPRUCE_EXCEPTIONS >= 0);
    auto r = run([]() -> result<int> {
        SPRUCE_CHECK(sleep_for(duration(1)));
        auto t = spawn([] { return 4; });
        CHECK(loop::current().ok());
        return with_deadline(never(), [&] { return t.get(); });
    });
    CHECK_EQ(r.value_or(0), 4);
    CHECK_EQ(std::string_view(this_task::name()), "");
}
