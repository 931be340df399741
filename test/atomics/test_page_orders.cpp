// Pages of blocks in every order of their threads' steps. pages_program.hpp tells what the letters mean.
#include <vector>

#include "../../src/context/sanitizers.hpp"
#include "../harness/harness.hpp"
#include "pages_program.hpp"
#include "stepping_atomic.hpp"

using pages::explore;
using pages::plan;

namespace {
void need_speed() {
    if (SPRUCE_TSAN) harness::skip("one step at a time there is nothing for the thread sanitizer to see");
    if (SPRUCE_ASAN) harness::skip("under it there are no pages");
}
}  // namespace

TEST_FOR(600, "pages of blocks: in every order of two threads' steps each block is one thread's, and nothing is left") {
    need_speed();
    std::uint64_t states = 0;
    std::vector<plan> plans{{{"tg", "tg", nullptr}}, {{"gt", "gg", nullptr}}, {{"tt", "gg", nullptr}, 5, 1}, {{"t", "t", nullptr}, 3, 2}, {{"cg", "gg", nullptr}, 4, 1},
                            {{"tgt", "gtg", nullptr}, 2}, {{"t", "t", "g"}, 3, 1}, {{"c", "g", "g"}, 3, 1},
                            {{"tgt", "gtg", "tg"}, 3, 1}, {{"ttgg", "ttgg", nullptr}, 2, 1}, {{"tttt", "ttttgggg", nullptr}, 3, 2}, {{"cg", "gg", "gg"}, 9, 1}};
    if (harness::nightly())
        for (plan const& p : std::vector<plan>{{{"ttgg", "ttgg", "tg"}, 3, 1}, {{"ttt", "ggg", "tt"}, 6, 1}, {{"ttttg", "ttttgggg", "g"}, 3, 2}, {{"tttttggg", "tttttggg", nullptr}, 4, 2}}) plans.push_back(p);
    for (plan const& p : plans) {
        auto const o = explore(p, {.most_runs = 2'000'000'000});
        CHECK(o.complete && !o.wrong);
        states += o.states;
    }
    CHECK(states > 1'000);
}

TEST("pages of blocks: a torn exchange is found, and so is one who looks at the list of spare pages beside another") {
    need_speed();
    explorer::broken.torn = true;
    CHECK(explore({{"tg", "tg", nullptr}}, {.most_runs = 1'000'000}).wrong != nullptr);
    CHECK(explore({{"t", "t", "t"}, 2, 2, true}, {.most_runs = 10'000'000}).wrong != nullptr);
    CHECK(explore({{"t", "t", "t"}, 2, 2}, {.most_runs = 10'000'000}).wrong == nullptr);
}

TEST("pages of blocks: without memory there is no block, and all goes on") {
    need_speed();
    CHECK(!explore({{"tt", "tg", nullptr}, 0}, {.most_runs = 1'000'000}, true).wrong);
}
