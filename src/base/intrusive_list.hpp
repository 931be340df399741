// A doubly linked list whose links live in its members: no memory, O(1) removal from anywhere.
#pragma once

namespace spruce { inline namespace v0 { namespace detail {

// One place in one list. Alone, it points to itself, so that unlink() needs no list and no check.
struct list_link {
    list_link* next = this;
    list_link* previous = this;

    list_link() = default;
    list_link(list_link const&) = delete;
    list_link& operator=(list_link const&) = delete;

    bool linked() const noexcept { return next != this; }
    void unlink() noexcept {
        previous->next = next;
        next->previous = previous;
        next = previous = this;
    }
    void insert_before(list_link& at) noexcept {
        previous = at.previous;
        next = &at;
        previous->next = this;
        at.previous = this;
    }
};

// The list's head. T derives from list_link. The members outlive their stay; the list owns none of them.
template <class T> class intrusive_list {
public:
    bool empty() const noexcept { return !head_.linked(); }
    void push_back(T& member) noexcept { member.insert_before(head_); }
    void push_front(T& member) noexcept { member.insert_before(*head_.next); }
    T* front() noexcept { return empty() ? nullptr : static_cast<T*>(head_.next); }
    T const* front() const noexcept { return empty() ? nullptr : static_cast<T const*>(head_.next); }
    T* take_front() noexcept {
        T* const first = front();
        if (first) first->unlink();
        return first;
    }
    // Moves all members to the end of `to`.
    void splice_to(intrusive_list& to) noexcept {
        if (empty()) return;
        head_.next->previous = to.head_.previous;
        to.head_.previous->next = head_.next;
        head_.previous->next = &to.head_;
        to.head_.previous = head_.previous;
        head_.next = head_.previous = &head_;
    }
    // The member after `member`, or null at the end.
    T* after(T& member) noexcept { return member.next == &head_ ? nullptr : static_cast<T*>(member.next); }
    T const* after(T const& member) const noexcept {
        return member.next == &head_ ? nullptr : static_cast<T const*>(member.next);
    }

private:
    list_link head_;
};

}}}  // namespace spruce::v0::detail
