-- Who gave whom which role: a small program over auditrail.lua.
--
--     LUA_PATH='bindings/lua/?.lua' luajit examples/lua/story.lua audit
local auditrail = require "auditrail"

local function create(who)
    return {domain = "v2", category = "users", model_name = who, operation = "create",
        logical_user_id = "admin-7", payload = {after = {role = "user"}}}
end

local root = arg[1] or "audit"
local trail = auditrail.open(root)

-- A user is created: append gives the event's id.
print(("event %d: create ada"):format(trail:append(create "ada")))

-- She becomes an owner. Who did that, in this request?
trail:append {domain = "v2", category = "users", model_name = "ada", operation = "update",
    logical_user_id = "admin-7", request_id = "req-1",
    payload = {delta = {role = {old = "user", new = "owner"}}}}
for event in auditrail.read(root, {request_id = "req-1"}) do
    print(("event %d: %s %s by %s"):format(event.event_id, event.operation, event.model_name,
        event.logical_user_id))
end

-- Two more in one batch: all of it, or nothing.
local first, count = trail:append_batch {create "bob", create "cyd"}
print(("events %d to %d in one batch"):format(first, first + count - 1))

-- An event that breaks a rule is refused; the error says why, and where.
local fine, refused = pcall(trail.append, trail,
    '{"domain":"v2","category":"../etc","model_name":"x","operation":"create","logical_user_id":"u"}')
if not fine then
    print(("refused: %s at byte %d: %s"):format(refused.name, refused.offset, tostring(refused)))
end

-- All that is in the trail, the newest first.
for event in auditrail.read(root, {categories = {"users"}, order = "newest_first"}) do
    print(("%d %s %s"):format(event.event_id, event.operation, event.model_name))
end

-- What the events make of each record.
local users = auditrail.replay(root, "v2", "users")
print("ada is " .. users.ada.role)
trail:close()
