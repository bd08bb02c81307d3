--- Audit trails for LuaJIT, over the C library libauditrail.
--
-- Copy this one file; it needs the shared library and nothing else. The library
-- is looked for at $AUDITRAIL_LIB, then under its usual names.
--
--     local auditrail = require "auditrail"
--     local trail = auditrail.open("audit", {durability = "synced"})
--     local id = trail:append {domain = "v2", category = "users", model_name = "ada",
--         operation = "create", logical_user_id = "admin-7", payload = {after = {role = "user"}}}
--     for event in auditrail.read("audit", {model_names = {"ada"}}) do
--         print(event.event_id, event.operation)
--     end
--     trail:close()
--
-- What fails raises an error that is a table: status, name, errno, offset and
-- message, and prints as the message. Events are tables or JSON text. In tables,
-- auditrail.null stands for null and auditrail.array(t) for a list that may be
-- empty; keys are written in the order of the alphabet.

local ffi = require "ffi"

ffi.cdef [[
typedef struct auditrail_buffer auditrail_buffer;
typedef struct auditrail_options auditrail_options;
typedef struct auditrail_writer auditrail_writer;
typedef struct auditrail_filter auditrail_filter;
typedef struct auditrail_reader auditrail_reader;
typedef struct auditrail_error {
    int32_t status; int32_t os_errno; int64_t offset; char message[496];
} auditrail_error;
typedef struct auditrail_stats {
    size_t size;
    uint64_t events, bytes, batches, rotations, syncs, last_id, written_id, synced_id,
        torn_tails, torn_bytes, missing_ids, waiting, streams, open_files, flush_failures;
} auditrail_stats;

const char *auditrail_version(void);
const char *auditrail_status_name(int32_t);
const char *auditrail_buffer_data(const auditrail_buffer *);
size_t auditrail_buffer_length(const auditrail_buffer *);
void auditrail_buffer_free(auditrail_buffer *);

auditrail_options *auditrail_options_new(void);
void auditrail_options_free(auditrail_options *);
int32_t auditrail_options_set_max_segment_bytes(auditrail_options *, uint64_t, auditrail_error *);
int32_t auditrail_options_set_max_event_bytes(auditrail_options *, uint64_t, auditrail_error *);
int32_t auditrail_options_set_buffer_bytes(auditrail_options *, uint64_t, auditrail_error *);
int32_t auditrail_options_set_flush_interval_ms(auditrail_options *, uint64_t, auditrail_error *);
int32_t auditrail_options_set_max_open_files(auditrail_options *, uint64_t, auditrail_error *);
int32_t auditrail_options_set_durability(auditrail_options *, int32_t, auditrail_error *);
int32_t auditrail_options_set_shared(auditrail_options *, int32_t, auditrail_error *);
int32_t auditrail_options_add_domain(auditrail_options *, const char *, size_t, auditrail_error *);
int32_t auditrail_options_set_any_domain(auditrail_options *, auditrail_error *);
int32_t auditrail_options_add_operation(auditrail_options *, const char *, size_t, auditrail_error *);
int32_t auditrail_options_set_any_operation(auditrail_options *, auditrail_error *);

int32_t auditrail_writer_open(const char *, const auditrail_options *, auditrail_writer **, auditrail_error *);
int32_t auditrail_writer_append(auditrail_writer *, const char *, size_t, uint64_t *, auditrail_error *);
int32_t auditrail_writer_append_batch(auditrail_writer *, const char *, size_t, uint64_t *, size_t *, auditrail_error *);
int32_t auditrail_writer_append_returning(auditrail_writer *, const char *, size_t, auditrail_buffer **, auditrail_error *);
int32_t auditrail_writer_flush(auditrail_writer *, auditrail_error *);
int32_t auditrail_writer_sync(auditrail_writer *, auditrail_error *);
int32_t auditrail_writer_stats(auditrail_writer *, auditrail_stats *, auditrail_error *);
int32_t auditrail_writer_close(auditrail_writer *, auditrail_error *);

auditrail_filter *auditrail_filter_new(void);
void auditrail_filter_free(auditrail_filter *);
int32_t auditrail_filter_add_domain(auditrail_filter *, const char *, size_t, auditrail_error *);
int32_t auditrail_filter_add_category(auditrail_filter *, const char *, size_t, auditrail_error *);
int32_t auditrail_filter_add_model_name(auditrail_filter *, const char *, size_t, auditrail_error *);
int32_t auditrail_filter_add_operation(auditrail_filter *, const char *, size_t, auditrail_error *);
int32_t auditrail_filter_add_user(auditrail_filter *, const char *, size_t, auditrail_error *);
int32_t auditrail_filter_set_request_id(auditrail_filter *, const char *, size_t, auditrail_error *);
int32_t auditrail_filter_set_event_ids(auditrail_filter *, uint64_t, uint64_t, auditrail_error *);
int32_t auditrail_filter_set_timestamps(auditrail_filter *, int64_t, int64_t, auditrail_error *);
int32_t auditrail_filter_set_order(auditrail_filter *, int32_t, auditrail_error *);
int32_t auditrail_filter_set_limit(auditrail_filter *, uint64_t, auditrail_error *);
int32_t auditrail_reader_open(const char *, const auditrail_filter *, auditrail_reader **, auditrail_error *);
int32_t auditrail_reader_next(auditrail_reader *, const char **, size_t *, uint64_t *, auditrail_error *);
int32_t auditrail_reader_follow(auditrail_reader *, uint64_t, const char **, size_t *, uint64_t *, auditrail_error *);
void auditrail_reader_close(auditrail_reader *);
int32_t auditrail_history(const char *, const char *, const char *, const char *, const auditrail_filter *, auditrail_buffer **, auditrail_error *);
int32_t auditrail_replay(const char *, const char *, const char *, const auditrail_filter *, auditrail_buffer **, auditrail_error *);
int32_t auditrail_check(const char *, auditrail_buffer **, auditrail_error *);
]]

