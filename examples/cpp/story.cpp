// Who gave whom which role: a small program over auditrail.hpp.
//
//     c++ -std=c++17 story.cpp -lauditrail -o story && ./story audit
#include <auditrail.hpp>

#include <iostream>

int main(int argc, char **argv) try {
    const std::string root = argc > 1 ? argv[1] : "audit";
    auditrail::writer trail(root);

    const auto create = [](std::string_view who) {
        return auditrail::event{"v2", "users", who, "create", "admin-7",
                                R"({"after":{"role":"user"}})"};
    };
    std::cout << "event " << trail.append(create("ada")) << ": create ada\n";

    auditrail::event promotion{"v2", "users", "ada", "update", "admin-7"};
    promotion.payload = R"({"delta":{"role":{"old":"user","new":"owner"}}})";
    promotion.request_id = "req-1";
    trail.append(promotion);
    auditrail::reader persisted(root, auditrail::filter().operation("update"));
    for (const auditrail::record &event : persisted)
        std::cout << "event " << event.event_id << ": " << persisted.operation() << ' '
                  << persisted.model_name() << " by " << persisted.user() << '\n';

    const auditrail::event others[] = {create("bob"), create("cyd")};
    const auditrail::id_range ids = trail.append_events(others);
    std::cout << "events " << ids.first << " to " << ids.first + ids.count - 1 << " in one batch\n";

    try {
        trail.append(R"({"domain":"v2","category":"../etc","model_name":"x",)"
                     R"("operation":"create","logical_user_id":"u"})");
    } catch (const auditrail::error &error) {
        std::cout << "refused: " << error.status_name() << " at byte " << error.offset() << ": "
                  << error.what() << '\n';
    }

    auditrail::filter newest;
    newest.category("users").order(auditrail::order::newest_first);
    auditrail::reader events(root, newest);
    for (const auditrail::record &event : events)
        std::cout << event.event_id << ' ' << events.operation() << ' ' << events.model_name() << '\n';

    // States and payloads are JSON text; any JSON library takes them from here.
    const auditrail::buffer state = auditrail::replay(root, "v2", "users");
    if (state.view().find(R"("ada":{"role":"owner"})") != std::string_view::npos)
        std::cout << "ada is owner\n";
    trail.close();
} catch (const auditrail::error &error) {
    std::cerr << error.what() << '\n';
    return 1;
}
