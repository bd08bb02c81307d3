// auditrail.hpp: what it adds to the C interface. test CORPUS SCRATCH
//
// Compiled with -fno-exceptions as well, for the half that is then there.
#include <auditrail.hpp>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <thread>
#include <type_traits>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

static int checks, failures;

#define CHECK(...)                                                                  \
    do {                                                                            \
        checks++;                                                                   \
        if (!(__VA_ARGS__)) {                                                       \
            failures++;                                                             \
            std::fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #__VA_ARGS__); \
        }                                                                           \
    } while (0)

static const char *const text = R"({"domain":"v2","category":"image","model_name":"m",)"
                                R"("operation":"create","logical_user_id":"u","timestamp":5})";
static const char *const bad = R"({"domain":"v9","category":"image","model_name":"m",)"
                               R"("operation":"create","logical_user_id":"u"})";

static_assert(!std::is_copy_constructible_v<auditrail::writer>);
static_assert(!std::is_copy_assignable_v<auditrail::reader>);
static_assert(std::is_nothrow_move_constructible_v<auditrail::writer>);
static_assert(std::is_nothrow_move_assignable_v<auditrail::reader>);
static_assert(std::is_nothrow_move_constructible_v<auditrail::options>);

static void without_exceptions(const std::string &root) {
    auditrail_error why;
    CHECK(!auditrail::writer::open("", nullptr, why));
    CHECK(why.status == AUDITRAIL_ERR_INVALID_ARGUMENT);
    auto trail = auditrail::writer::open(root.c_str(), nullptr, why);
    CHECK(trail);
    std::uint64_t id = 0;
    auditrail::id_range ids;
    CHECK(trail->append(text, id, why) == AUDITRAIL_OK && id == 1);
    CHECK(trail->append(bad, id, why) == AUDITRAIL_ERR_INVALID_EVENT && id == 1);
    CHECK(why.offset == 10);
    CHECK(trail->append_batch(std::string(text) + "\n" + text, ids, why) == AUDITRAIL_OK);
    CHECK(ids.first == 2 && ids.count == 2);
    auditrail::buffer line;
    CHECK(line.view().empty());
    CHECK(trail->append_returning(text, line, why) == AUDITRAIL_OK);
    CHECK(line.view().substr(0, 14) == R"({"event_id":4,)" && line.view().back() == '\n');
    CHECK(trail->flush(why) == AUDITRAIL_OK && trail->sync(why) == AUDITRAIL_OK);

    auto reader = auditrail::reader::open(root.c_str(), nullptr, why);
    CHECK(reader);
    auditrail::record event;
    std::uint64_t seen = 0;
    while (reader->next(event, why) == AUDITRAIL_OK)
        CHECK(event.event_id == ++seen);
    CHECK(seen == 4);
    CHECK(!auditrail::reader::open((root + "/nothing").c_str(), nullptr, why));
    CHECK(why.status == AUDITRAIL_ERR_NOT_FOUND);

    CHECK(trail->close(why) == AUDITRAIL_OK);
    CHECK(trail->append(text, id, why) == AUDITRAIL_ERR_INVALID_ARGUMENT);
    CHECK(trail->close(why) == AUDITRAIL_OK);
}

#if AUDITRAIL_EXCEPTIONS
template <typename Call> static auditrail_status thrown(Call call) {
    try {
        call();
    } catch (const auditrail::error &error) {
        return error.status();
    }
    return AUDITRAIL_OK;
}

/* What every language writes, for the trees to be compared. */
static void same(const std::string &corpus, const std::string &root) {
    auditrail::writer trail(root, auditrail::options().max_segment_bytes(2048));
    std::ifstream file(corpus);
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);)
        lines.push_back(line);
    for (std::size_t at = 0; at < lines.size(); at += 5) {
        trail.append(lines[at]);
        trail.append(lines[at + 1].c_str());
        CHECK(trail.append_returning(lines[at + 2]).view().size() > 100);
        CHECK(trail.append_batch(lines[at + 3] + "\n\n" + lines[at + 4]).count == 2);
    }
    CHECK(trail.stats().last_id == lines.size());
}

