/* auditrail for C++17: a header over the C interface, nothing to link but the
 * library.
 *
 *     auditrail::writer trail("audit");
 *     std::uint64_t id = trail.append({"v2", "users", "ada", "create", "admin-7"});
 *     for (const auditrail::record &event : auditrail::reader("audit"))
 *         std::cout << event.event_id << ' ' << event.json << '\n';
 *
 * - Handles are owned by objects that move and do not copy, and are let go with
 *   them. One that was moved from can only be destroyed or assigned to; any other
 *   use of it fails.
 * - A failure throws auditrail::error, with status, errno, byte and message.
 *   Beside it, what a program does again and again has a form that does not
 *   throw: it takes an auditrail_error last and returns the status. Under
 *   -fno-exceptions only these forms are there, and the C interface, into which
 *   get() leads from each object.
 * - Threads may share a writer; options, filters and readers are for one thread
 *   at a time. A child made by fork opens its own.
 *
 * What the functions promise is told in auditrail.h. What C would misread is an
 * AUDITRAIL_ERR_INVALID_ARGUMENT here: a NUL in a path or name, a number that its
 * parameter cannot hold, such as -1.
 */
#ifndef AUDITRAIL_HPP
#define AUDITRAIL_HPP

#include "auditrail.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#if defined(__cpp_exceptions) || defined(_CPPUNWIND)
#define AUDITRAIL_EXCEPTIONS 1
#else
#define AUDITRAIL_EXCEPTIONS 0
#endif

namespace auditrail {

/** What an append waits for. */
enum class durability : auditrail_durability {
    buffered = AUDITRAIL_DURABILITY_BUFFERED,
    written = AUDITRAIL_DURABILITY_WRITTEN,
    synced = AUDITRAIL_DURABILITY_SYNCED,
    mapped = AUDITRAIL_DURABILITY_MAPPED
};

/** In what order a reader gives events. */
enum class order : auditrail_order {
    stream = AUDITRAIL_ORDER_STREAM,
    oldest_first = AUDITRAIL_ORDER_OLDEST_FIRST,
    newest_first = AUDITRAIL_ORDER_NEWEST_FIRST
};

/** An event as fields. The texts are borrowed and may hold any character. */
struct event {
    std::string_view domain;
    std::string_view category;
    std::string_view model_name;
    std::string_view operation;
    std::string_view logical_user_id;
    std::string_view payload = {};  /* the text of one JSON object; empty: none */
    std::optional<std::string_view> request_id = {};
    std::int64_t timestamp = 0;     /* Unix seconds; 0: now */
};

/** The ids of a batch: count of them, from first on. */
struct id_range {
    std::uint64_t first = 0;
    std::size_t count = 0;
};

/** An event that a reader gives; borrowed until the reader goes on. */
struct record {
    std::string_view json;
    std::uint64_t event_id = 0;
};

/** Bytes that the library made. */
class buffer {
public:
    buffer() = default;
    explicit buffer(auditrail_buffer *taken) noexcept : handle_(taken) {}
    std::string_view view() const noexcept {
        return handle_ ? std::string_view(auditrail_buffer_data(handle_.get()),
                                          auditrail_buffer_length(handle_.get()))
                       : std::string_view();
    }

private:
    struct free_it {
        void operator()(auditrail_buffer *handle) const noexcept { auditrail_buffer_free(handle); }
    };
    std::unique_ptr<auditrail_buffer, free_it> handle_;
};

#if AUDITRAIL_EXCEPTIONS
/** A failure of the library. */
class error : public std::runtime_error {
public:
    explicit error(const auditrail_error &details)
        : std::runtime_error(details.message), status_(details.status),
          os_errno_(details.os_errno), offset_(details.offset) {}

