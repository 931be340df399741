// The hot paths, one at a time, so that their instructions and system calls can be counted: tools/count-instructions.
//     hot_paths                      what it was compiled with, then the names of the paths
//     hot_paths NAME REPETITIONS     goes that path so often
#include "hot_path_list.hpp"

#include <cstdio>
#include <cstring>

int main(int count, char** arguments) {
    if (count != 3) {
#if defined(__clang__)
        std::printf("clang-%d\n", __clang_major__);
#else
        std::printf("gcc-%d\n", __GNUC__);
#endif
        for (hot_paths::path const& p : hot_paths::paths) std::printf("%s\n", p.name);
        return count == 1 ? 0 : 2;
    }
    for (hot_paths::path const& p : hot_paths::paths) {
        if (std::strcmp(p.name, arguments[1]) != 0) continue;
        spruce::loop hub;
        p.go(hub, std::atol(arguments[2]));
        return 0;
    }
    std::fprintf(stderr, "hot_paths: no path %s\n", arguments[1]);
    return 2;
}