static void fields(const std::string &root) {
    auditrail::writer trail(root);
    auditrail::event event{"v2", "image", std::string_view("a\0\"\\\n\x7f", 6), "create", "u"};
    event.timestamp = 5;
    CHECK(trail.append_returning(event).view() ==
          R"({"event_id":1,"timestamp":5,"domain":"v2","category":"image",)"
          R"("model_name":"a\u0000\"\\\n\u007f","operation":"create","logical_user_id":"u"})" "\n");
    event.model_name = "\xc3\xa9\xf0\x9f\x98\x80";
    event.request_id = "";
    event.payload = R"({"after":{"size":1.10}})";
    CHECK(trail.append_returning(event).view() ==
          R"({"event_id":2,"timestamp":5,"domain":"v2","category":"image",)"
          R"("model_name":"\u00e9\ud83d\ude00","operation":"create","logical_user_id":"u",)"
          R"("request_id":"","payload":{"after":{"size":1.10}}})" "\n");
    event.model_name = "\xff";
    CHECK(thrown([&] { trail.append(event); }) == AUDITRAIL_ERR_INVALID_EVENT);
    CHECK(trail.append_events(std::vector<auditrail::event>()).count == 0);
    CHECK(trail.append(auditrail::event{"v2", "image", "", "delete", ""}) == 3);
}

static void errors(const std::string &root) {
    auditrail::writer trail(root);
    try {
        trail.append(bad);
        CHECK(!"thrown");
    } catch (const std::runtime_error &caught) {
        const auto &error = dynamic_cast<const auditrail::error &>(caught);
        CHECK(std::string(error.what()).find("domain") != std::string::npos);
        CHECK(std::string(error.status_name()) == "AUDITRAIL_ERR_INVALID_EVENT");
        CHECK(error.offset() == 10 && error.os_errno() == 0);
    }
    CHECK(thrown([&] { auditrail::writer second(root); }) == AUDITRAIL_ERR_BUSY);
    CHECK(thrown([&] { auditrail::options().max_segment_bytes(0); }) == AUDITRAIL_ERR_INVALID_ARGUMENT);
    CHECK(thrown([&] { auditrail::options().durability(static_cast<auditrail::durability>(7)); }) ==
          AUDITRAIL_ERR_INVALID_ARGUMENT);
    CHECK(thrown([&] { auditrail::reader(root + "/nothing"); }) == AUDITRAIL_ERR_NOT_FOUND);
    CHECK(thrown([&] { auditrail::filter().event_ids(2, 1); }) == AUDITRAIL_ERR_INVALID_ARGUMENT);

    auditrail::writer moved(std::move(trail));
    CHECK(moved.append(text) == 1);
    CHECK(thrown([&] { trail.append(text); }) == AUDITRAIL_ERR_INVALID_ARGUMENT);  // NOLINT
    trail = std::move(moved);
    CHECK(trail.append(text) == 2);
    trail.close();
    auditrail::writer again(root);  // the trail was let go
    CHECK(again.append(text) == 3);
}

static void options(const std::string &root) {
    std::vector<std::string> told;
    const auto note = [](void *user_data, auditrail_warning, const char *message) {
        static_cast<std::vector<std::string> *>(user_data)->push_back(message);
    };
    auditrail::options how;
    how.durability(auditrail::durability::synced).add_domain("a").add_domain("b").any_operation()
        .max_event_bytes(256).max_open_files(1).lock_timeout_ms(7).on_warning(note, &told);
    {
        auditrail::writer trail(root, how);
        CHECK(trail.append(auditrail::event{"a", "c", "m", "rename", "u"}) == 1);
        CHECK(trail.append(auditrail::event{"b", "c", "m", "rename", "u"}) == 2);
        CHECK(thrown([&] { trail.append(text); }) == AUDITRAIL_ERR_INVALID_EVENT);
        CHECK(thrown([&] { trail.append(auditrail::event{"a", "c", std::string(300, 'm'), "x", "u"}); }) ==
              AUDITRAIL_ERR_TOO_LARGE);
        CHECK(trail.stats().synced_id == 2);
    }
    std::ofstream(root + "/a/c/audit-000001.jsonl", std::ios::app) << "{\"event_id\":3,\"ti";
    auditrail::writer trail(root, how);
    CHECK(trail.append(auditrail::event{"a", "c", "m", "rename", "u"}) == 3);
    CHECK(told.size() == 1);
}

