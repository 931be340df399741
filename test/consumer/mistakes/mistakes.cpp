// Mistakes that the compiler answers with a sentence. Each is compiled by itself, with -DMISTAKE=NUMBER, by tools/check,
// which looks for the text behind "says:" in the first error; without a number all of it compiles.
#include <memory>

#include <spruce/spruce.hpp>

struct fixed {
    fixed() = default;
    fixed(fixed&&) = delete;
};

int main() {
    using namespace spruce;
    auto const ended = run([]() -> result<void> {
        auto one = std::make_unique<int>(1);
        task_group all;
#if MISTAKE == 1   // says: an argument can be neither copied nor moved into the task: give it by std::move()
        spawn([](std::unique_ptr<int>) {}, one);
#elif MISTAKE == 2   // says: the task's function cannot be called with these arguments
        spawn([](int) {}, "1");
#elif MISTAKE == 3   // says: what it takes by reference is given by std::ref()
        spawn({.name = "counts"}, [](int& n) { ++n; }, 3);
#elif MISTAKE == 4   // says: what the task's function gives back cannot be moved
        spawn([] { return fixed(); });
#elif MISTAKE == 5   // says: the task's function can be neither copied nor moved into the task: give it by std::move()
        auto const owns = [one = std::move(one)] {};
        spawn(owns);
#elif MISTAKE == 6   // says: the task's function cannot be called with these arguments
        all.spawn([](int) {}, "1");
#elif MISTAKE == 7   // says: the task's function cannot be called with these arguments
        all.spawn({.name = "a member"}, [](int) {});
#elif MISTAKE == 8   // says: the task's function cannot be called with these arguments
        return run([](int) {});
#elif MISTAKE == 9   // says: the task's function cannot be called with these arguments
        return run({}, [](int) {});
#elif MISTAKE == 10   // says: result<result<T>>: give back result<T>
        result<result<int>> nested = 1;
#endif
        spawn([](std::unique_ptr<int>) {}, std::move(one));
        return all.join();
    });
    return ended.ok() ? 0 : 1;
}
