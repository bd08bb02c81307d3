-- auditrail.lua against the built library: luajit test.lua CORPUS SCRATCH
local here = arg[0]:match("^(.*/)") or "./"
package.path = here .. "../../../bindings/lua/?.lua;" .. package.path
local auditrail = require "auditrail"
local ffi = require "ffi"
local corpus, scratch = arg[1], arg[2]

ffi.cdef "ptrdiff_t readlink(const char *, char *, size_t); int fork(void); int waitpid(int, int *, int); void _exit(int);"

local checks = 0
local function check(condition, what)
    checks = checks + 1
    if not condition then error("not so: " .. tostring(what), 2) end
end
local function same(a, b) check(a == b, ("%s is %s"):format(tostring(a), tostring(b))) end
local function fails(name, work, ...)
    local fine, err = pcall(work, ...)
    check(not fine, "it fails")
    if name then same(type(err) == "table" and err.name or err, name) end
    return err
end

local event = {domain = "v2", category = "image", model_name = "m", operation = "create",
    logical_user_id = "u", timestamp = 5}

do -- what every language writes, for the trees to be compared
    local lines = {}
    for line in io.lines(corpus) do lines[#lines + 1] = line end
    local trail = auditrail.open(scratch .. "/same", {max_segment_bytes = 2048})
    for at = 1, #lines, 5 do
        same(trail:append(auditrail.decode(lines[at])), at)
        same(trail:append(lines[at + 1]), at + 1)
        local back, line = trail:append_returning(auditrail.decode(lines[at + 2]))
        same(back.event_id, at + 2)
        same(auditrail.decode(line).model_name, auditrail.decode(lines[at + 2]).model_name)
        local first, count = trail:append_batch {auditrail.decode(lines[at + 3]), lines[at + 4]}
        same(first, at + 3)
        same(count, 2)
    end
    same(trail:stats().last_id, #lines)
    trail:close()
end

do -- JSON
    for _, text in ipairs {'{"a":[1,"two",null,{"a":[true]}],"b":{}}', "[]", "1.5", "-0.25",
        "9007199254740991", '"\\u0000\\u001f\\"\\\\\\b\\f\\n\\r\\t"', "1e+300", "0.1"} do
        same(auditrail.encode(auditrail.decode(text)), text)
    end
    same(auditrail.decode '"\\u00e9\\u20ac\\ud83d\\ude00/"', "\195\169\226\130\172\240\159\152\128/")
    same(auditrail.encode(2^63), "9.223372036854776e+18")
    same(auditrail.encode(9007199254740993LL), "9007199254740993")
    fails(nil, auditrail.encode, print)
    -- A table that is no list and no object is refused: something of it would be lost.
    for _, bad in ipairs {{[true] = 1}, {1, 2, y = 3}, {1, nil, 3}, {[2] = 1}, {[1.5] = 1}, {[0] = 1, 2},
        auditrail.array {a = 1}, auditrail.array {[2] = 1}, {a = {1, y = 2}}} do
        fails(nil, auditrail.encode, bad)
    end
    same(auditrail.encode {auditrail.null, 2, auditrail.array {}, {}}, "[null,2,[],{}]")
    same(auditrail.encode(-0.0), "-0.0")
    same(1 / auditrail.decode "-0.0", -math.huge)
    same(auditrail.encode(18446744073709551615ULL), "18446744073709551615")
    -- No text of somebody's own making gets into the JSON.
    local forged = ffi.metatype(ffi.typeof "struct { int x; }", {__tostring = function() return '1,"forged":2' end})
    fails(nil, auditrail.encode, {a = forged()})
    fails(nil, auditrail.encode, ffi.new "int *")
end

do -- errors
    local root = scratch .. "/errors"
    local trail = auditrail.open(root)
    local err = fails("AUDITRAIL_ERR_INVALID_EVENT", trail.append, trail,
        '{"domain":"v9","category":"image","model_name":"m","operation":"create","logical_user_id":"u"}')
    same(err.status, -11)
    same(err.offset, 10)
    same(err.errno, nil)
    check(tostring(err):find("domain", 1, true), err)
    check(tostring(fails("AUDITRAIL_ERR_BUSY", auditrail.open, root)):find("this process", 1, true))
    check(fails("AUDITRAIL_ERR_IO", auditrail.open, "/proc/nothing/here").errno > 0)
    fails("AUDITRAIL_ERR_NOT_FOUND", auditrail.read, scratch .. "/nothing")
    fails("AUDITRAIL_ERR_INVALID_ARGUMENT", auditrail.open, root, {max_segment_bytes = 0})
    fails(nil, auditrail.open, root, {colour = "blue"})
    fails(nil, auditrail.open, root, {durability = "eternal"})
    for _, bad in ipairs {"a\0b", 7, {}, true} do fails(nil, auditrail.open, bad) end
    fails(nil, auditrail.open, nil)
    for _, bad in ipairs {{max_segment_bytes = "7"}, {max_open_files = 1.5}, {buffer_bytes = true}, {buffer_bytes = false},
        {max_event_bytes = 1 / 0}, {max_event_bytes = 0 / 0}, {max_event_bytes = 2^53}, {flush_interval_ms = -1},
        {flush_interval_ms = -1LL}, {shared = 1}, {shared = "no"}, {domains = 7}, {domains = {7}}, {domains = {}},
        {operations = {}}, {domains = {"a", x = "b"}}, {durability = 1}, {"shared"}, "shared", 7} do
        local err = fails(nil, auditrail.open, root, bad)
        check(type(err) == "string" and not err:find("written by", 1, true), err)
    end
    local one = auditrail.open(scratch .. "/one", {domains = "a", operations = "rename", max_open_files = 7ULL, lock_timeout_ms = 7})
    fails("AUDITRAIL_ERR_INVALID_EVENT", one.append, one, event)
    one:close()
    for _, bad in ipairs {7, true, {1, 2}} do fails(nil, trail.append, trail, bad) end
    for _, bad in ipairs {"{}", 7, event, {event, nil, event}, {event, x = event}, {[2] = event}} do
        fails(nil, trail.append_batch, trail, bad)
    end
    -- A copy of a trail is none: it could use what was freed.
    local copy = {}
    for key, value in pairs(trail) do copy[key] = value end
    setmetatable(copy, getmetatable(trail))
    fails(nil, copy.append, copy, event)
    fails(nil, copy.close, copy)
    event.payload = {after = {x = 0 / 0}}
    fails("AUDITRAIL_ERR_INVALID_EVENT", trail.append, trail, event)
    event.payload = nil
    fails("AUDITRAIL_ERR_INVALID_EVENT", trail.append_batch, trail, {event, "{}", event})
    fails(nil, trail.append_batch, trail, {"{}\n{}"})
    same(select(2, trail:append_batch {}), 0)
    same(trail:append(event), 1)
    trail:flush()
    trail:sync()
    same(trail:stats().synced_id, 1)
    trail:close()
    trail:close()
    fails(nil, trail.append, trail, event)
end

do -- a trail that is forgotten is let go
    auditrail.open(scratch .. "/forgotten", {durability = "buffered"}):append(event)
    collectgarbage()
    collectgarbage()
    local trail = auditrail.open(scratch .. "/forgotten", {operations = "*", domains = {"a"}})
    fails("AUDITRAIL_ERR_INVALID_EVENT", trail.append, trail, event)
    event.domain, event.operation = "a", "rename"
    same(trail:append(event), 2)
    event.domain, event.operation = "v2", "create"
    trail:close()
end

do -- reading
    local root = scratch .. "/reading"
    local trail = auditrail.open(root)
    for n = 1, 10 do
        trail:append {domain = n % 2 == 1 and "v2" or "legacy", category = "image", model_name = "m" .. n % 3,
            operation = "create", logical_user_id = "u", timestamp = 1000 + n, payload = {after = {n = n}}}
    end
    local function ids(filters)
        local found = {}
        for event, line in auditrail.read(root, filters) do
            same(event.payload.after.n, event.event_id)
            check(line:find('^{"event_id":' .. event.event_id .. ","), line)
            found[#found + 1] = event.event_id
        end
        return table.concat(found, " ")
    end
    same(ids(), "2 4 6 8 10 1 3 5 7 9")
    same(ids {order = "newest_first", limit = 3}, "10 9 8")
    same(ids {domains = {"v2"}, min_event_id = 3, max_event_id = 7}, "3 5 7")
    same(ids {model_names = {"m0", "m2"}, min_timestamp = 1008, order = "oldest_first"}, "8 9")
    same(ids {users = {"nobody"}}, "")
    -- A filter lets nothing through that was not asked for.
    for name, one in pairs {domains = "v2", categories = "image", model_names = "m0", operations = "create",
        users = "u"} do
        check(#ids {[name] = one} > 0)
        same(ids {[name] = one}, ids {[name] = {one}})
        same(ids {[name] = {}}, "")
        for _, bad in ipairs {5, {5}, {{one}}, true, false, {[2] = one}, {one, x = one}, {[one] = true}} do
            fails(nil, ids, {[name] = bad})
        end
    end
    same(ids {limit = 0}, "")
    same(ids {limit = 0ULL}, "")
    same(ids {min_event_id = 9LL, min_timestamp = -1}, "10 9")
    for _, name in ipairs {"min_event_id", "max_event_id", "limit", "min_timestamp", "max_timestamp"} do
        for _, bad in ipairs {1.5, 1 / 0, -1 / 0, 0 / 0, 2^53, -2^53, 2^70, "1", true, false, {1}, ffi.new "int[1]"} do
            fails(nil, ids, {[name] = bad})
        end
    end
    for _, name in ipairs {"min_event_id", "max_event_id", "limit"} do
        fails(nil, ids, {[name] = -1})
        fails(nil, ids, {[name] = -1LL})
    end
    for _, bad in ipairs {{colours = {}}, {domain = "v2"}, {"v2"}, "v2", 7, {order = "random"}, {order = 1}, {request_id = 7},
        {follow = -1}, {follow = 0 / 0}, {follow = "1"}} do
        fails(nil, ids, bad)
    end
    fails("AUDITRAIL_ERR_INVALID_ARGUMENT", ids, {min_event_id = 3, max_event_id = 2})
    fails("AUDITRAIL_ERR_NOT_FOUND", auditrail.read, scratch .. "/nothing", {users = {}})
    same(select(3, auditrail.replay(root, "v2", "image", {users = {}})), 0)
    same(#auditrail.history(root, "v2", "image", "m1", {limit = 0}), 0)
    for _, bad in ipairs {{domains = {"legacy"}}, {order = "stream"}, {follow = 1}} do
        fails(nil, auditrail.replay, root, "v2", "image", bad)
    end
    fails(nil, auditrail.history, root, "v2", "image", "m1", {model_names = {"m2"}})
    for _, bad in ipairs {"image\0", "image\0x", 7} do
        fails(nil, auditrail.replay, root, "v2", bad)
        fails(nil, auditrail.replay, root, bad, "image")
        fails(nil, auditrail.history, root, "v2", "image", bad)
        fails(nil, auditrail.check, bad)
    end
    fails(nil, auditrail.replay, root, "v2", nil)
    local state, last, applied = auditrail.replay(root, "v2", "image", {max_event_id = 7})
    same(state.m1.n, 7)
    same(last, 7)
    same(applied, 4)
    same(auditrail.history(root, "v2", "image", "m1")[1].changes.n.new, 1)
    local seen = 0
    for event in auditrail.read(root, {min_event_id = 10, follow = 0.1}) do
        seen = seen + 1
        same(event.event_id, 9 + seen)
        if seen == 1 then -- comes while we follow
            same(trail:append {domain = "v2", category = "other", model_name = "m", operation = "create",
                logical_user_id = "u"}, 11)
        end
    end
    same(seen, 2)
    same(auditrail.check(root).events, 11)
    same(auditrail.check(root, 9).pruned_events, 0)
    fails(nil, auditrail.check, root, -1)
    trail:close()
end

do -- a reader that is dropped gives back its file
    local function open_files()
        local count, target = 0, ffi.new("char[4096]")
        for fd = 0, 255 do
            local length = tonumber(ffi.C.readlink("/proc/self/fd/" .. fd, target, 4096))
            if length > 0 and ffi.string(target, length):find("/reading/", 1, true) then count = count + 1 end
        end
        return count
    end
    for _ = 1, 20 do auditrail.read(scratch .. "/reading")() end
    check(open_files() > 0, "readers have files open")
    collectgarbage()
    collectgarbage()
    same(open_files(), 0)
end

do -- fork
    local root = scratch .. "/fork"
    local trail = auditrail.open(root, {shared = true})
    trail:append(event)
    local child = ffi.C.fork()
    if child == 0 then
        local fine, err = pcall(function()
            fails("AUDITRAIL_ERR_FORKED", trail.append, trail, event)
            local own = auditrail.open(root, {shared = true})
            same(own:append(event), 2)
            own:close()
        end)
        if not fine then io.stderr:write(tostring(err), "\n") end
        ffi.C._exit(fine and 0 or 1)
    end
    local status = ffi.new("int[1]")
    ffi.C.waitpid(child, status, 0)
    same(status[0], 0)
    same(trail:append(event), 3)
    trail:close()
end

print(checks .. " checks")