static void reading(const std::string &root) {
    auditrail::writer trail(root);
    for (int i = 1; i <= 10; i++)
        trail.append(auditrail::event{i % 2 ? "v2" : "legacy", "image", std::to_string(i % 3), "create",
                                      "u", R"({"after":{"a":1}})", std::nullopt, 1000 + i});
    const auto ids = [&](const auditrail::filter &which) {
        std::vector<std::uint64_t> found;
        auditrail::reader events(root, which);
        std::transform(events.begin(), events.end(), std::back_inserter(found),
                       [](const auditrail::record &event) { return event.event_id; });
        return found;
    };
    using list = std::vector<std::uint64_t>;
    CHECK(ids({}) == list{2, 4, 6, 8, 10, 1, 3, 5, 7, 9});
    auditrail::filter newest;
    newest.order(auditrail::order::newest_first).limit(3);
    CHECK(ids(newest) == list{10, 9, 8});
    auditrail::filter some;
    some.domain("v2").model_name("0").model_name("2").timestamps(1003, 1010);
    CHECK(ids(some) == list{3, 5, 9});
    auditrail::filter none;
    none.user("nobody");
    CHECK(ids(none).empty());
    auditrail::reader fields(root, auditrail::filter().event_ids(3, 3));
    auditrail::record third;
    CHECK(fields.model_name().empty() && fields.timestamp() == 0);
    CHECK(fields.next(third) && third.event_id == 3 && fields.timestamp() == 1003);
    CHECK(fields.domain() == "v2" && fields.category() == "image" && fields.model_name() == "0");
    CHECK(fields.operation() == "create" && fields.user() == "u" && fields.request_id().empty());
    CHECK(fields.payload() == R"({"after":{"a":1}})" && fields.damage_count() == 0);

    auditrail::reader following(root, auditrail::filter().event_ids(10, UINT64_MAX));
    CHECK(following.follow(third, 0) && third.event_id == 10);
    CHECK(!following.follow(third, 0));
    std::thread later([&] { trail.append(text); });
    CHECK(following.follow(third, 30000) && third.event_id == 11);
    later.join();
    CHECK(auditrail::history(root, "v2", "image", "0").view().find(R"("changes":{"a":{"new":1}})") !=
          std::string_view::npos);

    const auditrail::buffer state = auditrail::replay(root, "v2", "image");
    CHECK(state.view().find(R"("applied_events":6)") != std::string_view::npos);
    CHECK(auditrail::check(root).view().front() == '{');
    CHECK(auditrail::check(root, 9).view().find("\"pruned_events\":0") != std::string_view::npos);
}

/* The payload is a part of the event's text, and stays one. */
static void payloads(const std::string &root) {
    auditrail::writer trail(root);
    auditrail::event event{"v2", "image", "m", "create", "u"};
    const auto refused = [&](std::string_view payload, std::int64_t at) {
        event.payload = payload;
        for (int way = 0; way < 3; way++)
            try {
                if (way == 0)
                    trail.append(event);
                else if (way == 1)
                    trail.append_returning(event);
                else
                    trail.append_events(std::vector<auditrail::event>{event});
                return false;
            } catch (const auditrail::error &error) {
                if (error.status() != AUDITRAIL_ERR_INVALID_EVENT || (at >= 0 && error.offset() != at))
                    return false;
            }
        return true;
    };
    CHECK(refused(R"({},"request_id":"forged")", 2));
    CHECK(refused(R"( {"a":"}"} ,"request_id":"forged")", 11));
    CHECK(refused(R"({}}{"domain":"v2")", 2));
    CHECK(refused("{}}\n" + std::string(text, std::strlen(text) - 1), 2));
    CHECK(refused("{}}\n" + std::string(text) + "\n{\"payload\":{}", 2));
    CHECK(refused("{\"a\":\"\n\"}", 6));
    CHECK(refused("{\"a\":\"\\\n\"}", 7));
    CHECK(refused(std::string_view("{\"a\":\"\0\"}", 9), 6));
    CHECK(refused(std::string_view("{\0}", 3), -1));
    CHECK(refused(R"({"a":{"b":1})", 12));
    CHECK(refused(R"({"a":"\"})", -1));
    CHECK(refused(R"({"a":]})", -1));
    CHECK(refused("{\xe2\x80\xa8}", -1));
    CHECK(refused("7", 0) && refused("null", 0) && refused(" ", 0) && refused("[{}]", 0));
    CHECK(trail.stats().last_id == 0);

    event.payload = "\r\n{\r\n\"a\":\t\"}\\\"\\\\\xe2\x80\xa8\",\"b\":[\r{}\n]}\n";
    const std::string as_line = R"("payload":{"a":"}\"\\\u2028","b":[{}]}})" "\n";
    const auto ends = [&](std::string_view line) {
        return line.size() > as_line.size() && line.substr(line.size() - as_line.size()) == as_line;
    };
    CHECK(ends(trail.append_returning(event).view()));
    const auto ids = trail.append_events(std::vector<auditrail::event>{event, event});
    CHECK(ids.first == 2 && ids.count == 2);
    std::size_t seen = 0;
    for (const auditrail::record &record : auditrail::reader(root)) {
        CHECK(ends(std::string(record.json) + "\n"));
        seen++;
    }
    CHECK(seen == 3);
}

