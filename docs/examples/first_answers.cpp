// Several questions at once: the answers in the order they come, the first of two, and all of them.
// expect: as they come: 100 200 300
// expect: first of two: 1
// expect: all: 300 100 200
#include <cstdio>
#include <spruce/spruce.hpp>
using namespace spruce;
using namespace std::chrono_literals;

int main() {
    auto all = run([]() -> result<void> {
        async_function ask([](int n) -> result<int> {
            SPRUCE_CHECK(sleep_for(std::chrono::milliseconds(n)));
            return n;
        });
        future<int> three[] = {ask(300), ask(100), ask(200)};
        std::printf("as they come:");
        for (auto& answer : as_completed(std::span(three))) std::printf(" %d", answer.get().value_or(-1));
        std::puts("");

        SPRUCE_TRY(std::size_t const first, when_any(std::span(three).first(2)).get());   // both are there: the first named
        std::printf("first of two: %zu\n", first + 1);

        SPRUCE_TRY(auto const each, when_all(three[0], three[1], three[2]).get());
        std::printf("all: %d %d %d\n", *std::get<0>(each), *std::get<1>(each), *std::get<2>(each));
        return {};
    });
    return all ? 0 : 1;
}
