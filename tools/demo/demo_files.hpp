// A temporary folder of generated files, whose bytes are kept in memory so that every byte served can be checked.
#pragma once
#include <spruce/spruce.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace demo {

struct demo_file {
    std::string name;   // as in the folder
    std::string path;   // as in a request
    std::string bytes;
};

class demo_files {
public:
    demo_files() = default;
    demo_files(demo_files const&) = delete;
    demo_files& operator=(demo_files const&) = delete;
    ~demo_files();  // removes the folder and all that was put there
    // Makes the folder below $TMPDIR or /tmp, and the files in it. Errors: an errno, with the path as its detail.
    spruce::result<void> make();

    std::string const& folder() const noexcept { return folder_; }
    demo_file const& small() const noexcept { return files_[0]; }
    demo_file const& page() const noexcept { return files_[1]; }
    demo_file const& picture() const noexcept { return files_[2]; }
    demo_file const& large() const noexcept { return files_[3]; }
    std::size_t count() const noexcept { return files_.size(); }
    std::uint64_t total_bytes() const noexcept;
    // What did not go well, for make()'s error.
    std::string const& trouble() const noexcept { return trouble_; }

private:
    spruce::result<void> put(char const* name, char const* path, std::size_t size);
    spruce::error failed(std::string const& path);

    std::string folder_, trouble_;
    std::vector<demo_file> files_;
};

}  // namespace demo