local function load()
    local named = os.getenv("AUDITRAIL_LIB")
    if named then return ffi.load(named) end
    local found, library = pcall(ffi.load, "libauditrail.so.0")
    return found and library or ffi.load("auditrail")
end

local C = load()
local auditrail = {version = ffi.string(C.auditrail_version())}

-- Errors ----------------------------------------------------------------------

local Error = {}
Error.__index = Error
function Error:__tostring() return self.message end

local details = ffi.new("auditrail_error") -- Lua has one thread; it is read at once

local function check(status)
    if status >= 0 then return status end
    error(setmetatable({
        status = details.status,
        name = ffi.string(C.auditrail_status_name(details.status)),
        errno = details.os_errno ~= 0 and details.os_errno or nil,
        offset = details.offset >= 0 and tonumber(details.offset) or nil,
        message = ffi.string(details.message),
    }, Error), 0)
end

-- What goes over as a C string: a NUL would cut it.
local function path(name)
    if type(name) ~= "string" then error("a path or name must be a string, not a " .. type(name), 3) end
    if name:find("\0", 1, true) then error("a path or name cannot hold a NUL", 3) end
    return name
end

-- A whole number as the library takes it; a cdata integer where 2^53 is too little.
local function whole(name, value, signed)
    local exact
    if type(value) == "number" then
        exact = value % 1 == 0 and value <= 2^53 and value >= (signed and -2^53 or 0)
    elseif ffi.istype("int64_t", value) then
        exact = signed or value >= 0
    elseif ffi.istype("uint64_t", value) then
        exact = not signed or value <= 0x7fffffffffffffffULL
    end
    if exact then return value end
    error(("%s must be a whole number%s, not %s"):format(name, signed and "" or " from 0", tostring(value)), 0)
end

-- A list of texts; one text is a list of one. A key that is no index, or a hole,
-- would be left out without a word.
local function texts(name, value)
    if type(value) == "string" then return {value} end
    if type(value) ~= "table" then error(name .. " must be a string or a list of them", 0) end
    local count = 0
    for _, text in pairs(value) do
        count = count + 1
        if type(text) ~= "string" then error(name .. " must hold only strings", 0) end
    end
    for index = 1, count do
        if value[index] == nil then error(name .. " must be a list without holes and keys", 0) end
    end
    return value
end

-- JSON ------------------------------------------------------------------------

auditrail.null = setmetatable({}, {__tostring = function() return "null" end})
local Array = {}
function auditrail.array(list) return setmetatable(list, Array) end

local escapes = {['"'] = '\\"', ["\\"] = "\\\\", ["\b"] = "\\b", ["\f"] = "\\f", ["\n"] = "\\n",
    ["\r"] = "\\r", ["\t"] = "\\t"}

local function quoted(text)
    return '"' .. text:gsub('[%c"\\]', function(c)
        return escapes[c] or ("\\u%04x"):format(c:byte())
    end) .. '"'
