// What is measured: each workload is run by each of its contenders.
#pragma once

#include <string>
#include <vector>

namespace bench {

struct Workload {
    std::string group;   // what an append waits for
    std::string events;  // "real", or the size of made-up ones
    unsigned threads;
    unsigned streams;  // 0: as the events have them
    unsigned batch;
    std::vector<std::string> contenders;
    bool full_only = false;
    unsigned long long segment_bytes = 5 * 1024 * 1024;
    unsigned open_files = 0;               // 0: the default
    unsigned long long buffer_bytes = 0;  // 0: the default
};

inline std::vector<Workload> workloads() {
    using Names = std::vector<std::string>;
    const Names buffered = {"auditrail BUFFERED", "locked buffer", "spdlog", "tracing-appender"};
    const auto written = [](unsigned threads) {
        Names names = {"auditrail WRITTEN", threads == 1 ? "write(2)" : "mutex + write(2)",
                       "file-rotate", "RocksDB", "SQLite WAL NORMAL"};
        if (threads == 1) names.push_back("predecessor (Python)");
        return names;
    };
    const auto synced = [](unsigned threads) {
        return Names{"auditrail SYNCED", threads == 1 ? "pwrite + fdatasync" : "group commit",
                     "RocksDB synced", "SQLite WAL FULL"};
    };
    std::vector<Workload> all;
    for (unsigned threads : {1u, 8u, 64u}) {
        all.push_back({"SYNCED", "real", threads, 0, 1, synced(threads)});
    }
    for (unsigned threads : {8u, 64u}) {
        for (unsigned streams : {1u, 16u}) {
            all.push_back({"SYNCED", "real", threads, streams, 1, {"auditrail SYNCED"}});
        }
    }
    for (const char *size : {"200", "2048", "65536"}) {
        all.push_back({"SYNCED", size, 1, 0, 1, synced(1), true});
    }
    for (unsigned threads : {1u, 2u, 8u}) {
        all.push_back({"WRITTEN", "real", threads, 0, 1, written(threads)});
    }
    for (const char *size : {"200", "2048", "65536"}) {
        all.push_back({"WRITTEN", size, 1, 0, 1, written(1)});
    }
    all.push_back({"WRITTEN", "real", 1, 0, 64, {"auditrail WRITTEN", "locked buffer"}});
    for (unsigned threads : {1u, 2u, 8u}) {
        Names names = buffered;
        // What two threads reach on this machine that share nothing.
        if (threads == 2) names.push_back("a trail each");
        all.push_back({"BUFFERED", "real", threads, 0, 1, names});
    }
    for (unsigned threads : {1u, 8u}) {
        all.push_back({"MAPPED", "real", threads, 0, 1,
                       {"auditrail MAPPED", "auditrail BUFFERED", "auditrail WRITTEN"}});
    }
    for (const char *size : {"200", "2048", "65536"}) {
        all.push_back({"BUFFERED", size, 1, 0, 1, buffered});
    }
    all.push_back({"BUFFERED", "real", 1, 1, 1, {"auditrail BUFFERED"}});
    all.push_back({"BUFFERED", "real", 1, 1000, 1, {"auditrail BUFFERED"}});
    all.push_back({"BUFFERED", "real", 1, 1000, 1, {"auditrail BUFFERED", "a buffer a stream"},
                   false, 5 * 1024 * 1024, 1024});
    all.push_back({"BUFFERED", "real", 1, 1000, 1, {"auditrail BUFFERED", "a buffer a stream"},
                   false, 5 * 1024 * 1024, 1024, 32 * 1024 * 1024});

    // How the cost grows.
    for (unsigned threads : {2u, 4u, 16u, 32u}) {
        all.push_back({"SYNCED", "real", threads, 0, 1, {"auditrail SYNCED"}, true});
    }
    for (unsigned threads : {4u, 16u, 64u}) {
        all.push_back({"WRITTEN", "real", threads, 0, 1, {"auditrail WRITTEN"}, true});
        all.push_back({"BUFFERED", "real", threads, 0, 1, {"auditrail BUFFERED"}, true});
    }
    for (unsigned streams : {10u, 100u, 10000u}) {
        all.push_back({"BUFFERED", "real", 1, streams, 1, {"auditrail BUFFERED"}, true});
    }
    for (unsigned streams : {1u, 10u, 100u, 1000u, 10000u}) {
        all.push_back({"WRITTEN", "real", 1, streams, 1, {"auditrail WRITTEN"}, true});
    }
    for (unsigned long long bytes : {64ull << 10, 1ull << 20, 64ull << 20}) {
        all.push_back({"WRITTEN", "real", 1, 0, 1, {"auditrail WRITTEN"}, true, bytes});
    }
    return all;
}

}  // namespace bench
