#include <algorithm>
#include <vector>

#include "../../src/base/intrusive_list.hpp"
#include "../harness/harness.hpp"

using spruce::detail::intrusive_list;
using spruce::detail::list_link;

namespace {
struct member : list_link {
    int number = 0;
};
std::vector<int> numbers(intrusive_list<member>& list) {
    std::vector<int> all;
    for (member* m = list.front(); m; m = list.after(*m)) all.push_back(m->number);
    return all;
}
// Two tags, so that one object is in two lists at once.
struct first_tag : list_link {};
struct second_tag : list_link {};
struct in_both : first_tag, second_tag {};
}  // namespace

TEST("a member alone is in no list, and taking it out again is nothing") {
    member m;
    CHECK(!m.linked());
    m.unlink();
    CHECK(!m.linked());
    intrusive_list<member> list;
    CHECK(list.empty());
    CHECK(list.front() == nullptr);
    CHECK(list.take_front() == nullptr);
    list.push_back(m);
    CHECK(m.linked());
    CHECK(list.after(m) == nullptr);
    m.unlink();
    m.unlink();
    CHECK(list.empty());
    list.push_front(m);
    CHECK(list.take_front() == &m);
    CHECK(!m.linked());
    CHECK(list.empty());
}

TEST("an object is in as many lists as it has links, and leaves each by itself") {
    intrusive_list<first_tag> first;
    intrusive_list<second_tag> second;
    in_both a, b;
    for (in_both* m : {&a, &b}) {
        first.push_back(*m);
        second.push_front(*m);
    }
    CHECK(static_cast<in_both*>(first.front()) == &a);
    CHECK(static_cast<in_both*>(second.front()) == &b);
    static_cast<first_tag&>(a).unlink();
    CHECK(static_cast<in_both*>(first.front()) == &b);
    CHECK(static_cast<in_both*>(second.after(b)) == &a);
}

TEST("splicing an empty list, or into one, loses and doubles nothing") {
    intrusive_list<member> a, b;
    a.splice_to(b);
    CHECK(a.empty() && b.empty());
    member m[4];
    for (int i = 0; i != 4; ++i) m[i].number = i;
    a.push_back(m[0]);
    a.push_back(m[1]);
    a.splice_to(b);
    CHECK(a.empty());
    CHECK(numbers(b) == std::vector<int>({0, 1}));
    a.splice_to(b);
    CHECK(numbers(b) == std::vector<int>({0, 1}));
    a.push_back(m[2]);
    a.push_back(m[3]);
    a.splice_to(b);
    CHECK(numbers(b) == std::vector<int>({0, 1, 2, 3}));
    m[3].unlink();
    a.push_back(m[3]);
    CHECK(numbers(a) == std::vector<int>({3}));
    CHECK(numbers(b) == std::vector<int>({0, 1, 2}));
}

TEST("lists under random operations agree with vectors") {
    harness::random random(harness::seed());
    constexpr std::size_t lists = 3, members = 40;
    std::vector<member> all(members);
    intrusive_list<member> list[lists];
    std::vector<int> model[lists];
    for (std::size_t i = 0; i != members; ++i) all[i].number = static_cast<int>(i);
    auto const forget = [&](int number) {
        for (auto& m : model) std::erase(m, number);
    };
    for (int i = 0; i != 100'000; ++i) {
        member& m = all[random.below(members)];
        std::size_t const at = random.below(lists), to = random.below(lists);
        switch (random.below(6)) {
        case 0:
            m.unlink();
            forget(m.number);
            break;
        case 1:
        case 2:
            if (m.linked()) break;
            list[at].push_back(m);
            model[at].push_back(m.number);
            break;
        case 3:
            if (m.linked()) break;
            list[at].push_front(m);
            model[at].insert(model[at].begin(), m.number);
            break;
        case 4: {
            member const* const taken = list[at].take_front();
            CHECK((taken == nullptr) == model[at].empty());
            if (!taken) break;
            CHECK_EQ(taken->number, model[at].front());
            CHECK(!taken->linked());
            model[at].erase(model[at].begin());
            break;
        }
        default:
            if (at == to || !random.chance(10)) break;
            list[at].splice_to(list[to]);
            model[to].insert(model[to].end(), model[at].begin(), model[at].end());
            model[at].clear();
        }
        for (std::size_t n = 0; n != lists && i % 7 == 0; ++n) CHECK(numbers(list[n]) == model[n]);
    }
}
