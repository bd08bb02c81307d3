// What the side-by-side benchmark and its contenders share.
//
// A contender is one way of keeping events: our library in one of its
// durabilities, a bare limit of the machine, or another project. Each is given
// the same events and has to keep their lines; what it promises when `append`
// returns is what its name says. The runner (side_by_side.cpp) knows nothing
// else about them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace bench {

// The size at which segments rotate, wherever something rotates.
inline constexpr std::uint64_t kSegmentBytes = 5 * 1024 * 1024;

// One event: as a caller has it, as it is persisted, and in its parts.
struct Event {
    std::string_view json;  // what our append takes, no newline
    std::string_view line;  // what ends up in the file, with its newline
    std::string_view timestamp, domain, category, model_name, operation, user;
    std::string_view request_id, payload;  // raw JSON text; empty: none
};

// What one call of `append` has to keep: one event, or several at once.
struct Call {
    const Event *events;
    std::size_t count;
    std::string_view jsonl;  // the same as lines of JSON
};

// How a contender is opened.
struct Setup {
    std::string folder;  // empty, its own
    unsigned threads = 1;
    std::uint64_t segment_bytes = kSegmentBytes;
    std::uint64_t open_files = 0;  // 0: the default
    std::uint64_t buffer_bytes = 0;  // 0: the default
};

class Contender {
public:
    virtual ~Contender() = default;
    // Called from `threads` threads at once, each with its own number.
    virtual void append(unsigned thread, const Call &call) = 0;
    // Gives whatever is buffered to the kernel. Part of the measured time.
    virtual void flush() {}
};

// A contender by its name; throws where there is none.
std::unique_ptr<Contender> make_ours(const std::string &name, const Setup &setup);
std::unique_ptr<Contender> make_limit(const std::string &name, const Setup &setup);
std::unique_ptr<Contender> make_peer(const std::string &name, const Setup &setup);

// The lines of the events as our library persists them.
std::vector<std::string> persisted_lines(const std::vector<std::string> &events,
                                         const std::string &folder);

[[noreturn]] inline void fail(const std::string &what) { throw std::runtime_error(what); }
[[noreturn]] void fail_errno(const std::string &what);

}  // namespace bench
