// Our library, through its C interface, as any program would use it.
#include "../include/auditrail.h"
#include "harness.hpp"

namespace bench {
namespace {

void check(auditrail_status status, const auditrail_error &error) {
    if (status != AUDITRAIL_OK) {
        fail(std::string("auditrail: ") + auditrail_status_name(status) + ": " + error.message);
    }
}

class Ours : public Contender {
public:
    Ours(auditrail_durability durability, const Setup &setup) {
        auditrail_error error;
        auditrail_options *options = auditrail_options_new();
        check(auditrail_options_set_durability(options, durability, &error), error);
        check(auditrail_options_set_max_segment_bytes(options, setup.segment_bytes, &error), error);
        if (setup.open_files != 0) {
            check(auditrail_options_set_max_open_files(options, setup.open_files, &error), error);
        }
        if (setup.buffer_bytes != 0) {
            check(auditrail_options_set_buffer_bytes(options, setup.buffer_bytes, &error), error);
        }
        auditrail_status status =
            auditrail_writer_open(setup.folder.c_str(), options, &writer_, &error);
        auditrail_options_free(options);
        check(status, error);
    }

    ~Ours() override { auditrail_writer_close(writer_, nullptr); }

    void append(unsigned, const Call &call) override {
        auditrail_error error;
        std::uint64_t id;
        if (call.count == 1) {
            const std::string_view json = call.events->json;
            check(auditrail_writer_append(writer_, json.data(), json.size(), &id, &error), error);
        } else {
            check(auditrail_writer_append_batch(writer_, call.jsonl.data(), call.jsonl.size(), &id,
                                                nullptr, &error),
                  error);
        }
    }

    void flush() override {
        auditrail_error error;
        check(auditrail_writer_flush(writer_, &error), error);
    }

private:
    auditrail_writer *writer_ = nullptr;
};

// A trail of its own for each thread: they share nothing but the machine.
class TrailEach : public Contender {
public:
    explicit TrailEach(const Setup &setup) {
        for (unsigned thread = 0; thread < setup.threads; ++thread) {
            Setup own = setup;
            own.folder += "/" + std::to_string(thread);
            trails_.push_back(std::make_unique<Ours>(AUDITRAIL_DURABILITY_BUFFERED, own));
        }
    }
    void append(unsigned thread, const Call &call) override { trails_[thread]->append(0, call); }
    void flush() override {
        for (const auto &trail : trails_) trail->flush();
    }

private:
    std::vector<std::unique_ptr<Ours>> trails_;
};

}  // namespace

std::unique_ptr<Contender> make_ours(const std::string &name, const Setup &setup) {
    if (name == "auditrail BUFFERED") {
        return std::make_unique<Ours>(AUDITRAIL_DURABILITY_BUFFERED, setup);
    }
    if (name == "auditrail MAPPED") {
        return std::make_unique<Ours>(AUDITRAIL_DURABILITY_MAPPED, setup);
    }
    if (name == "auditrail WRITTEN") {
        return std::make_unique<Ours>(AUDITRAIL_DURABILITY_WRITTEN, setup);
    }
    if (name == "auditrail SYNCED") {
        return std::make_unique<Ours>(AUDITRAIL_DURABILITY_SYNCED, setup);
    }
    if (name == "a trail each") return std::make_unique<TrailEach>(setup);
    return nullptr;
}

std::vector<std::string> persisted_lines(const std::vector<std::string> &events,
                                         const std::string &folder) {
    auditrail_error error;
    auditrail_writer *writer = nullptr;
    check(auditrail_writer_open(folder.c_str(), nullptr, &writer, &error), error);
    std::vector<std::string> lines;
    for (const std::string &event : events) {
        auditrail_buffer *line = nullptr;
        check(auditrail_writer_append_returning(writer, event.data(), event.size(), &line, &error),
              error);
        lines.emplace_back(auditrail_buffer_data(line), auditrail_buffer_length(line));
        auditrail_buffer_free(line);
    }
    check(auditrail_writer_close(writer, &error), error);
    return lines;
}

}  // namespace bench
