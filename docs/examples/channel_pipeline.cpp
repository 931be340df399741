// Values go through a pipeline of tasks, as fast as the slowest takes them; closing runs through it to the end.
// expect: squares: 1 4 9 16 25
// expect: sent after close(): closed
// expect: received after the end: end_of_stream
#include <cstdio>
#include <spruce/spruce.hpp>
using namespace spruce;

int main() {
    auto ran = run([]() -> result<void> {
        channel<int> numbers(2), squares;
        task_group stages;
        stages.spawn([&]() -> result<void> {
            for (int n = 1; n != 6; ++n) SPRUCE_CHECK(numbers.send(n));
            numbers.close();
            return {};
        });
        stages.spawn([&]() -> result<void> {
            for (int& n : numbers) SPRUCE_CHECK(squares.send(n * n));
            squares.close();
            return {};
        });
        std::printf("squares:");
        for (int& n : squares) std::printf(" %d", n);
        std::printf("\nsent after close(): %s\n", squares.send(36).error().name());
        std::printf("received after the end: %s\n", squares.receive().error().name());
        return stages.join();
    });
    return ran ? 0 : 1;
}
