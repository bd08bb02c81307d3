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
-- empty; keys are written in the order of the alphabet. A table that is neither a
-- list without holes nor has string keys only is refused.

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
int32_t auditrail_options_set_lock_timeout_ms(auditrail_options *, uint64_t, auditrail_error *);
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
int32_t auditrail_check_pruned(const char *, uint64_t, auditrail_buffer **, auditrail_error *);
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

local function kind_of(value) return value == nil and "nil" or "a " .. type(value) end

--- A text that the library takes up to its NUL.
local function name(what, text)
    if type(text) ~= "string" then error(what .. " must be a string, not " .. kind_of(text), 3) end
    if text:find("\0", 1, true) then error(what .. " cannot hold a NUL", 3) end
    return text
end

local function path(root) return name("a path", root) end

--- How many values a list has; an error where it is none, has holes or other keys.
local function length_of(what, list)
    local count = 0
    for key in pairs(list) do
        if type(key) ~= "number" or key < 1 or key % 1 ~= 0 then
            error(what .. " must be a list, but has the key " .. tostring(key), 0)
        end
        count = count + 1
    end
    for index = 1, count do
        if list[index] == nil then error(what .. " must be a list without holes", 0) end
    end
    return count
end

--- The texts of a list; a text alone is a list of one.
local function texts(what, some)
    if type(some) == "string" then return {some} end
    if type(some) ~= "table" then error(what .. " must be a string or a list, not " .. kind_of(some), 0) end
    for index = 1, length_of(what, some) do
        if type(some[index]) ~= "string" then error(what .. " must hold strings, not " .. kind_of(some[index]), 0) end
    end
    return some
end

local int64, uint64 = ffi.typeof("int64_t"), ffi.typeof("uint64_t")

--- The number, if it is a whole one in range: a Lua number that is exact, or an
-- int64_t or uint64_t. The ffi would make another of any other.
local function whole(what, value, signed)
    if type(value) == "number" then
        if value % 1 ~= 0 or value >= 2^53 or value <= -2^53 or (value < 0 and not signed) then
            error(what .. " must be a whole number " .. (signed and "below 2^53" or "from 0 to 2^53"), 0)
        end
    elseif ffi.istype(int64, value) then
        if value < 0 and not signed then error(what .. " cannot be negative", 0) end
    elseif ffi.istype(uint64, value) then
        if signed and value > 0x7fffffffffffffffULL then error(what .. " is too large", 0) end
    else
        error(what .. " must be a number, not " .. kind_of(value), 0)
    end
    return value
end

local function one_of(what, from, value)
    return type(value) == "string" and from[value] or error("no such " .. what .. ": " .. tostring(value), 0)
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
    if value == 0 then return 1 / value < 0 and "-0.0" or "0" end
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
    if ffi.istype(int64, value) or ffi.istype(uint64, value) then return (tostring(value):gsub("U?LL$", "")) end
    if kind ~= "table" then error("a " .. kind .. " has no form in JSON", 0) end
    if getmetatable(value) ~= Array and value[1] == nil then return members(value) end
    local parts = {}
    for index = 1, length_of("an array", value) do parts[index] = encode(value[index]) end
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

local function json(event)
    if type(event) == "string" then return event end
    if type(event) ~= "table" then error("an event must be a table or JSON text, not " .. kind_of(event), 3) end
    return members(event)
end

local function buffer_text(made)
    local text = ffi.string(C.auditrail_buffer_data(made), C.auditrail_buffer_length(made))
    C.auditrail_buffer_free(made)
    return text
end

-- Writing ---------------------------------------------------------------------

local durabilities = {buffered = 0, written = 1, synced = 2, mapped = 3}
local numbers = {"max_segment_bytes", "max_event_bytes", "buffer_bytes", "flush_interval_ms", "max_open_files",
    "lock_timeout_ms"}

