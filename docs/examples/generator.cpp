// A generator: a task that fills a channel, in a range-for. Who breaks off cancels it, and its destructors run.
// expect: 1 1 2 3 5 8 13 21 34 55
// expect: the generator ends
#include <cstdio>
#include <spruce/spruce.hpp>
using namespace spruce;

int main() {
    auto all = run([]() -> result<void> {
        channel<int> numbers;   // no room: the next number is made when it is wanted
        auto fibonacci = spawn([&]() -> result<void> {
            struct goodbye {
                ~goodbye() { std::puts("the generator ends"); }
            } at_the_end;
            for (int a = 1, b = 1;; b += std::exchange(a, b)) SPRUCE_CHECK(numbers.send(int(a)));
        });
        int count = 0;
        for (int n : numbers) {
            std::printf(count == 9 ? "%d\n" : "%d ", n);
            if (++count == 10) break;
        }
        fibonacci.cancel();
        return fibonacci.join();
    });
    return all ? 0 : 1;
}
