# frozen_string_literal: true

# Who gave whom which role: a small program over auditrail.rb.
#
#     ruby -I bindings/ruby examples/ruby/story.rb audit
require "auditrail"

def create(who)
  { domain: "v2", category: "users", model_name: who, operation: "create",
    logical_user_id: "admin-7", payload: { after: { role: "user" } } }
end

root = ARGV.fetch(0, "audit")
Auditrail::Trail.open(root) do |trail|
  # A user is created: append gives the event's id.
  puts "event #{trail.append(create("ada"))}: create ada"

  # She becomes an owner. Who did that, in this request?
  trail.append(
    domain: "v2", category: "users", model_name: "ada", operation: "update", logical_user_id: "admin-7",
    request_id: "req-1", payload: { delta: { role: { old: "user", new: "owner" } } }
  )
  Auditrail.read(root, request_id: "req-1") do |event|
    puts "event #{event["event_id"]}: #{event["operation"]} #{event["model_name"]} by #{event["logical_user_id"]}"
  end

  # Two more in one batch: all of it, or nothing.
  ids = trail.append_batch([create("bob"), create("cyd")])
  puts "events #{ids.min} to #{ids.max} in one batch"

  # An event that breaks a rule is refused; the error says why, and where.
  begin
    trail.append('{"domain":"v2","category":"../etc","model_name":"x","operation":"create","logical_user_id":"u"}')
  rescue Auditrail::InvalidEvent => e
    puts "refused: #{e.name} at byte #{e.offset}: #{e.message}"
  end

  # All that is in the trail, the newest first.
  Auditrail.read(root, categories: ["users"], order: :newest_first) do |event|
    puts event.values_at("event_id", "operation", "model_name").join(" ")
  end

  # What the events make of each record.
  users = Auditrail.replay(root, "v2", "users").state
  puts "ada is #{users["ada"]["role"]}"
end
