#include "demo_files.hpp"

#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include <unistd.h>

namespace demo {

namespace {

// Bytes that repeat nowhere near, so that a chunk sent twice, or from the wrong place, is seen.
void fill(std::string& bytes, std::uint64_t state) {
    for (char& byte : bytes) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        byte = static_cast<char>(state >> 32);
    }
}

}  // namespace

spruce::error demo_files::failed(std::string const& path) {
    auto why = spruce::error::from_errno(errno);
    trouble_ = path + ": " + why.message();
    return why;
}

spruce::result<void> demo_files::make() {
    char const* parent = std::getenv("TMPDIR");
    // Which mkdtemp() replaces
    std::string name = std::string(parent && *parent ? parent : "/tmp") + "/spruce-demo." + std::string(6, 'X');
    if (!::mkdtemp(name.data())) return failed(name);
    folder_ = name;
    SPRUCE_CHECK(put("index.html", "/", 1'024));
    SPRUCE_CHECK(put("page.html", "/page.html", 16 * 1'024));
    SPRUCE_CHECK(put("picture.png", "/picture.png", 256 * 1'024));
    SPRUCE_CHECK(put("large.bin", "/large.bin", 32 * 1'024 * 1'024));
    return {};
}

spruce::result<void> demo_files::put(char const* name, char const* path, std::size_t size) {
    demo_file made{name, path, std::string(size, '\0')};
    fill(made.bytes, 88'172'645'463'325'252u + files_.size());
    std::string full = folder_ + "/" + name;
    files_.push_back(std::move(made));
    std::string const& bytes = files_.back().bytes;
    FILE* file = std::fopen(full.c_str(), "wb");
    if (!file) return failed(full);
    bool written = std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size();
    if (!written || std::fclose(file) != 0) {
        auto why = failed(full);
        if (!written) std::fclose(file);
        return why;
    }
    return {};
}

std::uint64_t demo_files::total_bytes() const noexcept {
    std::uint64_t sum = 0;
    for (auto const& each : files_) sum += each.bytes.size();
    return sum;
}

demo_files::~demo_files() {
    if (folder_.empty()) return;
    for (auto const& each : files_) ::unlink((folder_ + "/" + each.name).c_str());
    if (::rmdir(folder_.c_str()) != 0) std::fprintf(stderr, "demo: could not remove %s\n", folder_.c_str());
}

}  // namespace demo
