# frozen_string_literal: true

# auditrail.rb against the built library: ruby test.rb CORPUS SCRATCH
require_relative "../../../bindings/ruby/auditrail"
require "pathname"
require "set"
require "timeout"

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
Trail.open("#{$scratch}/lock", shared: true, lock_timeout_ms: 20) do |t|
  File.open("#{$scratch}/lock/.auditrail/commit-lock") do |lock|
    lock.flock(File::LOCK_EX)
    check fails(Auditrail::Busy) { t.append(**Event) }.message.include?(Process.pid.to_s)
  end
  same t.append(**Event), 1
end
fails(Auditrail::NotFound) { Auditrail.read("#{$scratch}/nothing") { nil } }
fails(Auditrail::Error) { Trail.open("#{$scratch}/errors", max_segment_bytes: 0) }
fails(ArgumentError) { Trail.open("#{$scratch}/errors", max_segment_bytes: -1) }
fails(ArgumentError) { Trail.open("#{$scratch}/errors", colour: 1) }
fails(ArgumentError) { Trail.open("a\0b") }
[nil, 7, [], :"a\0b".to_proc, %w[a]].each { |bad| fails(TypeError) { Trail.open(bad) } }
[{ max_segment_bytes: "7" }, { max_open_files: 7.9 }, { buffer_bytes: true }, { shared: "no" }, { shared: nil }, { domains: 7 },
 { domains: [7] }, { domains: { a: 1 } }, { operations: [nil] }].each do |bad|
  fails(TypeError) { Trail.open("#{$scratch}/errors", **bad) }
end
[{ max_segment_bytes: 2**64 }, { flush_interval_ms: -1 }, { domains: [] }, { operations: [] }, { durability: "synced" },
 { durability: 1 }].each do |bad|
  fails(ArgumentError) { Trail.open("#{$scratch}/errors", **bad) }
end
Trail.open(Pathname.new("#{$scratch}/one"), domains: "a", operations: :rename, buffer_bytes: nil) do |t|
  same t.append(**Event, domain: "a", operation: "rename"), 1
  fails(Auditrail::InvalidEvent) { t.append(**Event) }
end
Trail.open("#{$scratch}/any", domains: "*", operations: :any) { |t| same t.append(**Event, domain: "a", operation: "x"), 1 }
fails(ArgumentError) { trail.append(Event, request_id: "passed over") }
[Event, "{}", nil, 7].each { |bad| fails(TypeError) { trail.append_batch(bad) } }
fails(Auditrail::InvalidEvent) { trail.append(**Event, payload: { after: { "a" => 1, a: 2 } }) }
fails(JSON::GeneratorError) { trail.append(**Event, model_name: "\xff") }
fails(TypeError) { trail.dup }
fails(TypeError) { trail.clone }
fails(TypeError) { Marshal.dump(trail) }
fails(ArgumentError) { Trail.open("#{$scratch}/errors", durability: :eternal) }
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

# Deep, large and odd values; encodings.
Trail.open("#{$scratch}/odd") do |t|
  deep = (1..120).inject([]) { |inner, _| [inner] }
  back = t.append_returning(**Event, payload: { after: { deep: deep, big: 10**5000, zero: -0.0, nul: "\0" } })
  same back["payload"]["after"], { "deep" => deep, "big" => 10**5000, "zero" => -0.0, "nul" => "\0" }
  check (1 / back["payload"]["after"]["zero"]).negative?
  same Auditrail.read("#{$scratch}/odd").first[0], back
  t.append(JSON.generate(Event.merge(model_name: "\u00e9")).encode("UTF-16LE"))
  same Auditrail.read("#{$scratch}/odd", model_names: "\u00e9".encode("ISO-8859-1")).count, 1
  fails(Auditrail::Error) { t.append(**Event, payload: { after: { text: "x" * (2 << 20) } }) }
end

# A text is the library's own while it works on it: here it waits for its turn.
Trail.open("#{$scratch}/changed", shared: true) do |t|
  t.append(**Event)
  text = JSON.generate(Event.merge(payload: { after: { text: "x" * 100_000 } }))
  File.open("#{$scratch}/changed/.auditrail/commit-lock") do |lock|
    lock.flock(File::LOCK_EX)
    appending = Thread.new { t.append(text) }
    sleep 0.1
    text.replace("y" * 200_000)
    GC.start
    GC.compact if GC.respond_to?(:compact)
    lock.flock(File::LOCK_UN)
    same appending.value, 2
  end
  same Auditrail.read("#{$scratch}/changed", event_ids: 2..2).first[0]["payload"]["after"]["text"], "x" * 100_000
end

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
# A filter lets nothing through that was not asked for.
same ids.call(domains: nil, users: nil, request_id: nil, event_ids: nil, timestamps: nil, order: nil, limit: nil), ids.call
{ domains: ["v2", 5], categories: ["image", 10], model_names: ["m0", 3], operations: ["create", 10],
  users: ["u", 10] }.each do |name, (one, found)|
  same ids.call(name => one).size, found
  [[one], [one.to_sym], one.to_sym, Set[one], [one].each].each { |list| same ids.call(name => list), ids.call(name => one) }
  [[], Set[], [].each].each { |empty| same ids.call(name => empty), [] }
  [5, [5], [nil], [[one]], true, { one => one }].each { |bad| fails(TypeError) { ids.call(name => bad) } }
