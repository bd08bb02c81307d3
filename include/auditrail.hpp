/* auditrail for C++17: a header over the C interface, nothing to link but the
 * library.
 *
 *     auditrail::writer trail("audit");
 *     std::uint64_t id = trail.append({"v2", "users", "ada", "create", "admin-7"});
 *     for (const auditrail::record &event : auditrail::reader("audit"))
 *         std::cout << event.event_id << ' ' << event.json << '\n';
 *
 * - Handles are owned by objects that move and do not copy, and are let go with
 *   them. One that was moved from can only be destroyed or assigned to.
 * - A failure throws auditrail::error, with status, errno, byte and message.
 *   Beside it, what a program does again and again has a form that does not
 *   throw: it takes an auditrail_error last and returns the status. Under
 *   -fno-exceptions only these forms are there, and the C interface, into which
 *   get() leads from each object.
 * - Threads may share a writer; options, filters and readers are for one thread
 *   at a time. A child made by fork opens its own.
 *
 * What the functions promise is told in auditrail.h.
 */
#ifndef AUDITRAIL_HPP
#define AUDITRAIL_HPP

#include "auditrail.h"

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
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
    synced = AUDITRAIL_DURABILITY_SYNCED
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
    std::string_view payload = {};  /* the text of a JSON object; empty: none */
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

#if AUDITRAIL_EXCEPTIONS
/** Runs a call that fills in an auditrail_error, and throws what it says. */
template <typename Call> auditrail_status checked(Call call) {
    auditrail_error details;
    const auditrail_status status = call(&details);
    if (status < 0)
        throw error(details);
    return status;
}
#endif

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

/** The JSON text of an event. */
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
        out += event.payload;
    }
    out += '}';
    return out;
}

}  // namespace detail

/** How a trail is opened. */
class options {
public:
    options() : handle_(auditrail_options_new()) {}
    auditrail_options *get() const noexcept { return handle_.get(); }

#if AUDITRAIL_EXCEPTIONS
    options &max_segment_bytes(std::uint64_t bytes) {
        return set(auditrail_options_set_max_segment_bytes, bytes);
    }
    options &max_event_bytes(std::uint64_t bytes) {
        return set(auditrail_options_set_max_event_bytes, bytes);
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
    options &buffer_bytes(std::uint64_t bytes) {
        return set(auditrail_options_set_buffer_bytes, bytes);
    }
    options &flush_interval_ms(std::uint64_t milliseconds) {
        return set(auditrail_options_set_flush_interval_ms, milliseconds);
    }
    options &max_open_files(std::uint64_t files) {
        return set(auditrail_options_set_max_open_files, files);
    }
    /** The callback must return normally; user_data must outlive the writer. */
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
        return auditrail_writer_close(handle_.release(), &why);
    }

#if AUDITRAIL_EXCEPTIONS
    explicit writer(const std::string &root, const options &how = options()) {
        auditrail_writer *handle = nullptr;
        detail::checked([&](auditrail_error *e) {
            return auditrail_writer_open(root.c_str(), how.get(), &handle, e);
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
public:
    filter() : handle_(auditrail_filter_new()) {}
    auditrail_filter *get() const noexcept { return handle_.get(); }

#if AUDITRAIL_EXCEPTIONS
    filter &domain(std::string_view text) { return add(auditrail_filter_add_domain, text); }
    filter &category(std::string_view text) { return add(auditrail_filter_add_category, text); }
    filter &model_name(std::string_view text) { return add(auditrail_filter_add_model_name, text); }
    filter &operation(std::string_view text) { return add(auditrail_filter_add_operation, text); }
    filter &user(std::string_view text) { return add(auditrail_filter_add_user, text); }
    filter &request_id(std::string_view text) { return add(auditrail_filter_set_request_id, text); }
    filter &event_ids(std::uint64_t min, std::uint64_t max) {
        return set(auditrail_filter_set_event_ids, min, max);
    }
    filter &timestamps(std::int64_t min, std::int64_t max) {
        return set(auditrail_filter_set_timestamps, min, max);
    }
    filter &order(auditrail::order wanted) {
        return set(auditrail_filter_set_order, static_cast<auditrail_order>(wanted));
    }
    filter &limit(std::uint64_t events) { return set(auditrail_filter_set_limit, events); }
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
#endif
    struct free_it {
        void operator()(auditrail_filter *handle) const noexcept { auditrail_filter_free(handle); }
    };
    std::unique_ptr<auditrail_filter, free_it> handle_;
};

/** The events of a trail that pass a filter: a range to walk once. */
class reader {
public:
    static std::optional<reader> open(const char *root, const filter *which,
                                      auditrail_error &why) noexcept {
        auditrail_reader *handle = nullptr;
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
            return auditrail_reader_open(root.c_str(), which.get(), &handle, e);
        });
        handle_.reset(handle);
    }

    /** The next event; false at the end. */
    bool next(record &event) {
        return detail::checked([&](auditrail_error *e) { return next(event, *e); }) == AUDITRAIL_OK;
    }
    /** The same, but waits at the end until there is a new event; false if there
     *  was none in that time. */
    bool follow(record &event, std::uint64_t timeout_ms) {
        return detail::checked([&](auditrail_error *e) { return follow(event, timeout_ms, *e); }) ==
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
        return auditrail_replay(root.c_str(), domain.c_str(), category.c_str(), which.get(), &made, e);
    });
    return buffer(made);
}

/** What happened to one record, event by event: JSON text. */
inline buffer history(const std::string &root, const std::string &domain, const std::string &category,
                      const std::string &model_name, const filter &which = filter()) {
    auditrail_buffer *made = nullptr;
    detail::checked([&](auditrail_error *e) {
        return auditrail_history(root.c_str(), domain.c_str(), category.c_str(), model_name.c_str(),
                                 which.get(), &made, e);
    });
    return buffer(made);
}

/** Goes through a trail without changing it; the report is JSON text. */
inline buffer check(const std::string &root) {
    auditrail_buffer *made = nullptr;
    detail::checked([&](auditrail_error *e) { return auditrail_check(root.c_str(), &made, e); });
    return buffer(made);
}
#endif

}  // namespace auditrail

#endif
