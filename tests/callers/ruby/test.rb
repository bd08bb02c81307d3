# frozen_string_literal: true

# auditrail.rb against the built library: ruby test.rb CORPUS SCRATCH
require_relative "../../../bindings/ruby/auditrail"

corpus, $scratch = ARGV
$checks = 0

def check(condition, what = "")
  $checks += 1
  raise "not so: #{what}" unless condition
end

def same(found, expected) = check(found == expected, "#{found.inspect} is #{expected.inspect}")

def fails(kind)
  yield
rescue kind => e
  $checks += 1
  e
else
  raise "#{kind} was not raised"
end

Event = { domain: "v2", category: "image", model_name: "m", operation: "create",
          logical_user_id: "u", timestamp: 5 }.freeze
Trail = Auditrail::Trail

# What every language writes, for the trees to be compared.
lines = File.readlines(corpus, chomp: true, encoding: "UTF-8")
Trail.open("#{$scratch}/same", max_segment_bytes: 2048) do |trail|
  lines.each_slice(5).with_index do |five, index|
    id = index * 5 + 1
    same trail.append(JSON.parse(five[0])), id
    same trail.append(five[1]), id + 1
    given = JSON.parse(five[2])
    same trail.append_returning(**given.transform_keys(&:to_sym)).slice(*given.keys), given
    same trail.append_batch([JSON.parse(five[3]), five[4]]), (id + 3)...(id + 5)
  end
  same trail.stats[:last_id], lines.size
end

# Errors.
trail = Trail.open("#{$scratch}/errors")
e = fails(Auditrail::InvalidEvent) do
  trail.append('{"domain":"v9","category":"image","model_name":"m","operation":"create","logical_user_id":"u"}')
end
same [e.status, e.name, e.offset, e.errno], [-11, "AUDITRAIL_ERR_INVALID_EVENT", 10, nil]
check e.message.include?("domain")
check fails(Auditrail::Busy) { Trail.open("#{$scratch}/errors") }.message.include?(Process.pid.to_s)
check fails(Auditrail::Error) { Trail.open("/proc/nothing/here") }.errno.positive?
fails(Auditrail::NotFound) { Auditrail.read("#{$scratch}/nothing") { nil } }
fails(Auditrail::Error) { Trail.open("#{$scratch}/errors", max_segment_bytes: 0) }
fails(ArgumentError) { Trail.open("#{$scratch}/errors", max_segment_bytes: -1) }
fails(ArgumentError) { Trail.open("#{$scratch}/errors", colour: 1) }
fails(ArgumentError) { Trail.open("a\0b") }
fails(KeyError) { Trail.open("#{$scratch}/errors", durability: :eternal) }
fails(JSON::GeneratorError) { trail.append(**Event, payload: { after: { x: Float::NAN } }) }
fails(Auditrail::InvalidEvent) { trail.append_batch([Event, {}, Event]) }
fails(ArgumentError) { trail.append_batch(["{}\n{}"]) }
same trail.append_batch([]).size, 0
same trail.append(**Event, request_id: nil), 1
same trail.flush.sync.stats[:synced_id], 1
trail.close
trail.close
check trail.closed?
fails(IOError) { trail.append(**Event) }

# Options.
Trail.open("#{$scratch}/options", durability: :buffered, flush_interval_ms: 0, domains: %w[a b], operations: :any) do |t|
  fails(Auditrail::InvalidEvent) { t.append(**Event) }
  t.append(**Event, domain: "b", operation: "rename")
  same t.stats.values_at(:written_id, :last_id, :waiting), [0, 1, 1]
end
same Auditrail.read("#{$scratch}/options").count, 1

# Threads share a trail, and closing waits for them.
Trail.open("#{$scratch}/threads", durability: :synced) do |t|
  ids = Array.new(8) { Thread.new { Array.new(10) { t.append(**Event) } } }.flat_map(&:value)
  same ids.sort, (1..80).to_a
end
10.times do
  t = Trail.open("#{$scratch}/closing")
  threads = Array.new(4) do
    Thread.new do
      loop { t.append(**Event) }
    rescue IOError
      nil
    end
  end
  sleep 0.002
  t.close
  threads.each(&:join)