end
same ids.call(limit: 0), []
same ids.call(event_ids: 10...2**64), [10]
[-1, 2**64, 2**70].each do |bad|
  fails(ArgumentError) { ids.call(limit: bad) }
  fails(ArgumentError) { ids.call(event_ids: bad..) }
  fails(ArgumentError) { ids.call(event_ids: ..bad) }
end
[2**63, -2**64].each do |bad|
  fails(ArgumentError) { ids.call(timestamps: bad..) }
  fails(ArgumentError) { ids.call(timestamps: ..bad) }
end
fails(ArgumentError) { ids.call(event_ids: ...0) }
same ids.call(timestamps: -1..).size, 10
[1.0, "1", true, Float::NAN, Float::INFINITY, [1]].each { |bad| fails(TypeError) { ids.call(limit: bad) } }
%i[event_ids timestamps].each do |name|
  [1.5..3, 1..3.0, 1..Float::INFINITY, "a".."b", 7, [1, 2], "1..2"].each { |bad| fails(TypeError) { ids.call(name => bad) } }
end
fails(TypeError) { ids.call(request_id: 7) }
[{ colours: [] }, { domain: "v2" }, { order: :random }, { order: 1 }, { order: "stream" }, { follow: -1 },
 { follow: Float::NAN }].each do |bad|
  fails(ArgumentError) { Auditrail.read(root, **bad) } # at once, not when it is first read
end
["1", true, [1]].each { |bad| fails(TypeError) { Auditrail.read(root, follow: bad) } }
same fails(Auditrail::Error) { ids.call(event_ids: 3..2) }.name, "AUDITRAIL_ERR_INVALID_ARGUMENT"
fails(Auditrail::NotFound) { Auditrail.read("#{$scratch}/nothing", users: []) { nil } }
same Auditrail.replay(root, "v2", "image", users: []).to_a, [{}, nil, 0]
same Auditrail.history(root, "v2", "image", "m1", limit: 0), []
fails(ArgumentError) { Auditrail.replay(root, "v2", "image", domains: ["legacy"]) }
fails(ArgumentError) { Auditrail.replay(root, "v2", "image", order: :newest_first) }
fails(ArgumentError) { Auditrail.history(root, "v2", "image", "m1", model_names: ["m2"]) }
fails(ArgumentError) { Auditrail.replay(root, "v2", "image\0") }
fails(TypeError) { Auditrail.replay(root, nil, "image") }
fails(ArgumentError) { Auditrail.history(root, "v2", "image", "m1\0") }
replayed = Auditrail.replay(root, "v2", "image", event_ids: (..7))
same [replayed.state["m1"]["n"], replayed.last_event_id, replayed.applied_events], [7, 7, 4]
same Auditrail.history(root, "v2", "image", "m1").first["changes"], { "n" => { "new" => 1 } }
same Auditrail.check(root)["events"], 10
same Auditrail.check(root, pruned_before: 9)["pruned_events"], 0
later = Thread.new { sleep 0.2 and Trail.open(root) { |t| t.append(**Event) } }
same Auditrail.read(root, event_ids: (10..), follow: 30).take(2).map { |event, _| event["event_id"] }, [10, 11]
later.join
same Auditrail.read(root, event_ids: (10..), follow: 0).count, 2

# A thread that follows can be interrupted.
started = Process.clock_gettime(Process::CLOCK_MONOTONIC)
fails(Timeout::Error) { Timeout.timeout(0.3) { Auditrail.read(root, event_ids: (100..), follow: Float::INFINITY) { nil } } }
check Process.clock_gettime(Process::CLOCK_MONOTONIC) - started < 5

# What is dropped gives back its files.
def open_files(root)
  Dir.children("/proc/self/fd").count do |fd|
    File.readlink("/proc/self/fd/#{fd}").start_with?(root)
  rescue Errno::ENOENT
    false # that of the listing itself
  end
end

def drop(root)
  Trail.open("#{root}/trail", durability: :buffered, flush_interval_ms: 0).append(**Event)
  20.times { Auditrail.read("#{$scratch}/same").next }
  check open_files(root).positive? && open_files("#{$scratch}/same").positive?
end
Thread.new { drop("#{$scratch}/dropped") }.join # whose stack is gone
50.times do
  break if open_files("#{$scratch}/dropped").zero? && open_files("#{$scratch}/same").zero?

  GC.start
  sleep 0.01
end
same open_files("#{$scratch}/dropped"), 0
check open_files("#{$scratch}/same") < 3 # the stack is searched conservatively
Trail.open("#{$scratch}/dropped/trail") { |t| same t.stats[:last_id], 1 }

# Nothing is lost at the end without close.
system(RbConfig.ruby, "-r", File.expand_path("../../../bindings/ruby/auditrail", __dir__), "-e", <<~CODE, exception: true)
  trail = Auditrail::Trail.open("#{$scratch}/end", durability: :buffered, flush_interval_ms: 0)
  10.times { trail.append('#{JSON.generate(Event)}') }
CODE
same Auditrail.read("#{$scratch}/end").count, 10

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
