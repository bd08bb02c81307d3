// The side-by-side benchmark: runs each contender of each workload, in rounds
// (A B C, C B A, …), each run in a process of its own, and writes one line of
// JSON for each run. benches/report.py makes tables and a picture of them.
//
//   side_by_side FOLDER EVENTS OUT quick|full [TEXT]
//
// FOLDER is on the file system that is measured, OUT gets the results; with
// TEXT, only workloads and contenders with it in their description are run.
#include "events.hpp"
#include "harness.hpp"
#include "workloads.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <mutex>
#include <sstream>
#include <sys/resource.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace bench {
namespace {

using Clock = std::chrono::steady_clock;

// How many nanoseconds a call took: 32 steps for each doubling.
class Latencies {
public:
    void add(std::uint64_t ns) {
        ++counts_[index(ns)];
        longest_ = std::max(longest_, ns);
    }
    void add(const Latencies &other) {
        for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
        longest_ = std::max(longest_, other.longest_);
    }
    std::uint64_t quantile(double q) const {
        std::uint64_t all = 0, seen = 0;
        for (std::uint64_t count : counts_) all += count;
        for (std::size_t i = 0; i < counts_.size(); ++i) {
            seen += counts_[i];
            if (seen > 0 && static_cast<double>(seen) >= q * static_cast<double>(all)) {
                return std::min(value(i), longest_);
            }
        }
        return longest_;
    }
    std::uint64_t longest() const { return longest_; }

private:
    static std::size_t index(std::uint64_t ns) {
        if (ns < 32) return ns;
        const unsigned top = 63u - static_cast<unsigned>(__builtin_clzll(ns));
        return (top - 4) * 32 + ((ns >> (top - 5)) & 31);
    }
    static std::uint64_t value(std::size_t index) {
        if (index < 32) return index;
        return (32 + index % 32) << (index / 32 - 1);
    }
    std::array<std::uint64_t, 64 * 32> counts_{};
    std::uint64_t longest_ = 0;
};

// What one run gives; plain, for it goes through a pipe.
struct Result {
    std::uint64_t events, bytes;
    double seconds, cpu_seconds;
    std::uint64_t p50, p99, p999, longest;
    std::int64_t memory_kb;
    char error[256];
};

struct Limits {
    double seconds;
    std::uint64_t bytes;
};

double seconds_between(Clock::time_point from, Clock::time_point to) {
    return std::chrono::duration<double>(to - from).count();
}

double cpu_seconds() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](const timeval &t) {
        return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// A line of /proc/self/status in KiB; 0 where there is none.
std::int64_t status_kb(const char *key) {
    std::ifstream file("/proc/self/status");
    for (std::string line; std::getline(file, line);) {
        if (line.rfind(key, 0) == 0) return std::atoll(line.c_str() + std::strlen(key));
    }
    return 0;
}

struct Worker {
    Latencies latencies;
    std::uint64_t events = 0, bytes = 0;
    Clock::time_point end;
    std::thread thread;
};

// One contender in this process, until the time or the bytes are used up.
void run_here(const Workload &workload, const std::string &name, const Events &events,
              const std::string &folder, const Limits &limits, Result &result) {
    std::vector<std::unique_ptr<Worker>> workers;
    for (unsigned i = 0; i < workload.threads; ++i) workers.push_back(std::make_unique<Worker>());
    std::unique_ptr<Contender> contender;
    std::atomic<bool> stop{false};
    std::mutex mutex;
    std::condition_variable changed;
    unsigned ready = 0, running = workload.threads;
    bool go = false;
    std::string error;

    // A clock costs as much as a fast append: only some of those are timed.
    const unsigned every = workload.group == "SYNCED" || workload.batch > 1 ? 1 : 13;
    const auto work = [&](unsigned number) {
        Worker &worker = *workers[number];
        {
            std::unique_lock<std::mutex> lock(mutex);
            ++ready;
            changed.notify_all();
            changed.wait(lock, [&] { return go; });
        }
        try {
            std::size_t at = number % events.calls.size();
            unsigned until_timed = 1;
            while (!stop.load(std::memory_order_relaxed) &&
                   worker.bytes < limits.bytes / workload.threads) {
                const Call &call = events.calls[at];
                if (--until_timed == 0) {
                    until_timed = every;
                    const auto before = Clock::now();
                    contender->append(number, call);
                    const auto took = Clock::now() - before;
                    worker.latencies.add(static_cast<std::uint64_t>(
                        std::chrono::duration_cast<std::chrono::nanoseconds>(took).count()));
                } else {
                    contender->append(number, call);
                }
                worker.events += call.count;
                for (std::size_t i = 0; i < call.count; ++i) {
                    worker.bytes += call.events[i].line.size();
                }
                at += workload.threads;
                if (at >= events.calls.size()) at %= events.calls.size();
            }
        } catch (const std::exception &caught) {
            std::lock_guard<std::mutex> lock(mutex);
            error = caught.what();
        }
        worker.end = Clock::now();
        std::lock_guard<std::mutex> lock(mutex);
        --running;
        changed.notify_all();
    };
    for (unsigned i = 0; i < workload.threads; ++i) workers[i]->thread = std::thread(work, i);
    std::unique_lock<std::mutex> lock(mutex);
    changed.wait(lock, [&] { return ready == workload.threads; });

    std::ofstream("/proc/self/clear_refs") << "5";
    const std::int64_t memory = status_kb("VmRSS:");
    Setup setup;
    setup.folder = folder;
    setup.threads = workload.threads;
    setup.segment_bytes = workload.segment_bytes;
    setup.open_files = workload.open_files;
    setup.buffer_bytes = workload.buffer_bytes;
    try {
        contender = make_ours(name, setup);
        if (!contender) contender = make_limit(name, setup);
        if (!contender) contender = make_peer(name, setup);
        if (!contender) fail("no contender is called " + name);
        // What is measured is steady work: each stream is there already.
        for (std::size_t i = 0; i < workload.streams && i < events.calls.size(); ++i) {
            contender->append(0, events.calls[i]);
        }
        if (workload.streams != 0) contender->flush();
    } catch (const std::exception &caught) {
        error = caught.what();
        stop = true;
    }
    const double cpu = cpu_seconds();
    const auto start = Clock::now();
    go = true;
    changed.notify_all();
    changed.wait_for(lock, std::chrono::duration<double>(limits.seconds),
                     [&] { return running == 0; });
    stop = true;
    lock.unlock();
    Latencies latencies;
    Clock::time_point end = start;
    for (auto &worker : workers) {
        worker->thread.join();
        end = std::max(end, worker->end);
        latencies.add(worker->latencies);
        result.events += worker->events;
        result.bytes += worker->bytes;
    }
    result.seconds = seconds_between(start, end);
    if (error.empty()) {
        const auto before = Clock::now();
        try {
            contender->flush();
        } catch (const std::exception &caught) {
            error = caught.what();
        }
        result.seconds += seconds_between(before, Clock::now());
    }
    result.cpu_seconds = cpu_seconds() - cpu;
    result.memory_kb = status_kb("VmHWM:") - memory;
    result.p50 = latencies.quantile(0.5);
    result.p99 = latencies.quantile(0.99);
    result.p999 = latencies.quantile(0.999);
    result.longest = latencies.longest();
    std::snprintf(result.error, sizeof result.error, "%s", error.c_str());
}

// The predecessor is a program of its own, and measures itself.
void run_predecessor(const Events &events, const std::string &folder, const Limits &limits,
                     Result &result) {
    const std::string input = folder + ".events";
    {
        std::ofstream file(input);
        for (const std::string &event : events.json) file << event << '\n';
    }
    std::ostringstream command;
    command << "python3 benches/predecessor.py '" << folder << "' '" << input << "' "
            << limits.seconds;
    FILE *pipe = popen(command.str().c_str(), "r");
    unsigned long long numbers[6] = {};
    double seconds = 0, cpu = 0;
    const int read = pipe == nullptr
                         ? 0
                         : std::fscanf(pipe, "%llu %llu %lf %lf %llu %llu %llu %llu", &numbers[0],
                                       &numbers[1], &seconds, &cpu, &numbers[2], &numbers[3],
                                       &numbers[4], &numbers[5]);
    if (pipe == nullptr || pclose(pipe) != 0 || read != 8) {
        std::snprintf(result.error, sizeof result.error, "predecessor.py failed");
    }
    result.events = numbers[0];
    result.bytes = numbers[1];
    result.seconds = seconds;
    result.cpu_seconds = cpu;
    result.p50 = numbers[2];
    result.p99 = numbers[3];
    result.p999 = numbers[4];
    result.longest = numbers[5];
    std::filesystem::remove(input);
}

// One run in a process of its own, so that memory and processor time are its
// own, and a contender that dies takes nobody along.
Result run(const Workload &workload, const std::string &name, const Events &events,
           const std::string &folder, const Limits &limits) {
    Result result{};
    std::filesystem::remove_all(folder);
    std::filesystem::create_directories(folder);
    int ends[2];
    if (pipe(ends) != 0) fail_errno("pipe");
    const pid_t child = fork();
    if (child < 0) fail_errno("fork");
    if (child == 0) {
        close(ends[0]);
        if (name == "predecessor (Python)") {
            run_predecessor(events, folder, limits, result);
        } else {
            run_here(workload, name, events, folder, limits, result);
        }
        const bool told = write(ends[1], &result, sizeof result) == sizeof result;
        _exit(told ? 0 : 1);
    }
    close(ends[1]);
    const bool told = read(ends[0], &result, sizeof result) == sizeof result;
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    if (!told || status != 0) {
        std::snprintf(result.error, sizeof result.error, "the process ended with status %d",
                      status);
    }
    std::filesystem::remove_all(folder);
    return result;
}

std::string quoted(const std::string &text) {
    std::string out = "\"";
    for (char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
    return out + '"';
}

std::string described(const Workload &w, const std::string &name) {
    std::ostringstream out;
    out << w.group << ", " << w.events << " events, " << w.threads << " threads, ";
    if (w.streams != 0) out << w.streams << " streams, ";
    if (w.batch != 1) out << "batches of " << w.batch << ", ";
    if (w.segment_bytes != kSegmentBytes) out << "segments of " << w.segment_bytes << ", ";
    if (w.open_files != 0) out << w.open_files << " open files, ";
    if (w.buffer_bytes != 0) out << "buffer of " << w.buffer_bytes << ", ";
    out << name;
    return out.str();
}

void report(std::ostream &out, const Workload &w, const std::string &name, int round,
            const Result &r) {
    out << "{\"group\":" << quoted(w.group) << ",\"events\":" << quoted(w.events)
        << ",\"threads\":" << w.threads << ",\"streams\":" << w.streams
        << ",\"batch\":" << w.batch << ",\"segment_bytes\":" << w.segment_bytes
        << ",\"open_files\":" << w.open_files << ",\"buffer_bytes\":" << w.buffer_bytes
        << ",\"contender\":" << quoted(name)
        << ",\"round\":" << round << ",\"appended\":" << r.events << ",\"bytes\":" << r.bytes
        << ",\"seconds\":" << r.seconds << ",\"cpu_seconds\":" << r.cpu_seconds
        << ",\"p50\":" << r.p50 << ",\"p99\":" << r.p99 << ",\"p999\":" << r.p999
        << ",\"longest\":" << r.longest << ",\"memory_kb\":" << r.memory_kb
        << ",\"error\":" << quoted(r.error) << "}" << std::endl;
}

int main_of(int argc, char **argv) {
    if (argc < 5) {
        std::fprintf(stderr, "usage: side_by_side FOLDER EVENTS OUT quick|full [TEXT]\n");
        return 2;
    }
    const std::string folder = argv[1], path = argv[2], mode = argv[4];
    const std::string only = argc > 5 ? argv[5] : "";
    const bool full = mode == "full";
    const auto number = [](const char *name, double fallback) {
        const char *text = std::getenv(name);
        return text == nullptr ? fallback : std::atof(text);
    };
    const int rounds = static_cast<int>(number("AUDITRAIL_BENCH_ROUNDS", full ? 9 : 3));
    const Limits limits{number("AUDITRAIL_BENCH_SECONDS", full ? 0.5 : 0.15), 400'000'000};
    const std::vector<std::string> real = read_events(path);
    std::ofstream out(argv[3]);
    std::map<std::string, std::unique_ptr<Events>> sets;
    int failures = 0;

    for (int round = 0; round < rounds; ++round) {
        for (const Workload &workload : workloads()) {
            if (workload.full_only && !full) continue;
            std::vector<std::string> names = workload.contenders;
            if (round % 2 == 1) std::reverse(names.begin(), names.end());
            for (const std::string &name : names) {
                const std::string what = described(workload, name);
                if (what.find(only) == std::string::npos) continue;
                auto &events = sets[workload.events + "/" + std::to_string(workload.streams) + "/" +
                                    std::to_string(workload.batch)];
                if (!events) {
                    const std::string made = folder + "/lines";
                    std::filesystem::remove_all(made);
                    events = make_events(workload.events == "real"
                                             ? real
                                             : made_events(std::stoul(workload.events)),
                                         workload.streams, workload.batch, made);
                    std::filesystem::remove_all(made);
                }
                if (workload.group == "SYNCED") sync();
                const Result result = run(workload, name, *events, folder + "/run", limits);
                report(out, workload, name, round, result);
                if (result.error[0] != 0) {
                    ++failures;
                    std::fprintf(stderr, "%d: %s: FAILED: %s\n", round, what.c_str(),
                                 result.error);
                } else {
                    std::fprintf(stderr, "%d: %s: %.0f/s, p99.9 %.1f us\n", round, what.c_str(),
                                 static_cast<double>(result.events) / result.seconds,
                                 static_cast<double>(result.p999) / 1e3);
                }
            }
        }
    }
    return failures == 0 ? 0 : 1;
}

}  // namespace
}  // namespace bench

int main(int argc, char **argv) {
    try {
        return bench::main_of(argc, argv);
    } catch (const std::exception &error) {
        std::fprintf(stderr, "side_by_side: %s\n", error.what());
        return 1;
    }
}