end
same Auditrail.read("#{$scratch}/closing").each_with_index.all? { |(event, _), index| event["event_id"] == index + 1 }, true

# Reading.
root = "#{$scratch}/reading"
Trail.open(root) do |t|
  (1..10).each do |n|
    t.append(**Event, domain: n.odd? ? "v2" : "legacy", model_name: "m#{n % 3}", timestamp: 1000 + n, payload: { after: { n: n } })
  end
end
ids = ->(**filters) { Auditrail.read(root, **filters).map { |event, _| event["event_id"] } }
same ids.call, [2, 4, 6, 8, 10, 1, 3, 5, 7, 9]
same ids.call(order: :newest_first, limit: 3), [10, 9, 8]
same ids.call(domains: ["v2"], event_ids: 3..7), [3, 5, 7]
same ids.call(model_names: %w[m0 m2], timestamps: (1008..), order: :oldest_first), [8, 9]
same ids.call(event_ids: (...3)), [2, 1]
same ids.call(users: ["nobody"]), []
# A filter never lets more through than was asked for.
same ids.call(domains: "legacy"), [2, 4, 6, 8, 10]
same ids.call(domains: []), []
same ids.call(limit: 0), []
same ids.call(domains: ["v2"], users: [], event_ids: (2..)), []
same ids.call(event_ids: 0...(2**64), timestamps: (-2**63)..1001), [1]
[{ colours: [] }, { domain: "v2" }, { domains: 7 }, { domains: { v2: 1 } }, { event_ids: -1.. },
 { event_ids: ..(2**64) }, { timestamps: ..(2**63) }, { limit: -1 }, { limit: 2**64 }, { order: :none }].each do |wrong|
  fails(ArgumentError) { ids.call(**wrong) }
end
replayed = Auditrail.replay(root, "v2", "image", event_ids: (..7))
same [replayed.state["m1"]["n"], replayed.last_event_id, replayed.applied_events], [7, 7, 4]
same Auditrail.history(root, "v2", "image", "m1").first["changes"], { "n" => { "new" => 1 } }
same Auditrail.check(root)["events"], 10
later = Thread.new { sleep 0.2 and Trail.open(root) { |t| t.append(**Event) } }
same Auditrail.read(root, event_ids: (10..), follow: 30).take(2).map { |event, _| event["event_id"] }, [10, 11]
later.join
same Auditrail.read(root, event_ids: (10..), follow: 0).count, 2

# What is dropped, or still open at the end, is closed.
fails(ArgumentError) { Trail.open("#{$scratch}/options", domains: 7) }
fails(ArgumentError) { Trail.open("#{$scratch}/options", operations: []) }
binding_path = File.expand_path("../../../bindings/ruby/auditrail", __dir__)
check system(RbConfig.ruby, "-e", <<~RUBY, binding_path, "#{$scratch}/exit")
  require ARGV[0]
  root = ARGV[1]
  trail = Auditrail::Trail.open(root, durability: :buffered, flush_interval_ms: 3_600_000)
  2.times { trail.append(domain: "v2", category: "c", model_name: "m", operation: "create", logical_user_id: "u") }
  trail.flush
  def drop(depth, root) = depth.zero? ? 50.times { Auditrail.read(root).next } : drop(depth - 1, root)
  drop(50, root)
  20.times { GC.start }
  files = Dir.children("/proc/self/fd").count { |fd| (File.readlink("/proc/self/fd/\#{fd}") rescue "").end_with?(".jsonl") }
  abort "\#{files} files are still open" if files > 25
  trail.append(domain: "v2", category: "c", model_name: "m", operation: "create", logical_user_id: "u")
RUBY
same Auditrail.read("#{$scratch}/exit").count, 3

# Fork.
Trail.open("#{$scratch}/fork", shared: true) do |t|
  t.append(**Event)
  child = fork do
    fails(Auditrail::Forked) { t.append(**Event) }
    t.close
    Trail.open("#{$scratch}/fork", shared: true) { |own| same own.append(**Event), 2 }
    exit! 0
  end
  Process.wait(child)
  check Process.last_status.success?
  same t.append(**Event), 3
end

puts "#{$checks} checks"
