#include <spruce/result.hpp>

#include <memory>
#include <string>

#include "../harness/harness.hpp"

using namespace spruce;

namespace {
result<std::unique_ptr<int>> give(bool fail) {
    if (fail) return errc::full;
    return std::make_unique<int>(3);
}
result<int> add_one(bool fail) {
    SPRUCE_TRY(auto three, give(fail));
    return *three + 1;
}
result<void> check(bool fail) {
    SPRUCE_CHECK(add_one(fail));
    return {};
}
}  // namespace

TEST("a result holds a value that can only be moved, or an error") {
    auto good = give(false);
    REQUIRE(good.ok());
    CHECK_EQ(**good, 3);
    auto moved = std::move(good);
    CHECK_EQ(**moved, 3);
    CHECK(give(true) == errc::full);
}

TEST("SPRUCE_TRY takes the value or returns the error") {
    CHECK_EQ(add_one(false).value_or(0), 4);
    CHECK(add_one(true) == errc::full);
    CHECK(check(false).ok());
    CHECK(check(true) == errc::full);
}

TEST("a result can be assigned from value to error and back") {
    result<std::string> r = std::string("a long enough string to live on the heap");
    r = errc::closed;
    CHECK(r == errc::closed);
    r = result<std::string>(std::string("again"));
    CHECK_EQ(std::string_view(*r), "again");
    auto& self = r;
    r = self;
    CHECK_EQ(std::string_view(*r), "again");
}

TEST("a result of a reference refers, and can be made to refer to something else") {
    int a = 1, b = 2;
    result<int&> r = a;
    *r = 5;
    r = result<int&>(b);
    CHECK_EQ(a, 5);
    CHECK_EQ(*r, 2);
}

TEST("a result of bool says by ok() whether it holds one") {
    result<bool> no = false;
    CHECK(no.ok());
    CHECK(!*no);
}

TEST_DIES("the value of an error ends the program with the rule in words", "the value asked of a result that holds an error") {
    result<int> r = errc::full;
    CHECK_EQ(*r, 0);
}

TEST_DIES("a value that is not there is asked for by the error, what that concerns, and the line that asked",
          "holds an error: a limit is reached: 8 places (" __FILE__ ":75)") {
    result<int> r = detail::with_detail(errc::full, "8 places");
    CHECK_EQ(*r, 0);
}

TEST("the value of a result is had from what is const, moved, or a class of the user's on top of it") {
    struct mine : result<int> {
        using result<int>::result;
    };
    mine own(3);
    mine const fixed(4);
    *own += 1;
    CHECK_EQ(*own + *fixed + *mine(5) + *std::move(fixed), 17);
    result<int const> const all_const(6);
    CHECK_EQ(*all_const, 6);
}

TEST_DIES("… by what is moved, too", "holds an error: a limit is reached (" __FILE__ ":91)") {
    CHECK_EQ(*result<std::string>(errc::full), "");
}

TEST_DIES("… and by the address of the call, where it was asked by ->", "holds an error: a limit is reached, asked by -> at 0x") {
    result<std::string> r = errc::full;
    CHECK_EQ(r->size(), 0U);
}

TEST_DIES("the error of a value ends the program with the rule in words", "asked of a result that holds a value") {
    result<int> r = 1;
    CHECK(r.error() == errc::full);
}

#if SPRUCE_EXCEPTIONS
TEST("value() throws the failure with its reason") {
    bool thrown = false;
    try {
        static_cast<void>(give(true).value());
    } catch (failure const& f) {
        thrown = f.reason() == errc::full;
    }
    CHECK(thrown);
}
#else
TEST_DIES("value() of an error panics where exceptions are off", "a limit is reached") { static_cast<void>(give(true).value()); CHECK(true); }
#endif
