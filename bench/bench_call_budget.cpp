// What it costs that calls which need not wait are counted, and that their task goes round the ready ring after 128 of
// them: wait() of a set event, and a send and a receive by a channel with capacity, beside the same in a loop whose budget is
// never used up.
#include <spruce/spruce.hpp>

#include "measure.hpp"

namespace {
using namespace spruce;

// Per call, of so many in one task.
template <class F> double round_of(std::size_t budget, long calls, F call) {
    loop hub(loop_options{.call_budget = budget});
    double each = 0;
    spawn([&] {
        std::int64_t const begin = measure::cpu_ns();
        for (long i = 0; i < calls; ++i) call();
        each = measure::per(begin, calls);
    });
    static_cast<void>(hub.run());
    return each;
}
template <class F> void row(char const* what, measure::effort const& e, long calls, F call) {
    measure::contest all(what);
    all.enter("spruce", [&] { return round_of(loop_options().call_budget, calls, call); });
    all.enter("unbudgeted", [&] { return round_of(1'000'000'000, calls, call); });
    all.run(e);
}
}  // namespace

int main(int count, char** arguments) {
    measure::pin();
    measure::effort const e(count, arguments);
    event set;
    set.set();
    row("call_budget_event", e, e.of(4'000'000), [&] { static_cast<void>(set.wait()); });
    channel<long> c(1);
    row("call_budget_channel", e, e.of(4'000'000), [&] {
        static_cast<void>(c.send(1));
        static_cast<void>(c.receive());
    });
}
