// A user of the installed C++ header: appends an event to argv[1].
#include <auditrail.hpp>

#include <iostream>

int main(int, char **argv) {
    auditrail::writer trail(argv[1]);
    std::cout << "event " << trail.append({"v2", "c", "m", "create", "u"}) << '\n';
}
