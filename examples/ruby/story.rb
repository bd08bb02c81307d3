# frozen_string_literal: true

# Who gave whom which role: a small program over auditrail.rb.
#
#   ruby story.rb audit
require_relative "auditrail"

def create(who)
  { domain: "v2", category: "users", model_name: who, operation: "create",
    logical_user_id: "admin-7", payload: { after: { role: "user" } } }
end

root = ARGV.fetch(0, "audit")
Auditrail::Trail.open(root) do |trail|
  puts "event #{trail.append(create("ada"))}: create ada"

  event = trail.append_returning(
    domain: "v2", category: "users", model_name: "ada", operation: "update", logical_user_id: "admin-7",
    request_id: "req-1", payload: { delta: { role: { old: "user", new: "owner" } } }
  )
  puts "event #{event["event_id"]}: #{event["operation"]} #{event["model_name"]} by #{event["logical_user_id"]}"

  ids = trail.append_batch([create("bob"), create("cyd")])
  puts "events #{ids.min} to #{ids.max} in one batch"

  begin
    trail.append('{"domain":"v2","category":"../etc","model_name":"x","operation":"create","logical_user_id":"u"}')
  rescue Auditrail::InvalidEvent => e
    puts "refused: #{e.name} at byte #{e.offset}: #{e.message}"
  end

  Auditrail.read(root, categories: ["users"], order: :newest_first) do |one|
    puts one.values_at("event_id", "operation", "model_name").join(" ")
  end
  users = Auditrail.replay(root, "v2", "users").state
  puts "ada is #{users["ada"]["role"]}"
end
