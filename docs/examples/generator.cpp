// A generator: a task that yields values, in a range-for. Who breaks off cancels it, and its destructors run.
// expect: 1 1 2 3 5 8 13 21 34 55
// expect: the generator ends
#include <cstdio>
#include <spruce/spruce.hpp>
using namespace spruce;

int main() {
    auto all = run([]() -> result<void> {
        generator<int> fibonacci([](yielder<int>& yield) -> result<void> {
            struct goodbye {
                ~goodbye() { std::puts("the generator ends"); }
            } at_the_end;
            for (int a = 1, b = 1;; b += std::exchange(a, b)) SPRUCE_CHECK(yield(a));
        }, {.look_ahead = 0});   // the next number is made when it is wanted
        int count = 0;
        for (int n : fibonacci) {
            std::printf(count == 9 ? "%d\n" : "%d ", n);
            if (++count == 10) break;
        }
        return {};
    });
    return all ? 0 : 1;
}
