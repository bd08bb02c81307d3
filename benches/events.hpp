// The events of the benchmark: read from a file or made up, spread over
// streams, rendered once, and cut into the parts that a formatter needs.
#pragma once

#include "harness.hpp"

#include <fstream>
#include <map>

namespace bench {

// A set of events in memory, with the calls that append them.
struct Events {
    std::vector<std::string> json, lines, jsonl;
    std::vector<Event> events;
    std::vector<Call> calls;
    double mean_bytes = 0;
};

inline std::vector<std::string> read_events(const std::string &path) {
    std::ifstream file(path);
    if (!file) fail("cannot read " + path);
    std::vector<std::string> events;
    for (std::string line; std::getline(file, line);) {
        if (!line.empty()) events.push_back(line);
    }
    if (events.empty()) fail(path + " holds no event");
    return events;
}

// Events whose lines have about `bytes` bytes: short texts, numbers, a flag.
inline std::vector<std::string> made_events(std::size_t bytes) {
    std::vector<std::string> events;
    for (unsigned i = 0; i < 64; ++i) {
        std::string event = R"({"domain":"v2","category":"image_generation","model_name":"model-)" +
                            std::to_string(i) +
                            R"(","operation":"update","logical_user_id":"u-)" +
                            std::to_string(i % 7) +
                            R"(","timestamp":1700000000,"payload":{"after":{"n":)" +
                            std::to_string(i * 3);
        for (unsigned key = 0; event.size() + 70 < bytes; ++key) {
            event += ",\"key_" + std::to_string(key) + "\":";
            switch (key % 4) {
                case 0: event += R"("a plain text of some words")"; break;
                case 1: event += std::to_string(key * 7919 + i) + ".25"; break;
                case 2: event += R"({"enabled":true,"tags":["one","two"]})"; break;
                default: event += R"("https://example.org/models/v2/file.bin")"; break;
            }
        }
        const std::size_t ends = event.size() + 3 + 14;  // what is still to come, and the id
        event += ",\"p\":\"" + std::string(bytes > ends + 7 ? bytes - ends - 7 : 1, 'x') + "\"";
        events.push_back(event + "}}}");
    }
    return events;
}

// The same events over `streams` streams, one after the other.
inline void spread(std::vector<std::string> &events, unsigned streams) {
    const std::size_t original = events.size();
    while (events.size() < streams) events.push_back(events[events.size() % original]);
    const std::string key = "\"category\":\"";
    for (std::size_t i = 0; i < events.size(); ++i) {
        const std::size_t from = events[i].find(key) + key.size();
        const std::size_t to = events[i].find('"', from);
        events[i].replace(from, to - from, "stream_" + std::to_string(i % streams));
    }
}

// Cuts a line into its parts. Its keys stand in a fixed order, and no text in
// it holds a bare quotation mark.
inline Event parts_of(const std::string &json, const std::string &line) {
    Event event;
    event.json = json;
    event.line = line;
    const std::string_view text(line);
    std::size_t at = 0;
    const auto value = [&](std::string_view key) -> std::string_view {
        const std::string quoted = "\"" + std::string(key) + "\":";
        if (text.compare(at + 1, quoted.size(), quoted) != 0) return {};
        const std::size_t from = at + 1 + quoted.size();
        std::size_t to = from;
        if (key == "payload") {
            to = text.size() - 2;
        } else if (text[from] == '"') {
            for (++to; text[to] != '"'; ++to) {
                if (text[to] == '\\') ++to;
            }
            ++to;
        } else {
            to = text.find(',', from);
        }
        at = to;
        return text.substr(from, to - from);
    };
    value("event_id");
    event.timestamp = value("timestamp");
    event.domain = value("domain");
    event.category = value("category");
    event.model_name = value("model_name");
    event.operation = value("operation");
    event.user = value("logical_user_id");
    event.request_id = value("request_id");
    event.payload = value("payload");
    return event;
}

inline std::unique_ptr<Events> make_events(std::vector<std::string> json, unsigned streams,
                                           unsigned batch, const std::string &folder) {
    auto made = std::make_unique<Events>();
    if (streams != 0) spread(json, streams);
    // Whole batches.
    const std::size_t original = json.size();
    while (json.size() % batch != 0) json.push_back(json[json.size() % original]);
    made->json = std::move(json);
    made->lines = persisted_lines(made->json, folder);
    for (std::size_t i = 0; i < made->json.size(); ++i) {
        made->events.push_back(parts_of(made->json[i], made->lines[i]));
        made->mean_bytes += static_cast<double>(made->lines[i].size());
    }
    made->mean_bytes /= static_cast<double>(made->lines.size());
    for (std::size_t i = 0; i < made->events.size(); i += batch) {
        std::string joined;
        for (std::size_t j = i; batch > 1 && j < i + batch; ++j) joined += made->json[j] + "\n";
        made->jsonl.push_back(std::move(joined));
    }
    for (std::size_t i = 0; i < made->jsonl.size(); ++i) {
        made->calls.push_back({&made->events[i * batch], batch, made->jsonl[i]});
    }
    return made;
}

}  // namespace bench
