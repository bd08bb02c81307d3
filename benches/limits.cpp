// The bare limits: what the machine gives for finished lines when nothing is
// checked, numbered, sorted or recovered.
#include "harness.hpp"

#include <atomic>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <linux/futex.h>
#include <mutex>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <unordered_map>

namespace bench {

void fail_errno(const std::string &what) { fail(what + ": " + std::strerror(errno)); }

namespace {

// A file that goes on to the next number when it has reached its limit.
class Segments {
public:
    Segments(std::string folder, std::uint64_t limit) : folder_(std::move(folder)), limit_(limit) {}
    ~Segments() { close(); }

    void write(const char *bytes, std::size_t length) {
        if (fd_ < 0 || size_ >= limit_) next();
        while (length > 0) {
            const ssize_t n = ::write(fd_, bytes, length);
            if (n < 0) {
                if (errno == EINTR) continue;
                fail_errno("write");
            }
            bytes += n;
            length -= static_cast<std::size_t>(n);
            size_ += static_cast<std::uint64_t>(n);
        }
    }

private:
    void next() {
        close();
        const std::string path = folder_ + "/bare-" + std::to_string(++number_);
        fd_ = ::open(path.c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0644);
        if (fd_ < 0) fail_errno("open " + path);
        size_ = 0;
    }
    void close() {
        if (fd_ >= 0) ::close(fd_);
        fd_ = -1;
    }

    std::string folder_;
    std::uint64_t limit_;
    std::uint64_t size_ = 0;
    unsigned number_ = 0;
    int fd_ = -1;
};

// Lines are copied into 64 KiB behind a lock; a full buffer is written.
class LockedBuffer : public Contender {
public:
    explicit LockedBuffer(const Setup &setup) : segments_(setup.folder, setup.segment_bytes) {
        buffer_.reserve(kBytes);
    }

    void append(unsigned, const Call &call) override {
        for (std::size_t i = 0; i < call.count; ++i) {
            const std::string_view line = call.events[i].line;
            std::lock_guard<std::mutex> lock(mutex_);
            if (buffer_.size() + line.size() > kBytes) write();
            buffer_.append(line);
        }
    }

    void flush() override {
        std::lock_guard<std::mutex> lock(mutex_);
        write();
    }

private:
    static constexpr std::size_t kBytes = 64 * 1024;
    void write() {
        if (!buffer_.empty()) segments_.write(buffer_.data(), buffer_.size());
        buffer_.clear();
    }
    std::mutex mutex_;
    std::string buffer_;
    Segments segments_;
};

// The same with a file and a buffer a stream, all files open. The buffers have
// as much together as one of ours has when it is flushed.
class BufferStream : public Contender {
public:
    explicit BufferStream(const Setup &setup)
        : setup_(setup), bytes_((setup.buffer_bytes == 0 ? 3 << 20 : setup.buffer_bytes) / 2) {}

    void append(unsigned, const Call &call) override {
        for (std::size_t i = 0; i < call.count; ++i) {
            const Event &event = call.events[i];
            std::lock_guard<std::mutex> lock(mutex_);
            Stream &stream = find(event.category);
            if (stream.buffer.size() + event.line.size() > bytes_ / streams_.size()) {
                stream.write();
            }
            stream.buffer.append(event.line);
        }
    }

    void flush() override {
        std::lock_guard<std::mutex> lock(mutex_);
        for (auto &stream : streams_) stream.second->write();
    }

private:
    struct Stream {
        explicit Stream(const Setup &setup, const std::string &folder)
            : segments(folder, setup.segment_bytes) {}
        void write() {
            if (!buffer.empty()) segments.write(buffer.data(), buffer.size());
            buffer.clear();
        }
        std::string buffer;
        Segments segments;
    };

    Stream &find(std::string_view category) {
        const auto found = streams_.find(category);
        if (found != streams_.end()) return *found->second;
        const std::string folder = setup_.folder + "/" + std::to_string(streams_.size());
        if (::mkdir(folder.c_str(), 0755) != 0) fail_errno("mkdir " + folder);
        return *streams_.emplace(category, std::make_unique<Stream>(setup_, folder)).first->second;
    }

