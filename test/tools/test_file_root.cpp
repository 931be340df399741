#include "../harness/harness.hpp"

#include <cstdio>
#include <cstdlib>
#include <string>

#include <sys/stat.h>
#include <unistd.h>

#include "../../tools/spruce-serve/file_root.hpp"

using namespace serve;

namespace {

// A folder with a served folder `www` in it, and things outside that must never be seen.
struct scratch {
    std::string top;
    scratch() {
        char name[] = "/tmp/spruce-file-root.XXXXXX";
        top = ::mkdtemp(name);
        for (auto folder : {"/www", "/www/sub", "/www/locked", "/outside"}) (void)::mkdir((top + folder).c_str(), 0755);
        put("/www/a.txt", "hello");
        put("/www/sub/b.txt", "below");
        put("/outside/secret", "secret");
        link("a.txt", "/www/inside");
        link("sub", "/www/also-sub");
        link("../outside/secret", "/www/leak");
        link("../outside", "/www/leak-folder");
        link((top + "/www/a.txt").c_str(), "/www/absolute");
        link("loop", "/www/loop");
        link("/proc/self/root", "/www/magic");
        (void)::mkfifo((top + "/www/pipe").c_str(), 0644);
    }
    ~scratch() {
        std::string command = "rm -rf " + top;
        if (std::system(command.c_str()) != 0) std::printf("could not remove %s\n", top.c_str());
    }
    void put(char const* name, char const* text) {
        FILE* file = std::fopen((top + name).c_str(), "w");
        std::fputs(text, file);
        std::fclose(file);
    }
    void link(char const* to, char const* name) { (void)!::symlink(to, (top + name).c_str()); }
};

found look(file_root const& root, char const* url) {
    safe_path path;
    CHECK(!path.take(url));
    return root.find(path);
}

std::string text_of(file_root const& root, char const* url) {
    auto what = look(root, url);
    char room[64];
    auto n = what.refused || what.is_folder ? -1 : what.file.read_at(0, room, sizeof room);
    return n < 0 ? "" : std::string(room, static_cast<std::size_t>(n));
}

void check_both_ways_agree(file_root::walk how, scratch const& on) {
    file_root root;
    CHECK(root.open((on.top + "/www").c_str(), how) == 0);
    CHECK(text_of(root, "/a.txt") == "hello");
    CHECK(text_of(root, "/sub/b.txt") == "below");
    CHECK(look(root, "/a.txt").size == 5);
    CHECK(look(root, "/a.txt").modified > 1'000'000'000);
    CHECK(look(root, "/").is_folder);
    CHECK(look(root, "/sub").is_folder);
    CHECK(look(root, "/none").refused.status == 404);
    CHECK(look(root, "/none/none").refused.status == 404);
    CHECK(look(root, "/a.txt/x").refused.status == 404);
    CHECK(look(root, ("/" + std::string(300, 'x')).c_str()).refused.status == 404);
    CHECK(look(root, "/pipe").refused.status == 403);
    for (auto outside : {"/leak", "/leak-folder/secret", "/leak-folder", "/absolute", "/loop", "/magic/etc/passwd"}) {
        auto what = look(root, outside);
        if (what.refused.status != 403) std::printf("%s: %d\n", outside, what.refused.status);
        CHECK(what.refused.status == 403);
    }
}

}  // namespace

TEST("a served folder opens what lies below it, and no link leads out") {
    scratch on;
    check_both_ways_agree(file_root::walk::best, on);
}

TEST("without openat2 a served folder follows no link, and opens the rest the same") {
    scratch on;
    check_both_ways_agree(file_root::walk::each_step, on);
    file_root root;
    CHECK(root.open((on.top + "/www").c_str(), file_root::walk::each_step) == 0);
    CHECK(look(root, "/inside").refused.status == 403);
    CHECK(look(root, "/also-sub/b.txt").refused.status == 403);
}

TEST("with openat2 links that stay below are followed") {
    scratch on;
    file_root root;
    CHECK(root.open((on.top + "/www").c_str()) == 0);
    if (root.walks() != file_root::walk::best) return;  // this kernel has none
    CHECK(text_of(root, "/inside") == "hello");
    CHECK(text_of(root, "/also-sub/b.txt") == "below");
}

TEST("what is no folder cannot be served") {
    scratch on;
    file_root file, nothing;
    CHECK(file.open((on.top + "/www/a.txt").c_str()) != 0);
    CHECK(nothing.open((on.top + "/none").c_str()) != 0);
}
