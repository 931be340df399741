// Yield: among 2, 1,000 and 100,000 tasks that do nothing else. Ours beside its floor, boost.fiber and C++20
// coroutines; 100,000 also on small stacks without guards. Making the tasks is not measured, their first entry is.
// links: -lboost_fiber -lboost_context
#include "yield_rounds.hpp"

namespace {
using namespace yields;

void race(char const* name, work w, measure::effort const& e, bool unguarded = false) {
    spruce::loop hub;
    measure::contest all(name);
    all.enter("spruce", [&] { return spruce_round(hub, w, unguarded); });
#ifdef HAVE_BARE_SWITCH
    all.enter("floor", [&] { return bare_round(w); });
#endif
    all.enter("coroutine", [&] { return coroutine_round(w); });
#ifdef HAVE_BOOST_FIBER
    work const fewer{w.tasks, w.yields / 4 + 1};
    all.enter("boost.fiber", [&] { return boost_round(fewer); });
#endif
    all.run(e);
}
}  // namespace

int main(int count, char** arguments) {
    measure::pin();
    measure::effort const e(count, arguments);
    race("yield_2", {2, e.of(1'000'000)}, e);
    race("yield_1000", {1'000, e.of(2'000)}, e);
    work const many{e.of(100'000, 1'000) < 100'000 && e.rounds == 1 ? 1'000 : 100'000, e.of(20, 2)};
    race("yield_100000", many, e);
    race("yield_100000_unguarded", many, e, true);
}
