// Small stacks without guards in a program that is linked one way or another: prints for 2 K, for 8 K most of which the
// arguments take, and for 8 K whether there was a task, or that it was refused.
#include <array>
#include <cstdio>
#include <unistd.h>

#include <spruce/spruce.hpp>

namespace {
template <class F> void try_one(std::size_t stack, F f) {
    auto t = spruce::spawn({.stack_size = stack, .unguarded = true}, std::move(f));
    auto const ended = t.join();
    std::printf("%s\n", ended ? "ran" : ended == spruce::errc::invalid_argument ? "refused" : "failed");
}
}  // namespace

int main() {
    auto const all = spruce::run([] {
        try_one(2048, [] { static_cast<void>(::getppid()); });
        try_one(8192, [much = std::array<char, 6000>{}] { static_cast<void>(::getpgrp() + much[0]); });
        try_one(0, [] { static_cast<void>(::getuid()); });
    });
    return all ? 0 : 1;
}
