// A yardstick for the timer wheel: what the least code needs. Ticks of one millisecond, no order within a tick,
// dead entries never swept, no earliest timer, timers in one array that never grows, no more than 2^32 ticks.
#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

namespace floors {

class bare_wheel {
public:
    explicit bare_wheel(std::size_t n) : timers_(static_cast<cell*>(std::calloc(n, sizeof(cell)))) {}
    ~bare_wheel() {
        for (auto& level : heads_)
            for (page*& head : level) free_all(head);
        free_all(spare_);
        std::free(timers_);
    }
    bare_wheel(bare_wheel const&) = delete;

    void arm(std::size_t i, std::uint64_t after) {
        cell& c = timers_[i];
        c.due = now_ + after;
        if (c.filed != 0 && c.filed <= c.due) return;
        ++c.generation;
        file(c);
    }
    void disarm(std::size_t i) { timers_[i].due = 0; }
    // One tick on; the number of timers that fired.
    std::size_t turn() {
        ++now_;
        std::size_t fired = 0;
        for (unsigned level = 3; level > 0; --level)
            if ((now_ & ((std::uint64_t{1} << 8 * level) - 1)) == 0) fired += empty(heads_[level][now_ >> 8 * level & 255]);
        return fired + empty(heads_[0][now_ & 255]);
    }

private:
    struct cell {
        std::uint64_t due;    // 0: not armed
        std::uint64_t filed;  // 0: no entry
        std::uint64_t generation;
        void* owner;
    };
    struct note {
        cell* who;
        std::uint64_t generation;
    };
    struct page {
        page* next;
        std::size_t count;
        note notes[63];
    };
    void file(cell& c) {
        unsigned level = static_cast<unsigned>(std::bit_width((c.due ^ now_) | 1) - 1) / 8;
        if (level > 3) level = 3;
        page*& head = heads_[level][c.due >> 8 * level & 255];
        if (!head || head->count == 63) {
            page* fresh = spare_;
            if (fresh) spare_ = fresh->next;
            else fresh = static_cast<page*>(std::malloc(sizeof(page)));
            if (!fresh) std::abort();
            fresh->next = head;
            fresh->count = 0;
            head = fresh;
        }
        head->notes[head->count++] = {&c, c.generation};
        c.filed = c.due;
    }
    std::size_t empty(page*& head) {
        std::size_t fired = 0;
        page* p = head;
        head = nullptr;
        while (p) {
            for (std::size_t i = 0; i < p->count; ++i) {
                if (i + 8 < p->count) __builtin_prefetch(p->notes[i + 8].who, 1);
                cell& c = *p->notes[i].who;
                if (c.generation != p->notes[i].generation) continue;
                c.filed = 0;
                if (c.due > now_) {
                    file(c);
                } else if (c.due != 0) {
                    c.due = 0;
                    ++fired;
                }
            }
            page* const next = p->next;
            p->next = spare_;
            spare_ = p;
            p = next;
        }
        return fired;
    }
    static void free_all(page* p) {
        while (p) {
            page* const next = p->next;
            std::free(p);
            p = next;
        }
    }

    std::uint64_t now_ = 1;
    page* heads_[4][256] = {};
    page* spare_ = nullptr;
    cell* timers_;
};

}  // namespace floors
