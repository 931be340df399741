#include "binding.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <type_traits>
#if defined(__linux__) || defined(__FreeBSD__) || defined(__NetBSD__) || defined(__OpenBSD__) || defined(__DragonFly__)
#include <link.h>
#define SPRUCE_ELF 1
#else
#define SPRUCE_ELF 0
#endif

namespace spruce { inline namespace v0 { namespace detail {

#if !SPRUCE_ELF
// Not known: as if they were not.
bool calls_are_bound() noexcept { return false; }
#elif defined(__linux__) && !defined(__GLIBC__) && !defined(__UCLIBC__)
// Other C libraries of Linux bind all when the program begins.
bool calls_are_bound() noexcept { return true; }
#else
namespace {
using elf_entry = std::conditional_t<sizeof(void*) == 8, Elf64_Dyn, Elf32_Dyn>;

char somewhere_here = 0;   // an address within this library

struct findings {
    bool first = true, bound = true;
};

bool contains(dl_phdr_info const& module, std::uintptr_t address) noexcept {
    for (int i = 0; i != module.dlpi_phnum; ++i) {
        auto const& part = module.dlpi_phdr[i];
        if (part.p_type == PT_LOAD && address - (module.dlpi_addr + part.p_vaddr) < part.p_memsz) return true;
    }
    return false;
}

// One that names no interpreter and needs no other is bound by itself.
bool is_bound(dl_phdr_info const& module) noexcept {
    bool needs = false;
    for (int i = 0; i != module.dlpi_phnum; ++i) {
        auto const& part = module.dlpi_phdr[i];
        if (part.p_type != PT_DYNAMIC) continue;
        for (auto const* d = reinterpret_cast<elf_entry const*>(module.dlpi_addr + part.p_vaddr); d->d_tag != DT_NULL;
             ++d) {
            if (d->d_tag == DT_BIND_NOW) return true;
            if (d->d_tag == DT_FLAGS && (d->d_un.d_val & DF_BIND_NOW) != 0) return true;
            if (d->d_tag == DT_FLAGS_1 && (d->d_un.d_val & DF_1_NOW) != 0) return true;
            if (d->d_tag == DT_NEEDED) needs = true;
        }
    }
    return !needs;
}

int look(dl_phdr_info* module, std::size_t, void* context) {
    auto& all = *static_cast<findings*>(context);
    // The first is the program.
    if (all.first || contains(*module, reinterpret_cast<std::uintptr_t>(&somewhere_here)))
        all.bound = all.bound && is_bound(*module);
    all.first = false;
    return 0;
}
}  // namespace

bool calls_are_bound() noexcept {
    static constinit std::atomic<int> known{-1};
    int found = known.load(std::memory_order_relaxed);
    if (found < 0) {
        char const* const wish = std::getenv("LD_BIND_NOW");
        findings all;
        ::dl_iterate_phdr(look, &all);
        found = all.bound || (wish && wish[0]);
        known.store(found, std::memory_order_relaxed);
    }
    return found != 0;
}

#endif

}}}  // namespace spruce::v0::detail
