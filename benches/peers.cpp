// Other projects that people keep events with, each with its own defaults
// except where its constructor says otherwise. None of them checks the JSON.
#include "harness.hpp"

#include <atomic>
#include <mutex>
#include <rocksdb/db.h>
#include <spdlog/sinks/rotating_file_sink.h>
#include <spdlog/spdlog.h>
#include <sqlite3.h>

// From benches/peers, the two that are Rust crates.
extern "C" {
void *peer_open(const char *name, const char *folder, std::uint64_t segment_bytes,
                unsigned threads);
int peer_append(void *peer, unsigned thread, const char *line, std::size_t length);
int peer_flush(void *peer);
void peer_close(void *peer);
}

namespace bench {
namespace {

// spdlog's rotating file sink, which formats the line from the event's fields.
class Spdlog : public Contender {
public:
    explicit Spdlog(const Setup &setup)
        : logger_(spdlog::rotating_logger_mt("bench", setup.folder + "/spdlog.jsonl",
                                             setup.segment_bytes, 16)) {
        logger_->set_pattern("%v");
    }
    ~Spdlog() override { spdlog::drop("bench"); }

    void append(unsigned, const Call &call) override {
        for (std::size_t i = 0; i < call.count; ++i) {
            const Event &e = call.events[i];
            const std::uint64_t id = last_id_.fetch_add(1, std::memory_order_relaxed) + 1;
            const bool request = !e.request_id.empty();
            const bool payload = !e.payload.empty();
            logger_->info(
                R"({{"event_id":{},"timestamp":{},"domain":{},"category":{},"model_name":{},"operation":{},"logical_user_id":{}{}{}{}{}}})",
                id, e.timestamp, e.domain, e.category, e.model_name, e.operation, e.user,
                request ? R"(,"request_id":)" : "", e.request_id, payload ? R"(,"payload":)" : "",
                e.payload);
        }
    }
    void flush() override { logger_->flush(); }

private:
    std::shared_ptr<spdlog::logger> logger_;
    std::atomic<std::uint64_t> last_id_{0};
};

// SQLite in WAL mode, a transaction an event, one connection behind a mutex.
class Sqlite : public Contender {
public:
    Sqlite(const char *synchronous, const Setup &setup) {
        check(sqlite3_open((setup.folder + "/events.sqlite").c_str(), &db_));
        run("PRAGMA journal_mode=WAL");
        run(std::string("PRAGMA synchronous=") + synchronous);
        run("CREATE TABLE events (event_id INTEGER PRIMARY KEY, line TEXT NOT NULL)");
        check(sqlite3_prepare_v2(db_, "INSERT INTO events (line) VALUES (?)", -1, &insert_,
                                 nullptr));
    }
    ~Sqlite() override {
        sqlite3_finalize(insert_);
        sqlite3_close(db_);
    }

    void append(unsigned, const Call &call) override {
        std::lock_guard<std::mutex> lock(mutex_);
        for (std::size_t i = 0; i < call.count; ++i) {
            const std::string_view line = call.events[i].line;
            check(sqlite3_bind_text(insert_, 1, line.data(), static_cast<int>(line.size()),
                                    SQLITE_STATIC));
            if (sqlite3_step(insert_) != SQLITE_DONE) fail(sqlite3_errmsg(db_));
            check(sqlite3_reset(insert_));
        }
    }

private:
    void run(const std::string &sql) {
        check(sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr));
    }
    void check(int result) {
        if (result != SQLITE_OK) fail(std::string("sqlite: ") + sqlite3_errmsg(db_));
    }
    std::mutex mutex_;
    sqlite3 *db_ = nullptr;
    sqlite3_stmt *insert_ = nullptr;
};

// RocksDB, the id as key, the line as value.
class Rocks : public Contender {
public:
    Rocks(bool sync, const Setup &setup) {
        rocksdb::Options options;
        options.create_if_missing = true;
        rocksdb::DB *db = nullptr;
        check(rocksdb::DB::Open(options, setup.folder + "/rocksdb", &db));
        db_.reset(db);
        write_.sync = sync;
    }

    void append(unsigned, const Call &call) override {
        for (std::size_t i = 0; i < call.count; ++i) {
            std::uint64_t id = last_id_.fetch_add(1, std::memory_order_relaxed) + 1;
            char key[8];
            for (int at = 7; at >= 0; --at, id >>= 8) key[at] = static_cast<char>(id & 0xff);
            const std::string_view line = call.events[i].line;
            check(db_->Put(write_, rocksdb::Slice(key, sizeof key),
                           rocksdb::Slice(line.data(), line.size())));
        }
    }

private:
    static void check(const rocksdb::Status &status) {
        if (!status.ok()) fail("rocksdb: " + status.ToString());
    }
    std::unique_ptr<rocksdb::DB> db_;
    rocksdb::WriteOptions write_;
    std::atomic<std::uint64_t> last_id_{0};
};

// tracing-appender (its thread, lossless) and file-rotate (behind a mutex).
class Crate : public Contender {
public:
    Crate(const std::string &name, const Setup &setup)
        : peer_(peer_open(name.c_str(), setup.folder.c_str(), setup.segment_bytes,
                          setup.threads)) {
        if (peer_ == nullptr) fail(name + " could not be opened");
    }
    ~Crate() override { peer_close(peer_); }
    void append(unsigned thread, const Call &call) override {
        for (std::size_t i = 0; i < call.count; ++i) {
            const std::string_view line = call.events[i].line;
            if (peer_append(peer_, thread, line.data(), line.size()) != 0) fail("peer_append");
        }
    }
    void flush() override {
        if (peer_flush(peer_) != 0) fail("peer_flush");
    }

private:
    void *peer_;
};

}  // namespace

std::unique_ptr<Contender> make_peer(const std::string &name, const Setup &setup) {
    if (name == "spdlog") return std::make_unique<Spdlog>(setup);
    if (name == "SQLite WAL NORMAL") return std::make_unique<Sqlite>("NORMAL", setup);
    if (name == "SQLite WAL FULL") return std::make_unique<Sqlite>("FULL", setup);
    if (name == "RocksDB") return std::make_unique<Rocks>(false, setup);
    if (name == "RocksDB synced") return std::make_unique<Rocks>(true, setup);
    if (name == "tracing-appender" || name == "file-rotate") {
        return std::make_unique<Crate>(name, setup);
    }
    return nullptr;
}

}  // namespace bench