/* What C would take for something else is refused. */
static void misread(const std::string &root) {
    auditrail::writer trail(root);
    trail.append(text);
    const auto invalid = [](auto call) { return thrown(call) == AUDITRAIL_ERR_INVALID_ARGUMENT; };
    const std::string nul("image\0x", 7), cut = root + std::string("\0x", 2);
    CHECK(invalid([&] { auditrail::writer other(std::string("\0", 1) + root); }));
    CHECK(invalid([&] { auditrail::writer other(root + "-2" + std::string("\0x", 2)); }));
    CHECK(invalid([&] { auditrail::reader other(cut); }));
    CHECK(invalid([&] { auditrail::check(cut); }));
    CHECK(invalid([&] { auditrail::replay(cut, "v2", "image"); }));
    CHECK(invalid([&] { auditrail::replay(root, std::string("v2\0", 3), "image"); }));
    CHECK(invalid([&] { auditrail::replay(root, "v2", nul); }));
    CHECK(invalid([&] { auditrail::history(cut, "v2", "image", "m"); }));
    CHECK(invalid([&] { auditrail::history(root, std::string("v2\0", 3), "image", "m"); }));
    CHECK(invalid([&] { auditrail::history(root, "v2", nul, "m"); }));
    CHECK(invalid([&] { auditrail::history(root, "v2", "image", std::string("m\0", 2)); }));

    CHECK(invalid([] { auditrail::filter().limit(-1); }));
    CHECK(invalid([] { auditrail::filter().event_ids(-1, 5); }));
    CHECK(invalid([] { auditrail::filter().event_ids(1, -1LL); }));
    CHECK(invalid([] { auditrail::filter().timestamps(0, UINT64_MAX); }));
    CHECK(invalid([] { auditrail::options().max_segment_bytes(-1); }));
    CHECK(invalid([] { auditrail::options().max_event_bytes(-1); }));
    CHECK(invalid([] { auditrail::options().buffer_bytes(-1); }));
    CHECK(invalid([] { auditrail::options().flush_interval_ms(-1); }));
    CHECK(invalid([] { auditrail::options().max_open_files(-1); }));
    auditrail::record event;
    auditrail::reader ended(root, auditrail::filter().event_ids(2, UINT64_MAX).timestamps(INT64_MIN, 9));
    CHECK(invalid([&] { ended.follow(event, -1); }));

    // NULL is no filter in C; a filter that was moved from is not.
    auditrail::filter which;
    auditrail::options how;
    auditrail::filter other_filter(std::move(which));
    auditrail::options other_options(std::move(how));
    CHECK(invalid([&] { auditrail::reader events(root, which); }));
    CHECK(invalid([&] { auditrail::replay(root, "v2", "image", which); }));
    CHECK(invalid([&] { auditrail::history(root, "v2", "image", "m", which); }));
    CHECK(invalid([&] { auditrail::writer other(root + "-3", how); }));
    CHECK(invalid([&] { which.domain("v2"); }));
    auditrail_error why;
    CHECK(!auditrail::reader::open(root.c_str(), &which, why));
    CHECK(why.status == AUDITRAIL_ERR_INVALID_ARGUMENT && std::strlen(why.message) > 0);
    CHECK(!auditrail::writer::open(root.c_str(), &how, why));
    CHECK(why.status == AUDITRAIL_ERR_INVALID_ARGUMENT);
    which = auditrail::filter();
    CHECK(auditrail::reader(root, which).next(event));

    auditrail::reader reader(root), moved(std::move(reader));
    CHECK(invalid([&] { reader.next(event); }) && reader.domain().empty());
    CHECK(moved.next(event));
}

