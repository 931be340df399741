// Times of day: what the wall clock shows, and what it means that it has jumped.
#include <spruce/at_timer.hpp>

#include <ctime>

#include "../loop/hub.hpp"

namespace spruce { inline namespace v0 { namespace detail {

namespace {
constexpr std::int64_t a_day = 24 * 60 * 60;
constexpr std::int64_t a_second_ns = 1'000'000'000;
// More than time zones and summer time can make.
constexpr std::int64_t too_far = 2 * a_day;

// Days since 1970 of a date in the Gregorian calendar, with years that begin in March so that leap days come last.
std::int64_t days_of(std::int64_t year, int month, int day) noexcept {
    if (month <= 2) --year;
    std::int64_t const era = (year >= 0 ? year : year - 399) / 400;
    std::int64_t const of_era = year - era * 400;
    std::int64_t const of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return era * 146'097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719'468;
}

std::int64_t floor_of(std::int64_t n, std::int64_t unit) noexcept {
    std::int64_t const rest = n % unit;
    return n - (rest < 0 ? rest + unit : rest);
}

// The lowest that is at least `from`, or -1.
int next_bit(std::uint64_t bits, int from) noexcept {
    if (from >= 64) return -1;
    bits &= ~std::uint64_t{0} << from;
    return bits ? __builtin_ctzll(bits) : -1;
}
}  // namespace

result<time_of_day> checked(time_of_day when) noexcept {
    constexpr std::uint64_t all_24 = (std::uint64_t{1} << 24) - 1, all_60 = (std::uint64_t{1} << 60) - 1;
    if (!when.hours.valid || !when.minutes.valid || !when.seconds.valid || (when.hours.bits & ~all_24) != 0)
        return with_detail(errc::invalid_argument, "a time of day that no clock shows");
    if (when.hours.bits == 0) when.hours.bits = all_24;
    if (when.minutes.bits == 0) when.minutes.bits = all_60;
    if (when.seconds.bits == 0) when.seconds.bits = all_60;
    return when;
}

wall_time wall_time_now() noexcept {
    std::int64_t since_1970 = 0;
    if (hub* const h = current_hub) since_1970 = h->sys.realtime_ns();
    std::int64_t const second_ns = floor_of(since_1970, a_second_ns);
    auto const seconds = static_cast<std::time_t>(second_ns / a_second_ns);
    std::tm t{};
    wall_time now{second_ns / a_second_ns, since_1970 - second_ns};
    if (::localtime_r(&seconds, &t)) {
        // A leap second is shown as the one before it.
        int const second = t.tm_sec < 60 ? t.tm_sec : 59;
        now.second = days_of(std::int64_t{t.tm_year} + 1900, t.tm_mon + 1, t.tm_mday) * a_day +
                     (t.tm_hour * 60 + t.tm_min) * 60 + second;
    }
    return now;
}

std::int64_t next_of_day(time_of_day const& when, std::int64_t after) noexcept {
    std::int64_t const day = floor_of(after + 1, a_day);
    auto const of_day = static_cast<int>(after + 1 - day);
    int hour = of_day / 3600, minute = of_day / 60 % 60, second = of_day % 60;
    // Each hand moves to its next place; where it has to move, those behind it begin anew.
    second = next_bit(when.seconds.bits, second);
    if (second < 0) ++minute;
    int const m = next_bit(when.minutes.bits, minute);
    if (m < 0) ++hour;
    int const h = next_bit(when.hours.bits, hour);
    bool const same_hour = m >= 0 && h == hour, same_minute = same_hour && m == minute && second >= 0;
    if (!same_minute) second = next_bit(when.seconds.bits, 0);
    minute = same_hour ? m : next_bit(when.minutes.bits, 0);
    std::int64_t const first_day = h >= 0 ? day : day + a_day;
    return first_day + (std::int64_t{h >= 0 ? h : next_bit(when.hours.bits, 0)} * 60 + minute) * 60 + second;
}

void wall_schedule::begin() noexcept {
    seen = wall_time_now().second;
    has_fired = false;
    due = next_of_day(when, seen);
}

bool wall_schedule::look() noexcept {
    std::int64_t const now = wall_time_now().second, before = seen;
    seen = now;
    if (now < before) {
        // Put back: what was shown before f was called last is over, however often it is shown.
        if (has_fired && fired - now > too_far) has_fired = false;
        due = next_of_day(when, has_fired && fired > now ? fired : now);
        return false;
    }
    if (now < due) return false;
    bool const was_set = now - before > too_far;
    has_fired = !was_set;
    fired = now;
    due = next_of_day(when, now);
    return !was_set;
}

duration wall_schedule::until_look() const noexcept {
    wall_time const now = wall_time_now();
    std::int64_t const full_minute = floor_of(now.second, 60) + 60;
    std::int64_t const next = due < full_minute ? due : full_minute;
    if (next <= now.second) return duration::zero();
    return duration((next - now.second) * a_second_ns - now.ns);
}

}}}  // namespace spruce::v0::detail
