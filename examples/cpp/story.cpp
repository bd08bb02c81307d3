// Who gave whom which role: a small program over auditrail.hpp.
//
//     c++ -std=c++17 examples/cpp/story.cpp -lauditrail -o build/story && build/story audit
#include <auditrail.hpp>

#include <iostream>

static auditrail::event create(std::string_view who) {
    return {"v2", "users", who, "create", "admin-7", R"({"after":{"role":"user"}})"};
}

int main(int argc, char **argv) try {
    const std::string root = argc > 1 ? argv[1] : "audit";
    auditrail::writer trail(root);

    // A user is created: append gives the event's id.
    std::cout << "event " << trail.append(create("ada")) << ": create ada\n";

    // She becomes an owner. Who did that, in this request?
    auditrail::event promotion{"v2", "users", "ada", "update", "admin-7"};
    promotion.payload = R"({"delta":{"role":{"old":"user","new":"owner"}}})";
    promotion.request_id = "req-1";
    trail.append(promotion);
    auditrail::filter request;
    request.request_id("req-1");
    auditrail::reader found(root, request);
    for (const auditrail::record &event : found)
        std::cout << "event " << event.event_id << ": " << found.operation() << ' '
                  << found.model_name() << " by " << found.user() << '\n';

    // Two more in one batch: all of it, or nothing.
    const auditrail::event others[] = {create("bob"), create("cyd")};
    const auditrail::id_range ids = trail.append_events(others);
    std::cout << "events " << ids.first << " to " << ids.first + ids.count - 1 << " in one batch\n";

    // An event that breaks a rule is refused; the error says why, and where.
    try {
        trail.append(R"({"domain":"v2","category":"../etc","model_name":"x",)"
                     R"("operation":"create","logical_user_id":"u"})");
    } catch (const auditrail::error &error) {
        std::cout << "refused: " << error.status_name() << " at byte " << error.offset() << ": "
                  << error.what() << '\n';
    }

    // All that is in the trail, the newest first.
    auditrail::filter newest;
    newest.category("users").order(auditrail::order::newest_first);
    auditrail::reader events(root, newest);
    for (const auditrail::record &event : events)
        std::cout << event.event_id << ' ' << events.operation() << ' ' << events.model_name() << '\n';

    // What the events make of each record: JSON text, for any JSON library.
    const auditrail::buffer users = auditrail::replay(root, "v2", "users");
    if (users.view().find(R"("ada":{"role":"owner"})") != std::string_view::npos)
        std::cout << "ada is owner\n";
    trail.close();
} catch (const auditrail::error &error) {
    std::cerr << error.status_name() << ": " << error.what() << '\n';
    return 1;
}
