-- Who gave whom which role: a small program over auditrail.lua.
--
--     luajit story.lua audit
package.path = (arg[0]:match("^(.*/)") or "./") .. "?.lua;" .. package.path
local auditrail = require "auditrail"

local root = arg[1] or "audit"
local trail = auditrail.open(root)

local function create(who)
    return {domain = "v2", category = "users", model_name = who, operation = "create",
        logical_user_id = "admin-7", payload = {after = {role = "user"}}}
end

print(("event %d: create ada"):format(trail:append(create "ada")))

local event = trail:append_returning {domain = "v2", category = "users", model_name = "ada",
    operation = "update", logical_user_id = "admin-7", request_id = "req-1",
    payload = {delta = {role = {old = "user", new = "owner"}}}}
print(("event %d: %s %s by %s"):format(event.event_id, event.operation, event.model_name,
    event.logical_user_id))

local first, count = trail:append_batch {create "bob", create "cyd"}
print(("events %d to %d in one batch"):format(first, first + count - 1))

local fine, refused = pcall(trail.append, trail,
    '{"domain":"v2","category":"../etc","model_name":"x","operation":"create","logical_user_id":"u"}')
if not fine then
    print(("refused: %s at byte %d: %s"):format(refused.name, refused.offset, tostring(refused)))
end

for event in auditrail.read(root, {categories = {"users"}, order = "newest_first"}) do
    print(("%d %s %s"):format(event.event_id, event.operation, event.model_name))
end

local users = auditrail.replay(root, "v2", "users")
print("ada is " .. users.ada.role)
trail:close()