    /** One of AUDITRAIL_ERR_…. */
    auditrail_status status() const noexcept { return status_; }
    /** The name of the status. */
    const char *status_name() const noexcept { return auditrail_status_name(status_); }
    /** The operating system's reason; 0: none. */
    int os_errno() const noexcept { return os_errno_; }
    /** The byte in the text or file that the error is about; -1: none. */
    std::int64_t offset() const noexcept { return offset_; }

private:
    auditrail_status status_;
    int os_errno_;
    std::int64_t offset_;
};
#endif

namespace detail {

/** Fills in an error that this header finds by itself. */
inline auditrail_status fill(auditrail_error &why, auditrail_status status, const char *message,
                             std::int64_t offset = -1) noexcept {
    why = auditrail_error();
    why.status = status;
    why.offset = offset;
    std::strncpy(why.message, message, sizeof why.message - 1);
    return status;
}

/** That a filter or options can be used. C takes NULL for "no filter" and "the
 *  defaults", which is not what one means who passes an object without a handle. */
template <typename Object> bool usable(const Object &object, auditrail_error &why) noexcept {
    if (object.get() == nullptr)
        fill(why, AUDITRAIL_ERR_INVALID_ARGUMENT, "the filter or options were moved from");
    return object.get() != nullptr;
}

#if AUDITRAIL_EXCEPTIONS
/** Runs a call that fills in an auditrail_error, and throws what it says. */
template <typename Call> auditrail_status checked(Call call) {
    auditrail_error details;
    const auditrail_status status = call(&details);
    if (status < 0)
        throw error(details);
    return status;
}

[[noreturn]] inline void refuse(auditrail_status status, const char *message,
                                std::int64_t offset = -1) {
    auditrail_error details;
    fill(details, status, message, offset);
    throw error(details);
}

/** The handle of a filter or of options, which is not NULL. */
template <typename Object> auto handle(const Object &object) {
    auditrail_error why;
    if (!usable(object, why))
        throw error(why);
    return object.get();
}

/** A path or name for C, which would end it at a NUL. */
inline const char *c_text(const std::string &text) {
    const auto nul = text.find('\0');
    if (nul != std::string::npos)
        refuse(AUDITRAIL_ERR_INVALID_ARGUMENT, "a path or name cannot hold a NUL",
               static_cast<std::int64_t>(nul));
    return text.c_str();
}

/** A number as the type that C takes, which would make -1 the largest one. */
template <typename To, typename From> To number(From value) {
    if constexpr (std::is_enum_v<From>) {
        return number<To>(static_cast<std::underlying_type_t<From>>(value));
    } else {
        static_assert(std::is_integral_v<From>, "a number must be an integer");
        const To converted = static_cast<To>(value);
        bool same = static_cast<From>(converted) == value;
        if constexpr (std::is_signed_v<From> && !std::is_signed_v<To>)
            same = same && value >= 0;
        if constexpr (!std::is_signed_v<From> && std::is_signed_v<To>)
            same = same && converted >= 0;
        if (!same)
            refuse(AUDITRAIL_ERR_INVALID_ARGUMENT, "a number is out of range");
        return converted;
    }
}

inline void put_text(std::string &out, std::string_view text) {
    static const char digits[] = "0123456789abcdef";
    out += '"';
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (byte < 0x20) {
            out += "\\u00";
            out += digits[byte >> 4];
            out += digits[byte & 15];
        } else {
            out += c;  /* whether it is UTF-8 is for the library to say */
        }
    }
    out += '"';
}

inline void put_field(std::string &out, std::string_view name, std::string_view text) {
    out += out.empty() ? '{' : ',';
    out += '"';
    out += name;
    out += "\":";
    put_text(out, text);
}

/** Puts in a payload: one object from its first brace to the one that ends it, so
 *  that nothing of it can become a field or, in a batch, an event. Where strings and
 *  braces begin and end is seen here; everything else is for the library to check. */
inline void put_payload(std::string &out, std::string_view text) {
    const char *const blanks = " \t\n\r";
    const auto bad = [](const char *message, std::size_t at) {
        refuse(AUDITRAIL_ERR_INVALID_EVENT, message, static_cast<std::int64_t>(at));
    };
    std::size_t at = text.find_first_not_of(blanks);
    if (at == std::string_view::npos || text[at] != '{')
        bad("payload: expected the text of a JSON object", at == std::string_view::npos ? 0 : at);
    std::size_t depth = 0;
    bool in_string = false, escaped = false;
    do {
        char c = text[at];
        if (in_string) {
            if (static_cast<unsigned char>(c) < 0x20)
                bad("payload: a string holds a control character without an escape", at);
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if (c == '}' || c == ']') {
            depth--;
        } else if (c == '\n' || c == '\r') {
            c = ' ';  /* the same blank, but not the end of a line */
        }
        out += c;
        at++;
    } while (depth > 0 && at < text.size());
    if (depth > 0)
        bad("payload: the object does not end", at);
    const std::size_t more = text.find_first_not_of(blanks, at);
    if (more != std::string_view::npos)
        bad("payload: something follows the object", more);
}

/** The JSON text of an event, on one line. */
inline std::string json(const event &event) {
    std::string out;
    out.reserve(192 + event.payload.size());
    put_field(out, "domain", event.domain);
    put_field(out, "category", event.category);
    put_field(out, "model_name", event.model_name);
    put_field(out, "operation", event.operation);
    put_field(out, "logical_user_id", event.logical_user_id);
    if (event.request_id)
        put_field(out, "request_id", *event.request_id);
    if (event.timestamp != 0) {
        out += ",\"timestamp\":";
        out += std::to_string(event.timestamp);
    }
    if (!event.payload.empty()) {
        out += ",\"payload\":";
        put_payload(out, event.payload);
    }
    out += '}';
    return out;
}
#endif

}  // namespace detail

/** How a trail is opened. */
class options {
public:
    options() : handle_(auditrail_options_new()) {}
    auditrail_options *get() const noexcept { return handle_.get(); }

#if AUDITRAIL_EXCEPTIONS
    template <typename Number> options &max_segment_bytes(Number bytes) {
        return set(auditrail_options_set_max_segment_bytes, detail::number<std::uint64_t>(bytes));
    }
    template <typename Number> options &max_event_bytes(Number bytes) {
        return set(auditrail_options_set_max_event_bytes, detail::number<std::uint64_t>(bytes));
    }
    options &durability(auditrail::durability wanted) {
        return set(auditrail_options_set_durability, static_cast<auditrail_durability>(wanted));
    }
    /** Allows a domain; the first call replaces the default list. */
    options &add_domain(std::string_view name) {
        return set(auditrail_options_add_domain, name.data(), name.size());
    }
    options &any_domain() { return set(auditrail_options_set_any_domain); }
    /** Allows an operation; the first call replaces the default list. */
    options &add_operation(std::string_view name) {
        return set(auditrail_options_add_operation, name.data(), name.size());
    }
    options &any_operation() { return set(auditrail_options_set_any_operation); }
    options &shared(bool shared = true) {
        return set(auditrail_options_set_shared, static_cast<std::int32_t>(shared));
    }
    template <typename Number> options &buffer_bytes(Number bytes) {
        return set(auditrail_options_set_buffer_bytes, detail::number<std::uint64_t>(bytes));
    }
    template <typename Number> options &flush_interval_ms(Number milliseconds) {
        return set(auditrail_options_set_flush_interval_ms,
                   detail::number<std::uint64_t>(milliseconds));
    }
    template <typename Number> options &max_open_files(Number files) {
        return set(auditrail_options_set_max_open_files, detail::number<std::uint64_t>(files));
    }
    template <typename Number> options &lock_timeout_ms(Number milliseconds) {
        return set(auditrail_options_set_lock_timeout_ms,
                   detail::number<std::uint64_t>(milliseconds));
    }
    /** The callback must return normally, for an exception from it ends the program;
     *  user_data must outlive the writer. */
    options &on_warning(auditrail_warning_callback callback, void *user_data = nullptr) {
        return set(auditrail_options_set_warning_callback, callback, user_data);
    }
#endif

private:
#if AUDITRAIL_EXCEPTIONS
    template <typename Setter, typename... Values> options &set(Setter setter, Values... values) {
        detail::checked([&](auditrail_error *e) { return setter(get(), values..., e); });
        return *this;
    }
#endif
    struct free_it {
        void operator()(auditrail_options *handle) const noexcept { auditrail_options_free(handle); }
    };
    std::unique_ptr<auditrail_options, free_it> handle_;
};

/** An open trail. Many threads may append to it; it is moved and let go by one. */
class writer {
public:
    /** Opens the trail at `root`; nothing, and why, if that fails. */
    static std::optional<writer> open(const char *root, const options *how,
                                      auditrail_error &why) noexcept {
        auditrail_writer *handle = nullptr;
        if (how != nullptr && !detail::usable(*how, why))
            return std::nullopt;
        if (auditrail_writer_open(root, how ? how->get() : nullptr, &handle, &why) != AUDITRAIL_OK)
            return std::nullopt;
        return writer(handle);
    }

