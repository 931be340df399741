#include "../harness/harness.hpp"

#include <cstdint>
#include <string>

#include "../../tools/spruce-serve/safe_path.hpp"

using namespace serve;

namespace {

void check_path(std::string_view url, std::string_view path, bool folder = false) {
    safe_path out;
    auto bad = out.take(url);
    if (bad || out.text() != path) std::printf("'%.*s': %d '%s'\n", static_cast<int>(url.size()), url.data(), bad.status, out.c_str());
    CHECK(!bad);
    CHECK(out.text() == path);
    CHECK(std::string_view(out.c_str()) == path);
    CHECK(out.asks_for_folder() == folder);
}

void check_refused(std::string_view url, int status) {
    safe_path out;
    auto bad = out.take(url);
    if (bad.status != status) std::printf("'%.*s': %d '%s'\n", static_cast<int>(url.size()), url.data(), bad.status, out.c_str());
    CHECK(bad.status == status);
    CHECK(out.text().empty());
}

}  // namespace

TEST("a path is decoded, and its empty and dotted segments go") {
    check_path("/", "", true);
    check_path("/a", "a");
    check_path("/a/", "a", true);
    check_path("/a/b.txt", "a/b.txt");
    check_path("//a///b", "a/b");
    check_path("/./a/./b", "a/b");
    check_path("/a/.", "a", true);
    check_path("/a/b/..", "a", true);
    check_path("/a/../b", "b");
    check_path("/a/b/../../c", "c");
    check_path("/a/b/../c/./d/..", "a/c", true);
    check_path("/a/..", "", true);
    check_path("/a%20b%2Fc", "a b/c");
    check_path("/a%2f%2e%2E%2fb", "b");
    check_path("/%25", "%");
    check_path("/%2525", "%25");  // decoded once
    check_path("/...", "...");
    check_path("/.hidden", ".hidden");
    check_path("/a..b/..c", "a..b/..c");
    check_path("/\xc3\xa9", "\xc3\xa9");
    check_path("/a+b", "a+b");
    check_path("/a\\..\\b", "a\\..\\b");
}

TEST("no path climbs above the root") {
    for (auto url : {"/..", "/../a", "/a/../..", "/a/../../b", "/%2e%2e/a", "/.%2e/a", "/%2E./a", "/..%2fa", "/%2e%2e%2f%2e%2e%2fetc/passwd",
                     "/./../a", "//../a", "/a/b/../../../c", "/../../../../../../etc/passwd"})
        check_refused(url, 403);
}

TEST("what cannot be decoded is refused") {
    for (auto url : {"/%", "/%1", "/a%", "/a%2", "/%zz", "/%2x", "/%00", "/a%00.html", "/%u0041"}) check_refused(url, 400);
    check_refused(std::string_view("/a\0b", 4), 400);
}

TEST("a path is as long as a file system's, and no longer") {
    std::string longest = "/" + std::string(4095, 'a');
    check_path(longest, longest.substr(1));
    check_refused(longest + "a", 414);
    safe_path out;
    CHECK(!out.take(longest));
    CHECK(!out.append("x"));
    CHECK(!out.take("/" + std::string(4084, 'a') + "/"));
    CHECK(out.append("index.html"));
    CHECK(out.text().size() == 4095);
    CHECK(!out.take("/"));
    CHECK(out.append("index.html") && out.text() == "index.html");
}

TEST_FOR(600, "paths made at random never keep a way up") {
    harness::random random(harness::seed());
    int const rounds = harness::nightly() ? 20'000'000 : 200'000;
    constexpr std::string_view parts[] = {"/", "/", ".", "..", "%2e", "%2F", "a", "b.c", "%", "%2", "%252e", "\\", "//", "../", "/..", "%2e%2e%2f"};
    for (int round = 0; round != rounds; ++round) {
        std::string url = "/";
        for (auto n = random.below(12); n != 0; --n) url += parts[random.below(std::size(parts))];
        safe_path out;
        if (out.take(url)) continue;
        std::string path = "/" + std::string(out.text()) + "/";
        bool safe = path == "//" || (path.find("//") == path.npos && path.find("/../") == path.npos && path.find("/./") == path.npos);
        if (!safe) std::printf("'%s' became '%s'\n", url.c_str(), path.c_str());
        CHECK(safe);
    }
}
