// A million guarded tasks alive at once, under the default bound of mappings, and ten million timers: that they are
// there and all of them end, what one costs in processor time, and in bytes. Once, as rounds would take minutes. It is
// skipped where less than 6 GB of memory are free or where the system has no guards that need no mapping. Fails when
// one is missing.
#include <spruce/spruce.hpp>

#include <cstdio>

#include "measure.hpp"
#include "resident.hpp"

#if defined(__linux__)
#include <sys/mman.h>

namespace {
double free_bytes() {
    std::FILE* const f = std::fopen("/proc/meminfo", "r");
    char text[256];
    double kilobytes = 0;
    while (f && std::fgets(text, sizeof text, f) && std::sscanf(text, "MemAvailable: %lf", &kilobytes) != 1) {}
    if (f) std::fclose(f);
    return kilobytes * 1024;
}
bool light_guards() {
    void* const page = ::mmap(nullptr, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool const taken = page != MAP_FAILED && ::madvise(page, 4096, 102) == 0;   // MADV_GUARD_INSTALL
    ::munmap(page, 65536);
    return taken;
}
long mappings() {
    std::FILE* const f = std::fopen("/proc/self/maps", "r");
    long lines = 0;
    for (int c; f && (c = std::fgetc(f)) != EOF;) lines += c == '\n';
    if (f) std::fclose(f);
    return lines;
}
void once(char const* name, double value, char const* unit) {
    measure::figures only;
    only.add(value);
    measure::report(name, "spruce", only, unit);
}
double each(std::int64_t begin, long count) { return static_cast<double>(measure::cpu_ns() - begin) / static_cast<double>(count); }

bool tasks(long count) {
    spruce::loop hub({.max_tasks = static_cast<std::size_t>(count)});
    spruce::event go;
    long begun = 0, ended = 0;
    double const bytes = measure::resident_bytes();
    std::int64_t begin = measure::cpu_ns();
    for (long i = 0; i < count; ++i)
        spruce::spawn([&] {
            ++begun;
            if (go.wait()) ++ended;
        });
    static_cast<void>(hub.run_until([&] { return begun == count; }, spruce::in(std::chrono::minutes(5))));
    once("million_tasks_fresh", each(begin, count), "ns");
    once("million_tasks", (measure::resident_bytes() - bytes) / static_cast<double>(count), "bytes");
    long const maps = mappings();
    once("million_tasks_mappings", static_cast<double>(maps), "mappings");
    begin = measure::cpu_ns();
    go.set();
    static_cast<void>(hub.run());
    once("million_tasks_wake", each(begin, count), "ns");
    return begun == count && ended == count && maps < 65'530;
}

bool timers(long count, unsigned span_ms) {
    spruce::loop hub({.max_timers = static_cast<std::size_t>(count)});
    long fired = 0;
    measure::numbers delay;
    double const bytes = measure::resident_bytes();
    std::int64_t const begin = measure::cpu_ns();
    for (long i = 0; i < count; ++i) hub.call_later(std::chrono::milliseconds(1 + delay.below(span_ms)), [&] { ++fired; });
    once("ten_million_timers_add", each(begin, count), "ns");
    once("ten_million_timers_bytes", (measure::resident_bytes() - bytes) / static_cast<double>(count), "bytes");
    static_cast<void>(hub.run());
    once("ten_million_timers", each(begin, count), "ns");
    return fired == count;
}
}  // namespace

int main(int count, char** arguments) {
    measure::pin();
    measure::effort const e(count, arguments);
    double const needed = e.divisor == 1 ? 6e9 : 6e9 / static_cast<double>(e.divisor);
    if (free_bytes() < needed) {
        std::fprintf(stderr, "skipped  a million tasks: less than 6 GB of memory are free\n");
        return 0;
    }
    if (!light_guards()) {
        std::fprintf(stderr, "skipped  a million tasks: each guard would need a mapping here\n");
    } else if (!tasks(e.of(1'000'000))) {
        std::fprintf(stderr, "tasks are missing\n");
        return 1;
    }
    if (!timers(e.of(10'000'000), static_cast<unsigned>(e.of(10'000)))) {
        std::fprintf(stderr, "timers are missing\n");
        return 1;
    }
}
#else
int main() {}
#endif