    auditrail_writer *get() const noexcept { return handle_.get(); }

    auditrail_status append(std::string_view json, std::uint64_t &id,
                            auditrail_error &why) noexcept {
        return auditrail_writer_append(get(), json.data(), json.size(), &id, &why);
    }
    auditrail_status append_batch(std::string_view jsonl, id_range &ids,
                                  auditrail_error &why) noexcept {
        return auditrail_writer_append_batch(get(), jsonl.data(), jsonl.size(), &ids.first,
                                             &ids.count, &why);
    }
    auditrail_status append_returning(std::string_view json, buffer &line,
                                      auditrail_error &why) noexcept {
        auditrail_buffer *made = nullptr;
        const auto status =
            auditrail_writer_append_returning(get(), json.data(), json.size(), &made, &why);
        if (status == AUDITRAIL_OK)
            line = buffer(made);
        return status;
    }
    auditrail_status flush(auditrail_error &why) noexcept {
        return auditrail_writer_flush(get(), &why);
    }
    auditrail_status sync(auditrail_error &why) noexcept {
        return auditrail_writer_sync(get(), &why);
    }
    auditrail_status close(auditrail_error &why) noexcept {
        const auditrail_status status = auditrail_writer_close(get(), &why);
        if (status != AUDITRAIL_ERR_INVALID_ARGUMENT) // by its own warning handler: still open
            (void)handle_.release();
        return status;
    }

#if AUDITRAIL_EXCEPTIONS
    explicit writer(const std::string &root, const options &how = options()) {
        auditrail_writer *handle = nullptr;
        detail::checked([&](auditrail_error *e) {
            return auditrail_writer_open(detail::c_text(root), detail::handle(how), &handle, e);
        });
        handle_.reset(handle);
    }

