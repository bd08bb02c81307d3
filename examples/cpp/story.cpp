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
    const auditrail::buffer line = trail.append_returning(promotion);
    if (line.view().find(R"("model_name":"ada","operation":"update","logical_user_id":"admin-7")") !=
        std::string_view::npos)
        std::cout << "event 2: update ada by admin-7\n";

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

    // A record is JSON text; any JSON library takes it from here.
    const auto text = [](std::string_view json, std::string_view key) {
        const std::size_t from = json.find("\"" + std::string(key) + "\":\"") + key.size() + 4;
        return json.substr(from, json.find('"', from) - from);
    };
    auditrail::filter newest;
    newest.category("users").order(auditrail::order::newest_first);
    for (const auditrail::record &event : auditrail::reader(root, newest))
        std::cout << event.event_id << ' ' << text(event.json, "operation") << ' '
                  << text(event.json, "model_name") << '\n';

    const auditrail::buffer state = auditrail::replay(root, "v2", "users");
    const std::size_t ada = state.view().find("\"ada\":");
    std::cout << "ada is " << text(state.view().substr(ada), "role") << '\n';
    trail.close();
} catch (const auditrail::error &error) {
    std::cerr << error.what() << '\n';
    return 1;
}
