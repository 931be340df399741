// The smallest whole program: run() makes a loop, calls the function as its first task, and hands back the result.
// expect: the first task runs
// expect: a second one, called "adder", adds
// expect: it gave 42
#include <cstdio>
#include <spruce/spruce.hpp>

int main() {
    auto sum = spruce::run([] {
        std::puts("the first task runs");
        auto adder = spruce::spawn({.name = "adder"}, [](int a, int b) {
            std::printf("a second one, called \"%s\", adds\n", spruce::this_task::name());
            return a + b;
        }, 40, 2);
        return adder.get();  // waits for the task; its value, or what it failed with
    });
    if (!sum) return 1;
    std::printf("it gave %d\n", *sum);
}