    /** Appends an event, given as JSON text, and returns its id. */
    std::uint64_t append(std::string_view json) {
        std::uint64_t id = 0;
        detail::checked([&](auditrail_error *e) { return append(json, id, *e); });
        return id;
    }
    std::uint64_t append(const char *json) { return append(std::string_view(json)); }
    std::uint64_t append(const event &event) { return append(detail::json(event)); }

    /** Appends lines of JSON, all or none, and returns their ids. */
    id_range append_batch(std::string_view jsonl) {
        id_range ids;
        detail::checked([&](auditrail_error *e) { return append_batch(jsonl, ids, *e); });
        return ids;
    }
    /** The same for events as fields; none: no id. */
    template <typename Events> id_range append_events(const Events &events) {
        std::string lines;
        for (const event &event : events) {
            lines += detail::json(event);
            lines += '\n';
        }
        return lines.empty() ? id_range() : append_batch(lines);
    }
    /** Appends an event and returns its line as it was persisted. */
    buffer append_returning(std::string_view json) {
        buffer line;
        detail::checked([&](auditrail_error *e) { return append_returning(json, line, *e); });
        return line;
    }
    buffer append_returning(const event &event) { return append_returning(detail::json(event)); }

    /** Gives all accepted events to the operating system. */
    void flush() {
        detail::checked([&](auditrail_error *e) { return flush(*e); });
    }
    /** Brings all accepted events to disk. */
    void sync() {
        detail::checked([&](auditrail_error *e) { return sync(*e); });
    }
    auditrail_stats stats() const {
        auditrail_stats stats = {};
        stats.size = sizeof stats;
        detail::checked([&](auditrail_error *e) { return auditrail_writer_stats(get(), &stats, e); });
        return stats;
    }
    /** Lets the trail go, and says what could not be done; the destructor only
     *  lets go. */
    void close() {
        detail::checked([&](auditrail_error *e) { return close(*e); });
    }
#endif

private:
    explicit writer(auditrail_writer *taken) noexcept : handle_(taken) {}