    Setup setup_;
    std::size_t bytes_;
    std::mutex mutex_;
    std::unordered_map<std::string_view, std::unique_ptr<Stream>> streams_;
};

// One write(2) a line.
class Write : public Contender {
public:
    explicit Write(const Setup &setup) : segments_(setup.folder, setup.segment_bytes) {}
    void append(unsigned, const Call &call) override {
        for (std::size_t i = 0; i < call.count; ++i) {
            segments_.write(call.events[i].line.data(), call.events[i].line.size());
        }
    }

private:
    Segments segments_;
};

// The same behind a mutex.
class LockedWrite : public Contender {
public:
    explicit LockedWrite(const Setup &setup) : segments_(setup.folder, setup.segment_bytes) {}
    void append(unsigned, const Call &call) override {
        for (std::size_t i = 0; i < call.count; ++i) {
            std::lock_guard<std::mutex> lock(mutex_);
            segments_.write(call.events[i].line.data(), call.events[i].line.size());
        }
    }

private:
    std::mutex mutex_;
    Segments segments_;
};

// A file that was filled with zeros and synced ahead, so that syncing what is
// written over them has no metadata to write. At its end it starts over.
class ZeroedFile {
public:
    explicit ZeroedFile(const Setup &setup) {
        const std::string path = setup.folder + "/zeroed";
        fd_ = ::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
        if (fd_ < 0) fail_errno("open " + path);
        const std::string zeros(256 * 1024, '\0');
        for (std::uint64_t at = 0; at < kBytes; at += zeros.size()) put(zeros, at);
        sync();
    }
    ~ZeroedFile() { ::close(fd_); }

    void write_and_sync(std::string_view bytes) {
        if (end_ + bytes.size() > kBytes) end_ = 0;
        put(bytes, end_);
        sync();
        end_ += bytes.size();
    }

private:
    static constexpr std::uint64_t kBytes = 64 * 1024 * 1024;
    void put(std::string_view bytes, std::uint64_t at) {
        if (::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(at)) !=
            static_cast<ssize_t>(bytes.size())) {
            fail_errno("pwrite");
        }
    }
    void sync() {
        if (::fdatasync(fd_) != 0) fail_errno("fdatasync");
    }
    int fd_ = -1;
    std::uint64_t end_ = 0;
};

// pwrite and fdatasync for each line: one thread.
class WriteSync : public Contender {
public:
    explicit WriteSync(const Setup &setup) : file_(setup) {}
    void append(unsigned, const Call &call) override {
        for (std::size_t i = 0; i < call.count; ++i) file_.write_and_sync(call.events[i].line);
    }

private:
    ZeroedFile file_;
};

// Group commit: the first to join a group waits for the file, then writes and
// syncs for all who have joined by then; they sleep on one word and are woken
// all at once.
class GroupCommit : public Contender {
public:
    explicit GroupCommit(const Setup &setup) : file_(setup) {}

    void append(unsigned, const Call &call) override {
        std::shared_ptr<Group> group;
        bool leads = false;
        {
            std::lock_guard<std::mutex> lock(joining_);
            if (!gathering_) {
                gathering_ = std::make_shared<Group>();
                leads = true;
            }
            group = gathering_;
            for (std::size_t i = 0; i < call.count; ++i) group->lines.append(call.events[i].line);
        }
        if (!leads) {
            while (group->done.load(std::memory_order_acquire) == 0) futex(group->done, FUTEX_WAIT, 0);
            return;
        }
        {
            std::lock_guard<std::mutex> writing(writing_);
            {
                std::lock_guard<std::mutex> lock(joining_);
                gathering_.reset();
            }
            file_.write_and_sync(group->lines);
        }
        group->done.store(1, std::memory_order_release);
        futex(group->done, FUTEX_WAKE, 1 << 30);
    }

private:
    struct Group {
        std::string lines;
        std::atomic<std::uint32_t> done{0};
    };
    static void futex(std::atomic<std::uint32_t> &word, int what, std::uint32_t value) {
        ::syscall(SYS_futex, &word, what | FUTEX_PRIVATE_FLAG, value, nullptr, nullptr, 0);
    }

    std::mutex joining_;
    std::mutex writing_;
    std::shared_ptr<Group> gathering_;
    ZeroedFile file_;
};

}  // namespace

std::unique_ptr<Contender> make_limit(const std::string &name, const Setup &setup) {
    if (name == "locked buffer") return std::make_unique<LockedBuffer>(setup);
    if (name == "a buffer a stream") return std::make_unique<BufferStream>(setup);
    if (name == "write(2)") return std::make_unique<Write>(setup);
    if (name == "mutex + write(2)") return std::make_unique<LockedWrite>(setup);
    if (name == "pwrite + fdatasync") return std::make_unique<WriteSync>(setup);
    if (name == "group commit") return std::make_unique<GroupCommit>(setup);
    return nullptr;
}

}  // namespace bench
