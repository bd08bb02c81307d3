# frozen_string_literal: true

# Audit trails for Ruby, over the C library libauditrail.
#
# Copy this one file; it needs the shared library and Ruby's own fiddle and json.
# The library is looked for at $AUDITRAIL_LIB, then under its usual names.
#
#   require_relative "auditrail"
#
#   Auditrail::Trail.open("audit") do |trail|
#     trail.append(domain: "v2", category: "users", model_name: "ada", operation: "create",
#                  logical_user_id: "admin-7", payload: { after: { role: "user" } })
#   end
#   Auditrail.read("audit", model_names: ["ada"]) { |event| puts event["operation"] }
#
# Threads may share a Trail: other threads run while the library works, and those
# that wait for the disk wait together. A forked child opens its own.

require "fiddle"
require "json"

# Audit trails: Trail to write, Auditrail.read, replay and check to read.
module Auditrail
  # What the library says when it fails.
  class Error < StandardError
    # The status, its name such as AUDITRAIL_ERR_BUSY, the operating system's
    # reason or nil, and the byte in the JSON text or file or nil.
    attr_reader :status, :name, :errno, :offset

    def initialize(message, status, errno, offset)
      super(message)
      @status = status
      @errno = errno
      @offset = offset
      @name = C.status_name(status).to_s
    end
  end

  class InvalidEvent < Error; end
  class Busy < Error; end
  class NotFound < Error; end
  class Forked < Error; end

  # The functions of the library, by their names without the prefix.
  module C
    names = ENV["AUDITRAIL_LIB"] ? [ENV["AUDITRAIL_LIB"]] : ["libauditrail.so.0", "libauditrail.so"]
    LIBRARY = names.each do |name|
      break Fiddle.dlopen(name)
    rescue Fiddle::DLError
      raise LoadError, "the library auditrail was not found; set AUDITRAIL_LIB to its path" if name == names.last
    end

    pointer = Fiddle::TYPE_VOIDP
    size = Fiddle::TYPE_SIZE_T
    u64 = -Fiddle::TYPE_LONG_LONG
    i64 = Fiddle::TYPE_LONG_LONG
    i32 = Fiddle::TYPE_INT
    text = [pointer, pointer, size, pointer]
    {
      version: [pointer, []], status_name: [pointer, [i32]],
      buffer_data: [pointer, [pointer]], buffer_length: [size, [pointer]],
      buffer_free: [Fiddle::TYPE_VOID, [pointer]],
      options_new: [pointer, []], options_free: [Fiddle::TYPE_VOID, [pointer]],
      options_set_durability: [i32, [pointer, i32, pointer]],
      options_set_shared: [i32, [pointer, i32, pointer]],
      options_set_max_segment_bytes: [i32, [pointer, u64, pointer]],
      options_set_max_event_bytes: [i32, [pointer, u64, pointer]],
      options_set_buffer_bytes: [i32, [pointer, u64, pointer]],
      options_set_flush_interval_ms: [i32, [pointer, u64, pointer]],
      options_set_max_open_files: [i32, [pointer, u64, pointer]],
      options_set_lock_timeout_ms: [i32, [pointer, u64, pointer]],
      options_add_domain: [i32, text], options_set_any_domain: [i32, [pointer, pointer]],
      options_add_operation: [i32, text], options_set_any_operation: [i32, [pointer, pointer]],
      writer_open: [i32, [pointer] * 4], writer_append: [i32, [pointer, pointer, size, pointer, pointer]],
      writer_append_batch: [i32, [pointer, pointer, size, pointer, pointer, pointer]],
      writer_append_returning: [i32, [pointer, pointer, size, pointer, pointer]],
      writer_flush: [i32, [pointer] * 2], writer_sync: [i32, [pointer] * 2],
      writer_stats: [i32, [pointer] * 3], writer_close: [i32, [pointer] * 2],
      filter_new: [pointer, []], filter_free: [Fiddle::TYPE_VOID, [pointer]],
      filter_add_domain: [i32, text], filter_add_category: [i32, text],
      filter_add_model_name: [i32, text], filter_add_operation: [i32, text],
      filter_add_user: [i32, text], filter_set_request_id: [i32, text],
      filter_set_event_ids: [i32, [pointer, u64, u64, pointer]],
      filter_set_timestamps: [i32, [pointer, i64, i64, pointer]],
      filter_set_order: [i32, [pointer, i32, pointer]], filter_set_limit: [i32, [pointer, u64, pointer]],
      reader_open: [i32, [pointer] * 4], reader_next: [i32, [pointer] * 5],
      reader_follow: [i32, [pointer, u64, pointer, pointer, pointer, pointer]],
      reader_close: [Fiddle::TYPE_VOID, [pointer]], history: [i32, [pointer] * 7],
      replay: [i32, [pointer] * 6], check_pruned: [i32, [pointer, u64, pointer, pointer]]
    }.each do |name, (result, arguments)|
      # Fiddle lets other threads run during a call.
      function = Fiddle::Function.new(LIBRARY["auditrail_#{name}"], arguments, result)
      define_singleton_method(name) { |*values| function.call(*values) }
    end

    ERRORS = { -11 => InvalidEvent, -22 => Busy, -25 => NotFound, -40 => Forked }.freeze

    module_function

    # Calls a function with room for an error behind the other arguments, and
    # raises what it says.
    def call!(name, *arguments)
      error = "\0".b * 512
      status = public_send(name, *arguments, error)
      return status if status >= 0

      code, errno, offset, message = error.unpack("l l q Z496")
      raise ERRORS.fetch(code, Error).new(message.force_encoding("UTF-8"), code,
                                          errno.zero? ? nil : errno, offset.negative? ? nil : offset)
    end

    # Calls a function that gives a pointer in its last argument but one.
    def make!(name, *arguments)
      out = "\0".b * 8
      call!(name, *arguments, out)
      Fiddle::Pointer.new(out.unpack1("Q"))
    end

    # The bytes of a buffer of the library, which is then freed.
    def take(buffer)
      buffer_data(buffer)[0, buffer_length(buffer)].force_encoding("UTF-8")
    ensure
      buffer_free(buffer)
    end

    # The text in UTF-8, and not the caller's own string: another thread could
    # change that while the library reads it.
    def utf8(text)
      known = [Encoding::UTF_8, Encoding::US_ASCII, Encoding::BINARY].include?(text.encoding)
      known ? text.dup : text.encode(Encoding::UTF_8)
    end

    # A string, or a symbol, as text.
    def text(name, value)
      return utf8(value.to_s) if value.is_a?(String) || value.is_a?(Symbol)

      raise TypeError, "#{name} must be a string, not #{value.class}"
    end

    # The same, where it ends at a NUL.
    def terminated(what, value)
      value = text(what, value)
      raise ArgumentError, "#{what} cannot hold a NUL" if value.b.include?("\0")

      value
    end

    def path(root) = terminated("a path", root.respond_to?(:to_path) ? root.to_path : root)

    # The texts of a list; a text alone is a list of one.
    def texts(name, some)
      return [text(name, some)] if some.is_a?(String) || some.is_a?(Symbol)
      raise TypeError, "#{name} must be a string or strings, not #{some.class}" if some.is_a?(Hash) || !some.respond_to?(:each)

      some.each_entry.map { |one| text(name, one) }
    end

    def choose(kind, from, name)
      from.fetch(name) { raise ArgumentError, "#{kind} must be one of #{from.keys.map(&:inspect).join(", ")}" }
    end

    # The number, if it is a whole one in range; Fiddle would make another of it.
    def whole(name, number, range = 0...2**64)
      raise TypeError, "#{name} must be an Integer, not #{number.class}" unless number.is_a?(Integer)
      raise ArgumentError, "#{name} must be a number from #{range.begin} to #{range.max}" unless range.cover?(number)

      number
    end
  end

  # What the library has open. Whoever holds it and is dropped has it closed.
  class Held
    def initialize(owner, pointer, close)
      @cell = [pointer]
      ObjectSpace.define_finalizer(owner, self.class.closing(@cell, close))
    end

    # Apart, so that the finalizer does not keep the owner alive.
    def self.closing(cell, close)
      proc do
        pointer = cell.pop
        C.public_send(close, pointer, *([nil] if close == :writer_close)) if pointer
      end
    end

    def pointer = @cell.first

    # The pointer, which is the caller's to close now.
    def take(owner)
      ObjectSpace.undefine_finalizer(owner)
      @cell.pop
    end
  end
  private_constant :Held

  # The version of the shared library.
  def self.version = C.version.to_s

  # An event's JSON text. What is JSON text already stays as it is.
  def self.json(event)
    return C.utf8(event) if event.is_a?(String)

    event = event.compact if event.is_a?(Hash)
    JSON.generate(event, max_nesting: 0) # the library has its own limit
  end

  # A trail, open for writing.
  class Trail
    DURABILITIES = { buffered: 0, written: 1, synced: 2, mapped: 3 }.freeze
    NUMBERS = %i[max_segment_bytes max_event_bytes buffer_bytes flush_interval_ms max_open_files
                 lock_timeout_ms].freeze
    STATS = %i[events bytes batches rotations syncs last_id written_id synced_id torn_tails torn_bytes
               missing_ids waiting streams open_files flush_failures].freeze

    # Opens a trail; with a block, closes it after the block.
    def self.open(root, **options)
      trail = new(root, **options)
      return trail unless block_given?

      begin
        yield trail
      ensure
        trail.close
      end
    end

    # durability: :buffered, :mapped, :written or :synced; shared: whether many processes
    # write to the trail; domains:, operations: the names that are allowed, or :any.
    # A trail that is dropped is closed when it is collected.
    def initialize(root, durability: :written, shared: false, domains: nil, operations: nil, **numbers)
      options = C.options_new
      begin
        C.call!(:options_set_durability, options, C.choose("durability", DURABILITIES, durability))
        raise TypeError, "shared must be true or false, not #{shared.class}" unless [true, false].include?(shared)

        C.call!(:options_set_shared, options, shared ? 1 : 0)
        { domain: domains, operation: operations }.each { |kind, names| allow(options, kind, names) unless names.nil? }
        numbers.each do |name, number|
          raise ArgumentError, "a trail has no option #{name}" unless NUMBERS.include?(name)

          C.call!(:"options_set_#{name}", options, C.whole(name, number)) unless number.nil?
        end
        @held = Held.new(self, C.make!(:writer_open, C.path(root), options), :writer_close)
      ensure
        C.options_free(options)
      end
      # Closing waits for the calls that other threads are in the midst of.
      @lock = Mutex.new
      @idle = ConditionVariable.new
      @calls = 0
      @process = Process.pid
    end

    # Appends an event, a hash or JSON text, and returns its id.
    def append(event = nil, **fields)
      text = one(event, fields)
      id = "\0".b * 8
      use { |handle| C.call!(:writer_append, handle, text, text.bytesize, id) }
      id.unpack1("Q")
    end

    # Appends an event and returns it as it was persisted.
    def append_returning(event = nil, **fields)
      text = one(event, fields)
      Auditrail.parse(use { |handle| C.take(C.make!(:writer_append_returning, handle, text, text.bytesize)) })
    end

    # Appends events, all or none, and returns the range of their ids.
    def append_batch(events)
      raise TypeError, "a batch must be an array of events, not a #{events.class}" if events.is_a?(Hash) || !events.respond_to?(:map)

      lines = events.map { |event| Auditrail.json(event) }
      raise ArgumentError, "an event of a batch must be one line" if lines.any? { |line| line.include?("\n") }
      return (1...1) if lines.empty?

      text = lines.join("\n")
      id = "\0".b * 8
      count = "\0".b * 8
      use { |handle| C.call!(:writer_append_batch, handle, text, text.bytesize, id, count) }
      first = id.unpack1("Q")
      first...(first + count.unpack1("Q"))
    end

    # Gives all events that were accepted to the operating system.
    def flush
      use { |handle| C.call!(:writer_flush, handle) }
      self
    end

    # Brings all events that were accepted to disk.
    def sync
      use { |handle| C.call!(:writer_sync, handle) }
      self
    end

    # What the writer has done and where it is.
    def stats
      raw = [8 * (1 + STATS.size), *STATS.map { 0 }].pack("Q*")
      use { |handle| C.call!(:writer_stats, handle, raw) }
      STATS.zip(raw.unpack("Q*").drop(1)).to_h
    end

    # Flushes, syncs and lets the trail go. A second call does nothing.
    def close
      if Process.pid != @process
        # The parent's threads are not here, and there is nothing to flush.
        handle = @held.take(self)
        C.writer_close(handle, nil) if handle
        return
      end
      handle = @lock.synchronize do
        taken = @held.take(self)
        @idle.wait(@lock) until @calls.zero?
        taken
      end
      C.call!(:writer_close, handle) if handle
      nil
    end

    def closed? = @held.pointer.nil?

    private

    def initialize_copy(_other)
      raise TypeError, "a trail cannot be copied"
    end

    def allow(options, kind, names)
      return C.call!(:"options_set_any_#{kind}", options) if [:any, "*"].include?(names)

      names = C.texts("#{kind}s", names)
      raise ArgumentError, "#{kind}s: an empty list would allow no event" if names.empty?

      names.each { |name| C.call!(:"options_add_#{kind}", options, name, name.bytesize) }
    end

    # The JSON text of an event that is given as a whole or by its fields.
    def one(event, fields)
      raise ArgumentError, "an event is given as a whole or by its fields, not both" unless event.nil? || fields.empty?

      Auditrail.json(event.nil? ? fields : event)
    end

    def use
      handle = @lock.synchronize do
        pointer = @held.pointer
        raise IOError, "closed trail" unless pointer

        @calls += 1
        pointer
      end
      begin
        yield handle
      ensure
        @lock.synchronize do
          @calls -= 1
          @idle.broadcast if @calls.zero?
        end
      end
    end
  end

  LISTS = { domains: :domain, categories: :category, model_names: :model_name,
            operations: :operation, users: :user }.freeze
  ORDERS = { stream: 0, oldest_first: 1, newest_first: 2 }.freeze
  private_constant :LISTS, :ORDERS

  IDS = (0...2**64).freeze
  TIMES = (-2**63...2**63).freeze
  private_constant :IDS, :TIMES

  # Yields a filter of the library, which lets nothing through that was not asked
  # for. What has no meaning where it is used is not known.
  def self.with_filter(unknown = [], request_id: nil, event_ids: nil, timestamps: nil, order: nil, limit: nil, **lists)
    raise ArgumentError, "no such filter here: order" if order && unknown.include?(:order)

    filter = C.filter_new
    none = limit == 0
    lists.each do |name, some|
      kind = LISTS.fetch(name) { raise ArgumentError, "no such filter: #{name}" }
      raise ArgumentError, "no such filter here: #{name}" if unknown.include?(name)
      next if some.nil?

      texts = C.texts(name, some)
      none ||= texts.empty?
      texts.each { |text| C.call!(:"filter_add_#{kind}", filter, text, text.bytesize) }
    end
    unless request_id.nil?
      request_id = C.text("request_id", request_id)
      C.call!(:filter_set_request_id, filter, request_id, request_id.bytesize)
    end
    C.call!(:filter_set_event_ids, filter, *bounds("event_ids", event_ids, IDS)) unless event_ids.nil?
    C.call!(:filter_set_timestamps, filter, *bounds("timestamps", timestamps, TIMES)) unless timestamps.nil?
    C.call!(:filter_set_order, filter, C.choose("order", ORDERS, order)) unless order.nil?
    C.call!(:filter_set_limit, filter, C.whole("limit", limit)) unless limit.nil?
    # To the library an empty list is no list, and a limit of 0 no limit; ids begin at 1.
    C.call!(:filter_set_event_ids, filter, 0, 0) if none
    yield filter
  ensure
    C.filter_free(filter) if filter
  end

  # The lowest and the highest number of a range, which may be open.
  def self.bounds(name, range, possible)
    raise TypeError, "#{name} must be a Range, not #{range.class}" unless range.is_a?(Range)

    first = range.begin.nil? ? possible.begin : C.whole(name, range.begin, possible)
    return [first, possible.max] if range.end.nil?

    last = range.end
    last -= 1 if last.is_a?(Integer) && range.exclude_end?
    [first, C.whole(name, last, possible)]
  end

  # What the library gives as JSON, which it has checked.
  def self.parse(text) = JSON.parse(text, max_nesting: 0)
  private_class_method :with_filter, :bounds

  # A reader of the library, which closes it when it is dropped.
  class Reader
    # In short turns, so that the thread can be interrupted.
    TURN = 0.2

    def initialize(pointer, follow)
      @held = Held.new(self, pointer, :reader_close)
      @follow = follow
      @text = "\0".b * 8
      @length = "\0".b * 8
    end

    # The next line, or nil.
    def line
      until (found = status.zero?)
        break unless @ends && Process.clock_gettime(Process::CLOCK_MONOTONIC) < @ends
      end
      @ends = nil
      Fiddle::Pointer.new(@text.unpack1("Q"))[0, @length.unpack1("Q")].force_encoding("UTF-8") if found
    end

    def close
      pointer = @held.take(self)
      C.reader_close(pointer) if pointer
    end

    private

    def status
      return C.call!(:reader_next, @held.pointer, @text, @length, nil) unless @follow

      now = Process.clock_gettime(Process::CLOCK_MONOTONIC)
      @ends ||= now + @follow
      wait = [[@ends - now, TURN].min, 0].max
      C.call!(:reader_follow, @held.pointer, (wait * 1000).ceil, @text, @length, nil)
    end
  end
  private_constant :Reader

  # Yields the events of a trail, as hashes, and their lines; without a block, an
  # enumerator. Filters: domains:, categories:, model_names:, operations:, users:
  # (strings, or one), request_id:, event_ids: and timestamps: (ranges, such as 7..),
  # order: (:stream, :oldest_first, :newest_first), limit:. What is nil is not given;
  # an empty list and a limit of 0 let nothing through. With follow:, it waits at the
  # end for so many seconds for an event that comes.
  def self.read(root, follow: nil, **filters)
    unless follow.nil?
      raise TypeError, "follow must be a number of seconds, not #{follow.class}" unless follow.is_a?(Integer) || follow.is_a?(Float)
      raise ArgumentError, "follow must be a number of seconds from 0 up" unless follow >= 0
    end
    unless block_given?
      with_filter(**filters) { nil } # so that what is wrong is told at once
      return enum_for(:read, root, follow: follow, **filters)
    end

    reader = with_filter(**filters) { |filter| Reader.new(C.make!(:reader_open, C.path(root), filter), follow) }
    begin
      while (line = reader.line)
        yield parse(line), line
      end
    ensure
      reader.close
    end
  end

  Replayed = Struct.new(:state, :last_event_id, :applied_events)

  # The records of a domain and category as their events leave them.
  def self.replay(root, domain, category, **filters)
    names = [C.path(root), C.terminated("domain", domain), C.terminated("category", category)]
    with_filter(%i[domains categories order], **filters) do |filter|
      result = parse(C.take(C.make!(:replay, *names, filter)))
      Replayed.new(*result.values_at("state", "last_event_id", "applied_events"))
    end
  end

  # What happened to one record, event by event.
  def self.history(root, domain, category, model_name, **filters)
    names = [C.path(root), C.terminated("domain", domain), C.terminated("category", category), C.terminated("model_name", model_name)]
    with_filter(%i[domains categories model_names], **filters) { |filter| parse(C.take(C.make!(:history, *names, filter))) }
  end

  # Goes through a trail without changing it, and reports what it found. Events before
  # pruned_before: may be missing.
  def self.check(root, pruned_before: 0)
    parse(C.take(C.make!(:check_pruned, C.path(root), C.whole("pruned_before", pruned_before))))
  end
end