local setters = {}
for _, kind in ipairs {"domain", "operation"} do
    setters[kind .. "s"] = function(options, names)
        if names == "*" then return check(C["auditrail_options_set_any_" .. kind](options, details)) end
        names = texts(kind .. "s", names)
        if #names == 0 then error(kind .. "s: an empty list would allow no event", 0) end
        for _, one in ipairs(names) do check(C["auditrail_options_add_" .. kind](options, one, #one, details)) end
    end
end
for _, option in ipairs(numbers) do
    setters[option] = function(options, value)
        check(C["auditrail_options_set_" .. option](options, whole(option, value), details))
    end
end
function setters.durability(options, value)
    check(C.auditrail_options_set_durability(options, one_of("durability", durabilities, value), details))
end
function setters.shared(options, value)
    if type(value) ~= "boolean" then error("shared must be true or false, not " .. kind_of(value), 0) end
    check(C.auditrail_options_set_shared(options, value and 1 or 0, details))
end

--- Gives each of what is wanted to its setter, and refuses what has none.
local function set_all(what, known, target, wanted)
    if wanted ~= nil and type(wanted) ~= "table" then error(what .. "s must be a table, not " .. kind_of(wanted), 0) end
    for option, value in pairs(wanted or {}) do
        local set = known[option] or error("no such " .. what .. ": " .. tostring(option), 0)
        set(target, value)
    end
    return target
end

local function options_of(wanted)
    return set_all("option", setters, ffi.gc(C.auditrail_options_new(), C.auditrail_options_free), wanted)
end

local Trail = {}
Trail.__index = Trail

-- What a trail needs, by the trail: a copy of one has no handle, so that none is
-- used after it was freed.
local inner = setmetatable({}, {__mode = "k"})

--- Opens the trail in a folder, which is made where it is missing. Options:
-- durability ("buffered", "mapped", "written", "synced"), shared, domains and operations
-- (lists, or "*"), max_segment_bytes, max_event_bytes, buffer_bytes,
-- flush_interval_ms, max_open_files, lock_timeout_ms (0: no limit).
function auditrail.open(root, options)
    local out = ffi.new("auditrail_writer *[1]")
    check(C.auditrail_writer_open(path(root), options_of(options), out, details))
    local trail = setmetatable({}, Trail)
    inner[trail] = {
        handle = ffi.gc(out[0], function(writer) C.auditrail_writer_close(writer, nil) end),
        id = ffi.new("uint64_t[1]"), count = ffi.new("size_t[1]"),
    }
    return trail
end

--- The handle of a trail, and what belongs to it.
local function open_handle(trail)
    local own = inner[trail] or error("this is no trail", 3)
    return own.handle or error("the trail is closed", 3), own
end

--- Appends an event, a table or JSON text, and returns its id.
function Trail:append(event)
    local text = json(event)
    local handle, own = open_handle(self)
    check(C.auditrail_writer_append(handle, text, #text, own.id, details))
    return tonumber(own.id[0])
end

--- Appends an event and returns it as it was persisted, and its line.
function Trail:append_returning(event)
    local text = json(event)
    local out = ffi.new("auditrail_buffer *[1]")
    check(C.auditrail_writer_append_returning((open_handle(self)), text, #text, out, details))
    local line = buffer_text(out[0])
    return decode(line), line
end

--- Appends a list of events, all or none; returns the first id and their number.
function Trail:append_batch(events)
    local handle, own = open_handle(self)
    if type(events) ~= "table" then error("a batch must be a list of events, not " .. kind_of(events), 2) end
    local lines = {}
    for index = 1, length_of("a batch", events) do
        lines[index] = json(events[index])
        if lines[index]:find("\n", 1, true) then error("an event of a batch must be one line", 2) end
    end
    if #lines == 0 then return nil, 0 end
    local text = table.concat(lines, "\n")
    check(C.auditrail_writer_append_batch(handle, text, #text, own.id, own.count, details))
    return tonumber(own.id[0]), tonumber(own.count[0])
end

--- Gives all events that were accepted to the operating system.
function Trail:flush() check(C.auditrail_writer_flush((open_handle(self)), details)) end

--- Brings all events that were accepted to disk.
function Trail:sync() check(C.auditrail_writer_sync((open_handle(self)), details)) end

--- What the writer has done and where it is.
function Trail:stats()
    local stats = ffi.new("auditrail_stats", {size = ffi.sizeof("auditrail_stats")})
    check(C.auditrail_writer_stats((open_handle(self)), stats, details))
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
    local own = inner[self] or error("this is no trail", 2)
    local handle = own.handle
    if not handle then return end
    own.handle = nil
    ffi.gc(handle, nil)
    check(C.auditrail_writer_close(handle, details))
end

-- Reading ---------------------------------------------------------------------

local orders = {stream = 0, oldest_first = 1, newest_first = 2}
local lists = {domains = "domain", categories = "category", model_names = "model_name",
    operations = "operation", users = "user"}

local choosers = {}
for plural, kind in pairs(lists) do
    choosers[plural] = function(state, some)
        some = texts(plural, some)
        if #some == 0 then state.none = true end
        for _, one in ipairs(some) do
            check(C["auditrail_filter_add_" .. kind](state.filter, one, #one, details))
        end
    end
end
for _, bound in ipairs {"min_event_id", "max_event_id"} do
    choosers[bound] = function(state, value) state[bound] = whole(bound, value) end
end
for _, bound in ipairs {"min_timestamp", "max_timestamp"} do
    choosers[bound] = function(state, value) state[bound] = whole(bound, value, true) end
end
function choosers.request_id(state, text)
    if type(text) ~= "string" then error("request_id must be a string, not " .. kind_of(text), 0) end
    check(C.auditrail_filter_set_request_id(state.filter, text, #text, details))
end
function choosers.order(state, value)
    check(C.auditrail_filter_set_order(state.filter, one_of("order", orders, value), details))
end
function choosers.limit(state, value)
    if whole("limit", value) == 0 then state.none = true end
    check(C.auditrail_filter_set_limit(state.filter, value, details))
end
function choosers.follow(state, seconds)
    if type(seconds) ~= "number" or not (seconds >= 0) then
        error("follow must be a number of seconds from 0 up", 0)
    end
    state.wait = seconds < 1e12 and math.ceil(seconds * 1000) or 0xffffffffffffffffULL -- for ever
end

local function without(...)
    local known = {}
    for filter, choose in pairs(choosers) do known[filter] = choose end
    for _, filter in ipairs {...} do known[filter] = nil end
    return known
end
local for_replay = without("domains", "categories", "order", "follow")
local for_history = without("domains", "categories", "model_names", "follow")

local last_id = 0xffffffffffffffffULL

--- A filter of the library, which lets nothing through that was not asked for, and
-- how long to wait at the end.
local function filter_of(wanted, known)
    local filter = ffi.gc(C.auditrail_filter_new(), C.auditrail_filter_free)
    local state = set_all("filter", known or choosers, {filter = filter}, wanted)
    check(C.auditrail_filter_set_event_ids(filter, state.min_event_id or 0, state.max_event_id or last_id, details))
    -- To the library an empty list is no list, and a limit of 0 no limit; ids begin at 1.
    if state.none then check(C.auditrail_filter_set_event_ids(filter, 0, 0, details)) end
    check(C.auditrail_filter_set_timestamps(filter, state.min_timestamp or -0x7fffffffffffffffLL - 1LL,
        state.max_timestamp or 0x7fffffffffffffffLL, details))
    return filter, state.wait
end

--- Goes through the events of a trail: for event, line in auditrail.read(root)
-- do … end. Filters: domains, categories, model_names, operations, users
-- (lists, or one text), request_id, min_event_id, max_event_id, min_timestamp,
-- max_timestamp, order ("stream", "oldest_first", "newest_first"), limit; and
-- follow: for how many seconds to wait at the end for an event that comes. An empty
-- list and a limit of 0 let nothing through.
function auditrail.read(root, filters)
    local out = ffi.new("auditrail_reader *[1]")
    local filter, wait = filter_of(filters)
    check(C.auditrail_reader_open(path(root), filter, out, details))
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
    check(C.auditrail_replay(path(root), name("domain", domain), name("category", category),
        (filter_of(filters, for_replay)), out, details))
    local result = decode(buffer_text(out[0]))
    return result.state, result.last_event_id, result.applied_events
end

--- What happened to one record, event by event.
function auditrail.history(root, domain, category, model_name, filters)
    local out = ffi.new("auditrail_buffer *[1]")
    check(C.auditrail_history(path(root), name("domain", domain), name("category", category),
        name("model_name", model_name), (filter_of(filters, for_history)), out, details))
    return decode(buffer_text(out[0]))
end

--- Goes through a trail without changing it, and reports what it found. Events before
-- `pruned_before`, if it is given, may be missing.
function auditrail.check(root, pruned_before)
    local out = ffi.new("auditrail_buffer *[1]")
    local first_id = pruned_before == nil and 0 or whole("pruned_before", pruned_before)
    check(C.auditrail_check_pruned(path(root), first_id, out, details))
    return decode(buffer_text(out[0]))
end

return auditrail