/* An empty list lets nothing through, and a text is a list of one. */
static void lists(const std::string &root) {
    auditrail::writer trail(root);
    for (const char *name : {"image", "i", "m"})
        trail.append(auditrail::event{"v2", name, name, "create", name});
    const auto count = [&](const auditrail::filter &which) {
        auditrail::reader events(root, which);
        return std::distance(events.begin(), events.end());
    };
    const std::vector<std::string> none, two{"i", "m"};
    CHECK(count(auditrail::filter().domains(none)) == 0);
    CHECK(count(auditrail::filter().categories(none)) == 0);
    CHECK(count(auditrail::filter().model_names(none)) == 0);
    CHECK(count(auditrail::filter().operations(none)) == 0);
    CHECK(count(auditrail::filter().users(none)) == 0);
    CHECK(count(auditrail::filter().users({})) == 0);
    CHECK(count(auditrail::filter().users(none).event_ids(0, UINT64_MAX).user("i")) == 0);
    CHECK(count(auditrail::filter().users(none).order(auditrail::order::newest_first)) == 0);
    CHECK(auditrail::replay(root, "v2", "i", auditrail::filter().users(none)).view().substr(0, 12) ==
          R"({"state":{},)");
    CHECK(count(auditrail::filter().domains("v2").users(two)) == 2);
    CHECK(count(auditrail::filter().categories({"i", "image"})) == 2);
    CHECK(count(auditrail::filter().model_names(std::string("image"))) == 1);
    CHECK(count(auditrail::filter().operations(std::vector<std::string_view>{"create"})) == 3);
    CHECK(count(auditrail::filter().limit(0)) == 3 && count(auditrail::filter().limit(2u)) == 2);
    CHECK(thrown([&] { auditrail::filter().domains({"v2", "../x"}); }) == AUDITRAIL_ERR_INVALID_ARGUMENT);
}

// A handler cannot close its trail; the trail stays open, and its own.
static void closed_by_its_handler(const std::string &root) {
    struct closing {
        auditrail::writer *trail;
        auditrail_status status;
    } closing = {nullptr, AUDITRAIL_OK};
    auditrail::options how;
    how.durability(auditrail::durability::buffered).flush_interval_ms(0).on_warning(
        [](void *data, auditrail_warning, const char *) {
            auto *told = static_cast<struct closing *>(data);
            auditrail_error why;
            if (told->trail != nullptr)
                told->status = told->trail->close(why);
        },
        &closing);
    auditrail::writer trail(root, how);
    std::ofstream(root + "/v2") << "where a folder is wanted";
    closing.trail = &trail;
    trail.append(text);
    CHECK(thrown([&] { trail.flush(); }) != AUDITRAIL_OK);
    CHECK(closing.status == AUDITRAIL_ERR_INVALID_ARGUMENT);
    CHECK(std::remove((root + "/v2").c_str()) == 0);
    trail.flush();
    CHECK(trail.stats().written_id == 1);
    trail.close();
}

static void threads_and_forks(const std::string &root) {
    auditrail::options shared;
    shared.shared();
    auditrail::writer trail(root, shared);
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; i++)
        threads.emplace_back([&] {
            for (int j = 0; j < 50; j++)
                trail.append(text);
        });
    for (auto &thread : threads)
        thread.join();
    CHECK(trail.stats().last_id == 200);

    const pid_t child = fork();
    if (child == 0) {
        bool good = thrown([&] { trail.append(text); }) == AUDITRAIL_ERR_FORKED;
        auditrail::writer own(root, shared);
        good = good && own.append(text) == 201;
        own.close();
        _exit(good ? 0 : 1);
    }
    int status = 1;
    waitpid(child, &status, 0);
    CHECK(status == 0);
    CHECK(trail.append(text) == 202);
}
#endif

int main(int, char **argv) {
    const std::string scratch = argv[2];
    without_exceptions(scratch + "/without-exceptions");
#if AUDITRAIL_EXCEPTIONS
    same(argv[1], scratch + "/same");
    fields(scratch + "/fields");
    payloads(scratch + "/payloads");
    misread(scratch + "/misread");
    lists(scratch + "/lists");
    errors(scratch + "/errors");
    options(scratch + "/options");
    reading(scratch + "/reading");
    closed_by_its_handler(scratch + "/handler");
    threads_and_forks(scratch + "/threads");
#endif
    std::printf("%d checks\n", checks);
    return failures != 0;
}
