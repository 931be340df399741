// Work by priority: two workers, the most urgent first, and one who waits until all of it is done.
// expect: urgent
// expect: soon
// expect: some day
// expect: all done
#include <cstdio>
#include <spruce/spruce.hpp>
using namespace spruce;
using namespace std::chrono_literals;

struct job {
    int rank;
    char const* what;
    bool operator<(job const& other) const { return rank < other.rank; }
};

int main() {
    auto all = run([]() -> result<void> {
        priority_queue<job> work(16);
        SPRUCE_CHECK(work.push({9, "some day"}));
        SPRUCE_CHECK(work.push({1, "urgent"}));
        SPRUCE_CHECK(work.push({5, "soon"}));
        task_group workers;
        for (int i = 0; i != 2; ++i)
            workers.spawn([&] {
                while (auto next = work.take()) {
                    std::puts(next->what);
                    auto const worked = sleep_for(std::chrono::milliseconds(next->rank));
                    work.task_done();
                    if (!worked) return;
                }
            });
        SPRUCE_CHECK(work.join());
        std::puts("all done");
        work.close();
        return workers.join();
    });
    return all ? 0 : 1;
}