    struct close_it {
        void operator()(auditrail_writer *handle) const noexcept {
            auditrail_writer_close(handle, nullptr);
        }
    };
    std::unique_ptr<auditrail_writer, close_it> handle_;
};

/** Which events to read, in what order, and how many. */
class filter {
    using list = std::initializer_list<std::string_view>;

public:
    filter() : handle_(auditrail_filter_new()) {}
    auditrail_filter *get() const noexcept { return handle_.get(); }

#if AUDITRAIL_EXCEPTIONS
    filter &domain(std::string_view text) { return add(auditrail_filter_add_domain, text); }
    filter &category(std::string_view text) { return add(auditrail_filter_add_category, text); }
    filter &model_name(std::string_view text) { return add(auditrail_filter_add_model_name, text); }
    filter &operation(std::string_view text) { return add(auditrail_filter_add_operation, text); }
    filter &user(std::string_view text) { return add(auditrail_filter_add_user, text); }
    /* All that stands in a list, such as a vector of texts; one text is a list of
     * one. A list that is empty lets nothing through, whatever else is added. */
    template <typename Texts = list> filter &domains(const Texts &texts) {
        return add_all(auditrail_filter_add_domain, texts);
    }
    template <typename Texts = list> filter &categories(const Texts &texts) {
        return add_all(auditrail_filter_add_category, texts);
    }
    template <typename Texts = list> filter &model_names(const Texts &texts) {
        return add_all(auditrail_filter_add_model_name, texts);
    }
    template <typename Texts = list> filter &operations(const Texts &texts) {
        return add_all(auditrail_filter_add_operation, texts);
    }
    template <typename Texts = list> filter &users(const Texts &texts) {
        return add_all(auditrail_filter_add_user, texts);
    }
    filter &request_id(std::string_view text) { return add(auditrail_filter_set_request_id, text); }
    template <typename Min, typename Max> filter &event_ids(Min min, Max max) {
        set(auditrail_filter_set_event_ids, detail::number<std::uint64_t>(min),
            detail::number<std::uint64_t>(max));
        return nothing_ ? nothing() : *this;
    }
    template <typename Min, typename Max> filter &timestamps(Min min, Max max) {
        return set(auditrail_filter_set_timestamps, detail::number<std::int64_t>(min),
                   detail::number<std::int64_t>(max));
    }
    filter &order(auditrail::order wanted) {
        return set(auditrail_filter_set_order, static_cast<auditrail_order>(wanted));
    }
    /** 0: no limit. */
    template <typename Number> filter &limit(Number events) {
        return set(auditrail_filter_set_limit, detail::number<std::uint64_t>(events));
    }
#endif

private:
#if AUDITRAIL_EXCEPTIONS
    template <typename Setter, typename... Values> filter &set(Setter setter, Values... values) {
        detail::checked([&](auditrail_error *e) { return setter(get(), values..., e); });
        return *this;
    }
    template <typename Adder> filter &add(Adder adder, std::string_view text) {
        return set(adder, text.data(), text.size());
    }
    template <typename Adder, typename Texts> filter &add_all(Adder adder, const Texts &texts) {
        if constexpr (std::is_convertible_v<const Texts &, std::string_view>) {
            return add(adder, texts);
        } else {
            bool empty = true;
            for (const auto &text : texts) {
                add(adder, text);
                empty = false;
            }
            return empty ? nothing() : *this;
        }
    }
    /** Ids begin at 1. */
    filter &nothing() {
        nothing_ = true;
        return set(auditrail_filter_set_event_ids, std::uint64_t{0}, std::uint64_t{0});
    }
#endif
    struct free_it {
        void operator()(auditrail_filter *handle) const noexcept { auditrail_filter_free(handle); }
    };
    std::unique_ptr<auditrail_filter, free_it> handle_;
    bool nothing_ = false;  /* a list was empty */
};

/** The events of a trail that pass a filter: a range to walk once. */
class reader {
public:
    static std::optional<reader> open(const char *root, const filter *which,
                                      auditrail_error &why) noexcept {
        auditrail_reader *handle = nullptr;
        if (which != nullptr && !detail::usable(*which, why))
            return std::nullopt;
        if (auditrail_reader_open(root, which ? which->get() : nullptr, &handle, &why) !=
            AUDITRAIL_OK)
            return std::nullopt;
        return reader(handle);
    }

    auditrail_reader *get() const noexcept { return handle_.get(); }

    /** AUDITRAIL_OK with the next event, AUDITRAIL_END, or why not. */
    auditrail_status next(record &event, auditrail_error &why) noexcept {
        const char *json = nullptr;
        std::size_t length = 0;
        const auto status = auditrail_reader_next(get(), &json, &length, &event.event_id, &why);
        if (status == AUDITRAIL_OK)
            event.json = std::string_view(json, length);
        return status;
    }

    /** The same, but waits at the end until there is a new event. */
    auditrail_status follow(record &event, std::uint64_t timeout_ms, auditrail_error &why) noexcept {
        const char *json = nullptr;
        std::size_t length = 0;
        const auto status =
            auditrail_reader_follow(get(), timeout_ms, &json, &length, &event.event_id, &why);
        if (status == AUDITRAIL_OK)
            event.json = std::string_view(json, length);
        return status;
    }