end

local function number(value)
    if value % 1 == 0 and value > -2^53 and value < 2^53 then return ("%d"):format(value) end
    for digits = 15, 17 do -- the shortest text that is this number
        local text = ("%%.%dg"):format(digits):format(value)
        if tonumber(text) == value then return text end
    end
    return tostring(value) -- nan or inf, which the library refuses
end

local encode

local function members(value)
    local keys, parts = {}, {}
    for key in pairs(value) do
        if type(key) ~= "string" then error("a key must be a string, not a " .. type(key), 0) end
        keys[#keys + 1] = key
    end
    table.sort(keys)
    for index, key in ipairs(keys) do parts[index] = quoted(key) .. ":" .. encode(value[key]) end
    return "{" .. table.concat(parts, ",") .. "}"
end

function encode(value)
    local kind = type(value)
    if kind == "string" then return quoted(value) end
    if kind == "number" then return number(value) end
    if kind == "boolean" or value == auditrail.null then return tostring(value) end
    if kind == "cdata" then return (tostring(value):gsub("U?LL$", "")) end
    if kind ~= "table" then error("a " .. kind .. " has no form in JSON", 0) end
    if getmetatable(value) ~= Array and #value == 0 then return members(value) end
    local parts = {}
    for index = 1, #value do parts[index] = encode(value[index]) end
    for key in pairs(value) do
        if type(key) ~= "number" or parts[key] == nil then
            error("a table is a list or has keys, not both: " .. tostring(key), 0)
        end
    end
    return "[" .. table.concat(parts, ",") .. "]"
end

local function character(code)
    if code < 0x80 then return string.char(code) end
    local bytes, first = "", 0x80
    local limit = 0x40
    repeat
        bytes = string.char(0x80 + code % 0x40) .. bytes
        code, first, limit = math.floor(code / 0x40), first / 2 + 0x80, limit / 2
    until code < limit
    return string.char(first % 0x100 + code) .. bytes
end

local unescapes = {b = "\b", f = "\f", n = "\n", r = "\r", t = "\t"}

-- Only for what the library gives, which is known to be JSON.
local function decode(text)
    local at = 1
    local value

    local function string_at()
        local parts = {}
        at = at + 1
        while true do
            local stop = text:find('["\\]', at)
            parts[#parts + 1] = text:sub(at, stop - 1)
            if text:sub(stop, stop) == '"' then
                at = stop + 1
                return table.concat(parts)
            end
            local c = text:sub(stop + 1, stop + 1)
            at = stop + 2
            if c == "u" then
                local code = tonumber(text:sub(at, at + 3), 16)
                at = at + 4
                if code >= 0xd800 and code < 0xdc00 then
                    code = 0x10000 + (code - 0xd800) * 0x400 + tonumber(text:sub(at + 2, at + 5), 16) - 0xdc00
                    at = at + 6
                end
                c = character(code)
            end
            parts[#parts + 1] = unescapes[c] or c
        end
    end

    local function skip() at = text:find("[^ \t\r\n]", at) or at end

    function value()
        skip()
        local c = text:sub(at, at)
        if c == '"' then return string_at() end
        if c == "{" or c == "[" then
            local result = c == "[" and auditrail.array {} or {}
            at = at + 1
            skip()
            while not text:find("^[%]}]", at) do
                local key = #result + 1
                if c == "{" then
                    key = string_at()
                    at = text:find(":", at, true) + 1
                end
                result[key] = value()
                skip()
                if text:sub(at, at) == "," then at = at + 1 end
                skip()
            end
            at = at + 1
            return result
        end
        local word = text:match("^[^%s,%]}]+", at)
        at = at + #word
        if word == "null" then return auditrail.null end
        if word == "true" or word == "false" then return word == "true" end
        return tonumber(word)
    end

    return value()
end

auditrail.encode, auditrail.decode = encode, decode

local function json(event) return type(event) == "string" and event or members(event) end

local function buffer_text(made)
    local text = ffi.string(C.auditrail_buffer_data(made), C.auditrail_buffer_length(made))
    C.auditrail_buffer_free(made)
    return text
end

-- Writing ---------------------------------------------------------------------

local durabilities = {buffered = 0, written = 1, synced = 2}
local numbers = {"max_segment_bytes", "max_event_bytes", "buffer_bytes", "flush_interval_ms", "max_open_files"}

local function options_of(wanted)
    local options = ffi.gc(C.auditrail_options_new(), C.auditrail_options_free)
    local known = {durability = true, shared = true, domains = true, operations = true}
    for _, name in ipairs(numbers) do
        known[name] = true
        if wanted[name] then
            check(C["auditrail_options_set_" .. name](options, whole(name, wanted[name]), details))
        end
    end
    for name in pairs(wanted) do
        if not known[name] then error("a trail has no option " .. tostring(name), 3) end
    end
    if wanted.durability then
        local durability = durabilities[wanted.durability]
            or error("no durability: " .. tostring(wanted.durability), 3)
        check(C.auditrail_options_set_durability(options, durability, details))
    end
    check(C.auditrail_options_set_shared(options, wanted.shared and 1 or 0, details))
    for _, kind in ipairs {"domain", "operation"} do
        local names = wanted[kind .. "s"]
        if names == "*" then
            check(C["auditrail_options_set_any_" .. kind](options, details))
        elseif names ~= nil then
            names = texts(kind .. "s", names)
            if #names == 0 then error(kind .. "s: an empty list would allow no event", 3) end
            for _, name in ipairs(names) do
                check(C["auditrail_options_add_" .. kind](options, name, #name, details))
            end
        end
    end
    return options
end

local Trail = {}
Trail.__index = Trail

--- Opens the trail in a folder, which is made where it is missing. Options:
-- durability ("buffered", "written", "synced"), shared, domains and operations
-- (lists, or "*"), max_segment_bytes, max_event_bytes, buffer_bytes,
-- flush_interval_ms, max_open_files.
function auditrail.open(root, options)
    local out = ffi.new("auditrail_writer *[1]")
    check(C.auditrail_writer_open(path(root), options_of(options or {}), out, details))
    local handle = ffi.gc(out[0], function(writer) C.auditrail_writer_close(writer, nil) end)
    return setmetatable({handle = handle, id = ffi.new("uint64_t[1]"), count = ffi.new("size_t[1]")}, Trail)
end

local function open_handle(trail) return trail.handle or error("the trail is closed", 3) end

--- Appends an event, a table or JSON text, and returns its id.
function Trail:append(event)
    local text = json(event)
    check(C.auditrail_writer_append(open_handle(self), text, #text, self.id, details))
    return tonumber(self.id[0])
end

--- Appends an event and returns it as it was persisted, and its line.
function Trail:append_returning(event)
    local text = json(event)
    local out = ffi.new("auditrail_buffer *[1]")
    check(C.auditrail_writer_append_returning(open_handle(self), text, #text, out, details))
    local line = buffer_text(out[0])
    return decode(line), line
end

--- Appends a list of events, all or none; returns the first id and their number.
function Trail:append_batch(events)
    local lines = {}
    for index, event in ipairs(events) do
        lines[index] = json(event)
        if lines[index]:find("\n", 1, true) then error("an event of a batch must be one line", 2) end
    end
    if #lines == 0 then return nil, 0 end
    local text = table.concat(lines, "\n")
    check(C.auditrail_writer_append_batch(open_handle(self), text, #text, self.id, self.count, details))
    return tonumber(self.id[0]), tonumber(self.count[0])
end

--- Gives all events that were accepted to the operating system.
function Trail:flush() check(C.auditrail_writer_flush(open_handle(self), details)) end

--- Brings all events that were accepted to disk.
function Trail:sync() check(C.auditrail_writer_sync(open_handle(self), details)) end

--- What the writer has done and where it is.
function Trail:stats()
    local stats = ffi.new("auditrail_stats", {size = ffi.sizeof("auditrail_stats")})
    check(C.auditrail_writer_stats(open_handle(self), stats, details))
    local result = {}
    for _, name in ipairs {"events", "bytes", "batches", "rotations", "syncs", "last_id", "written_id",
        "synced_id", "torn_tails", "torn_bytes", "missing_ids", "waiting", "streams", "open_files",
        "flush_failures"} do
        result[name] = tonumber(stats[name])
    end
    return result
end

--- Flushes, syncs and lets the trail go. A second call does nothing.
function Trail:close()
    local handle = self.handle
    if not handle then return end
    self.handle = nil
    ffi.gc(handle, nil)
    check(C.auditrail_writer_close(handle, details))
end

-- Reading ---------------------------------------------------------------------

local orders = {stream = 0, oldest_first = 1, newest_first = 2}
local lists = {domains = "domain", categories = "category", model_names = "model_name",
    operations = "operation", users = "user"}

local filters_beside_lists = {request_id = true, min_event_id = true, max_event_id = true,
    min_timestamp = true, max_timestamp = true, order = true, limit = true}

local function filter_of(wanted)
    local filter = ffi.gc(C.auditrail_filter_new(), C.auditrail_filter_free)
    local limit = whole("limit", wanted.limit or 0)
    local first_id = whole("min_event_id", wanted.min_event_id or 0)
    local last_id = whole("max_event_id", wanted.max_event_id or 0xffffffffffffffffULL)
    for name, value in pairs(wanted) do
        if lists[name] then
            local wanted_texts = texts(name, value)
            for _, text in ipairs(wanted_texts) do
                check(C["auditrail_filter_add_" .. lists[name]](filter, text, #text, details))
            end
            if #wanted_texts == 0 then first_id, last_id = 0, 0 end -- ids begin at 1: nothing passes
        elseif not filters_beside_lists[name] then
            error("no such filter: " .. tostring(name), 3)
        end
    end
    if wanted.limit and limit == 0 then first_id, last_id = 0, 0 end
    local request_id = wanted.request_id
    if request_id ~= nil then
        if type(request_id) ~= "string" then error("request_id must be a string", 3) end
        check(C.auditrail_filter_set_request_id(filter, request_id, #request_id, details))
    end
    check(C.auditrail_filter_set_event_ids(filter, first_id, last_id, details))
    check(C.auditrail_filter_set_timestamps(filter,
        whole("min_timestamp", wanted.min_timestamp or -0x7fffffffffffffffLL - 1LL, true),
        whole("max_timestamp", wanted.max_timestamp or 0x7fffffffffffffffLL, true), details))
    local order = orders[wanted.order or "stream"] or error("no order: " .. tostring(wanted.order), 3)
    check(C.auditrail_filter_set_order(filter, order, details))
    check(C.auditrail_filter_set_limit(filter, limit, details))
    return filter
end

--- Goes through the events of a trail: for event, line in auditrail.read(root)
-- do … end. Filters: domains, categories, model_names, operations, users
-- (a string or a list; an empty list lets nothing through), request_id,
-- min_event_id, max_event_id, min_timestamp, max_timestamp, order ("stream",
-- "oldest_first", "newest_first"), limit; and follow: for how many
-- seconds to wait at the end for an event that comes.
function auditrail.read(root, filters)
    local chosen, wait = {}, nil
    for name, value in pairs(filters or {}) do
        if name == "follow" then
            wait = type(value) == "number" and whole("follow", math.floor(value * 1000))
                or error("follow must be a number of seconds", 2)
        else
            chosen[name] = value
        end
    end
    local out = ffi.new("auditrail_reader *[1]")
    check(C.auditrail_reader_open(path(root), filter_of(chosen), out, details))
    local handle = ffi.gc(out[0], C.auditrail_reader_close)
    local text, length = ffi.new("const char *[1]"), ffi.new("size_t[1]")
    return function()
        if not handle then return nil end
        local status
        if wait then
            status = C.auditrail_reader_follow(handle, wait, text, length, nil, details)
        else
            status = C.auditrail_reader_next(handle, text, length, nil, details)
        end
        if check(status) ~= 0 then
            C.auditrail_reader_close(ffi.gc(handle, nil))
            handle = nil
            return nil
        end
        local line = ffi.string(text[0], length[0])
        return decode(line), line
    end
end

--- The records of a domain and category as their events leave them: a table
-- from names to records, the last id (or null), and how many were applied.
function auditrail.replay(root, domain, category, filters)
    local out = ffi.new("auditrail_buffer *[1]")
    check(C.auditrail_replay(path(root), path(domain), path(category), filter_of(filters or {}), out, details))
    local result = decode(buffer_text(out[0]))
    return result.state, result.last_event_id, result.applied_events
end

--- What happened to one record, event by event.
function auditrail.history(root, domain, category, model_name, filters)
    local out = ffi.new("auditrail_buffer *[1]")
    check(C.auditrail_history(path(root), path(domain), path(category), path(model_name),
        filter_of(filters or {}), out, details))
    return decode(buffer_text(out[0]))
end

--- Goes through a trail without changing it, and reports what it found.
function auditrail.check(root)
    local out = ffi.new("auditrail_buffer *[1]")
    check(C.auditrail_check(path(root), out, details))
    return decode(buffer_text(out[0]))
end

return auditrail
