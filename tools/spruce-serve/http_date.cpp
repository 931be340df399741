#include "http_date.hpp"

namespace serve {
namespace {

constexpr std::string_view day_names = "SunMonTueWedThuFriSat";
constexpr std::string_view month_names = "JanFebMarAprMayJunJulAugSepOctNovDec";
constexpr std::int64_t day_seconds = 86'400;
constexpr std::int64_t last_second = 253'402'300'799;  // of the year 9999

// Days since 1970-01-01, with years that begin in March, so that the odd day of leap years is a year's last.
std::int64_t days_of(std::int64_t year, std::int64_t month, std::int64_t day) noexcept {
    if (month <= 2) --year;
    std::int64_t era = year / 400, year_of_era = year % 400;
    std::int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return era * 146'097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719'468;
}

struct civil_date {
    std::int64_t year, month, day;
};

civil_date date_of(std::int64_t days) noexcept {
    days += 719'468;
    std::int64_t era = days / 146'097, day_of_era = days % 146'097;
    std::int64_t year_of_era = (day_of_era - day_of_era / 1'460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
    std::int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    std::int64_t shifted = (5 * day_of_year + 2) / 153;
    std::int64_t month = shifted < 10 ? shifted + 3 : shifted - 9;
    return {era * 400 + year_of_era + (month <= 2 ? 1 : 0), month, day_of_year - (153 * shifted + 2) / 5 + 1};
}

void put_digits(char* out, std::int64_t value, int count) noexcept {
    for (int i = count; i-- != 0; value /= 10) out[i] = static_cast<char>('0' + value % 10);
}

// Reads a date piece by piece; after the first piece that does not fit all others fail, too.
struct date_reader {
    std::string_view rest;
    bool good = true;

    void expect(std::string_view text) noexcept {
        good = good && rest.starts_with(text);
        if (good) rest.remove_prefix(text.size());
    }
    // Exactly so many digits; the first may be a space where the form pads with one.
    std::int64_t number(std::size_t digits, bool space_padded = false) noexcept {
        std::int64_t value = 0;
        if (rest.size() < digits) good = false;
        for (std::size_t i = 0; good && i != digits; ++i) {
            if (rest[i] >= '0' && rest[i] <= '9') value = value * 10 + (rest[i] - '0');
            else good = space_padded && i == 0 && rest[i] == ' ';
        }
        if (good) rest.remove_prefix(digits);
        return value;
    }
    std::int64_t month() noexcept {
        for (std::size_t i = 0; i != 12; ++i) {
            if (!good || !rest.starts_with(month_names.substr(3 * i, 3))) continue;
            rest.remove_prefix(3);
            return static_cast<std::int64_t>(i) + 1;
        }
        good = false;
        return 1;
    }
    void weekday() noexcept {  // its name says nothing that the date doesn't
        bool known = false;
        for (std::size_t i = 0; i != 7; ++i) known = known || rest.starts_with(day_names.substr(3 * i, 3));
        good = good && known;
        while (good && !rest.empty() && rest.front() >= 'A' && rest.front() <= 'z') rest.remove_prefix(1);
    }
    std::int64_t time_of_day() noexcept {
        auto hours = number(2);
        expect(":");
        auto minutes = number(2);
        expect(":");
        auto seconds = number(2);
        good = good && hours < 24 && minutes < 60 && seconds <= 60;  // 60: a leap second
        return hours * 3600 + minutes * 60 + seconds;
    }
};

}  // namespace

void write_http_date(std::int64_t seconds, char (&out)[http_date_size]) noexcept {
    if (seconds < 0) seconds = 0;
    if (seconds > last_second) seconds = last_second;
    auto days = seconds / day_seconds, time = seconds % day_seconds;
    auto date = date_of(days);
    std::string_view("Sun, 00 Jan 0000 00:00:00 GMT").copy(out, http_date_size);
    day_names.copy(out, 3, static_cast<std::size_t>((days + 4) % 7) * 3);  // 1970 began on a Thursday
    put_digits(out + 5, date.day, 2);
    month_names.copy(out + 8, 3, static_cast<std::size_t>(date.month - 1) * 3);
    put_digits(out + 12, date.year, 4);
    put_digits(out + 17, time / 3600, 2);
    put_digits(out + 20, time / 60 % 60, 2);
    put_digits(out + 23, time % 60, 2);
}

bool read_http_date(std::string_view text, std::int64_t& seconds) noexcept {
    date_reader in{text};
    civil_date date{1970, 1, 1};
    std::int64_t time = 0;
    in.weekday();
    if (in.rest.starts_with(",")) {
        in.expect(", ");
        date.day = in.number(2);
        bool old = in.rest.starts_with("-");  // Sunday, 06-Nov-94 08:49:37 GMT
        in.expect(old ? "-" : " ");
        date.month = in.month();
        in.expect(old ? "-" : " ");
        date.year = in.number(old ? 2 : 4);
        if (old) date.year += date.year < 70 ? 2000 : 1900;
        in.expect(" ");
        time = in.time_of_day();
        in.expect(" GMT");
    } else {  // Sun Nov  6 08:49:37 1994
        in.expect(" ");
        date.month = in.month();
        in.expect(" ");
        date.day = in.number(2, true);
        in.expect(" ");
        time = in.time_of_day();
        in.expect(" ");
        date.year = in.number(4);
    }
    if (!in.good || !in.rest.empty() || date.day < 1 || date.day > 31) return false;
    seconds = days_of(date.year, date.month, date.day) * day_seconds + time;
    return true;
}

}  // namespace serve