    /* Fields of the present event, without the escapes of JSON. */
    std::int64_t timestamp() const noexcept { return auditrail_reader_timestamp(get()); }
    std::string_view domain() noexcept { return field(auditrail_reader_domain); }
    std::string_view category() noexcept { return field(auditrail_reader_category); }
    std::string_view model_name() noexcept { return field(auditrail_reader_model_name); }
    std::string_view operation() noexcept { return field(auditrail_reader_operation); }
    std::string_view user() noexcept { return field(auditrail_reader_user); }
    /** Empty if there is none. */
    std::string_view request_id() noexcept { return field(auditrail_reader_request_id); }
    /** As JSON text; empty if there is none. */
    std::string_view payload() noexcept { return field(auditrail_reader_payload); }

    /** How many lines were met so far that are no events. */
    std::uint64_t damage_count() const noexcept { return auditrail_reader_damage_count(get()); }

#if AUDITRAIL_EXCEPTIONS
    explicit reader(const std::string &root, const filter &which = filter()) {
        auditrail_reader *handle = nullptr;
        detail::checked([&](auditrail_error *e) {
            return auditrail_reader_open(detail::c_text(root), detail::handle(which), &handle, e);
        });
        handle_.reset(handle);
    }

    /** The next event; false at the end. */
    bool next(record &event) {
        return detail::checked([&](auditrail_error *e) { return next(event, *e); }) == AUDITRAIL_OK;
    }
    /** The same, but waits at the end until there is a new event; false if there
     *  was none in that time. */
    template <typename Number> bool follow(record &event, Number timeout_ms) {
        const auto ms = detail::number<std::uint64_t>(timeout_ms);
        return detail::checked([&](auditrail_error *e) { return follow(event, ms, *e); }) ==
               AUDITRAIL_OK;
    }

    class iterator {
    public:
        using iterator_category = std::input_iterator_tag;
        using value_type = record;
        using difference_type = std::ptrdiff_t;
        using pointer = const record *;
        using reference = const record &;

        iterator() = default;
        explicit iterator(reader &from) : from_(&from) { ++*this; }
        reference operator*() const noexcept { return event_; }
        pointer operator->() const noexcept { return &event_; }
        iterator &operator++() {
            if (!from_->next(event_))
                from_ = nullptr;
            return *this;
        }
        void operator++(int) { ++*this; }
        friend bool operator==(const iterator &a, const iterator &b) noexcept {
            return a.from_ == b.from_;
        }
        friend bool operator!=(const iterator &a, const iterator &b) noexcept { return !(a == b); }

    private:
        reader *from_ = nullptr;
        record event_;
    };

    iterator begin() { return iterator(*this); }
    iterator end() noexcept { return iterator(); }
#endif

private:
    explicit reader(auditrail_reader *taken) noexcept : handle_(taken) {}

    template <typename Get> std::string_view field(Get get_it) noexcept {
        std::size_t length = 0;
        const char *text = get_it(get(), &length);
        return text ? std::string_view(text, length) : std::string_view();
    }

    struct close_it {
        void operator()(auditrail_reader *handle) const noexcept { auditrail_reader_close(handle); }
    };
    std::unique_ptr<auditrail_reader, close_it> handle_;
};

#if AUDITRAIL_EXCEPTIONS
/** The records of a domain and category as their events leave them: JSON text,
 *  {"state":{…},"last_event_id":…,"applied_events":…}. */
inline buffer replay(const std::string &root, const std::string &domain,
                     const std::string &category, const filter &which = filter()) {
    auditrail_buffer *made = nullptr;
    detail::checked([&](auditrail_error *e) {
        return auditrail_replay(detail::c_text(root), detail::c_text(domain),
                                detail::c_text(category), detail::handle(which), &made, e);
    });
    return buffer(made);
}

/** What happened to one record, event by event: JSON text. */
inline buffer history(const std::string &root, const std::string &domain, const std::string &category,
                      const std::string &model_name, const filter &which = filter()) {
    auditrail_buffer *made = nullptr;
    detail::checked([&](auditrail_error *e) {
        return auditrail_history(detail::c_text(root), detail::c_text(domain),
                                 detail::c_text(category), detail::c_text(model_name),
                                 detail::handle(which), &made, e);
    });
    return buffer(made);
}

/** Goes through a trail without changing it; the report is JSON text. Events before
 *  `pruned_before` may be missing: see `auditrail_check_pruned`. */
inline buffer check(const std::string &root, std::uint64_t pruned_before = 0) {
    auditrail_buffer *made = nullptr;
    detail::checked([&](auditrail_error *e) {
        return auditrail_check_pruned(detail::c_text(root), pruned_before, &made, e);
    });
    return buffer(made);
}
#endif

}  // namespace auditrail

#endif
