// Nobody's stack is executable: neither the program's, for the assembly that is linked into it, nor a task's.
#include <cstdint>
#include <cstdio>
#include <link.h>

#include "../harness/axes.hpp"

using namespace spruce;

namespace {
// What /proc/self/maps says of an address: "rw-p", or "" where nothing tells.
struct permissions {
    char text[5] = "";
};
permissions of(void const* at) {
    permissions p;
    FILE* const maps = std::fopen("/proc/self/maps", "re");
    if (!maps) return p;
    char line[512];
    while (std::fgets(line, sizeof line, maps)) {
        unsigned long long from = 0, to = 0;
        char access[5];
        if (std::sscanf(line, "%llx-%llx %4s", &from, &to, access) != 3) continue;
        auto const where = static_cast<unsigned long long>(reinterpret_cast<std::uintptr_t>(at));
        if (where < from || where >= to) continue;
        std::snprintf(p.text, sizeof p.text, "%s", access);
        break;
    }
    std::fclose(maps);
    return p;
}
}  // namespace

TEST("the program that Spruce is linked into does not ask for an executable stack") {
    int found = 0;
    ::dl_iterate_phdr(
        [](dl_phdr_info* object, std::size_t, void* count) {
            for (int i = 0; i != object->dlpi_phnum; ++i) {
                auto const& header = object->dlpi_phdr[i];
                if (header.p_type != PT_GNU_STACK) continue;
                ++*static_cast<int*>(count);
                CHECK((header.p_flags & PF_X) == 0);
            }
            return 1;   // the program itself comes first
        },
        &found);
    CHECK_EQ(found, 1);
}

TEST("a task's stack may be read and written, but not executed") {
    char here = 0;
    if (of(&here).text[0] == '\0') harness::skip("this system does not tell its mappings");
    auto r = run([&] {
        char local = 0;
        permissions const p = of(&local);
        CHECK_EQ(std::string_view(p.text).substr(0, 3), "rw-");
    });
    CHECK(r.ok());
}
