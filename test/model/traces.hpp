// All that can happen to something, one step after another, to a depth. Equal states of its model have equal futures: one
// way to each is enough to go on from.
#pragma once
#include <cstddef>
#include <set>
#include <string>
#include <utility>
#include <vector>

// Every step there is: of each thing that can happen, as many as it has choices.
template <class Step, class Op> std::vector<Step> steps_of(int ops, int (*choices)(Op)) {
    std::vector<Step> all;
    for (int what = 0; what != ops; ++what)
        for (int which = 0; which != choices(static_cast<Op>(what)); ++which) all.push_back({static_cast<Op>(what), which});
    return all;
}

struct explored {
    long traces = 0;
    std::size_t states = 0;   // that were gone on from
};
// A model can(step) or cannot, take()s it, and has a key(), which is another one in another state. run() tries a trace.
template <class Model, class Step, class Run>
explored try_all_traces(Model const& start, std::vector<Step> const& steps, std::size_t depth, Run&& run) {
    struct way_to {
        std::vector<Step> trace;
        Model m;
    };
    explored e;
    std::set<std::string> known;
    std::vector<way_to> now{{{}, start}}, next;
    for (std::size_t d = 0; d != depth; ++d, now = std::exchange(next, {})) {
        for (auto const& [trace, before] : now) {
            for (Step const& s : steps) {
                if (!before.can(s)) continue;
                auto longer = trace;
                longer.push_back(s);
                run(std::as_const(longer));
                ++e.traces;
                Model m = before;
                m.take(s);
                if (d + 1 != depth && known.insert(m.key()).second) next.push_back({std::move(longer), std::move(m)});
            }
        }
    }
    e.states = known.size();
    return e;
}
