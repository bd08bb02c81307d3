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
      replay: [i32, [pointer] * 6], check: [i32, [pointer] * 3]
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

    def path(root)
      root = root.to_s
      raise ArgumentError, "a path cannot hold a NUL" if root.include?("\0")

      root
    end

    def natural(name, number)
      raise ArgumentError, "#{name} must be a number from 0 to 2**64-1" unless (0...2**64).cover?(Integer(number))

      number
    end

    def timestamp(number)
      raise ArgumentError, "a timestamp must be from -2**63 to 2**63-1" unless (-2**63...2**63).cover?(Integer(number))

      number
    end

    # What closes a handle whose owner is gone. It must not be made where it can
    # hold the owner.
    def closer(name, *arguments)
      proc { public_send(name, *arguments) }
    end

    # One text, or some.
    def texts(name, value)
      return [value.to_s] if value.is_a?(String) || value.is_a?(Symbol)
      raise ArgumentError, "#{name} must be a string or an array of them" unless value.is_a?(Enumerable) && !value.is_a?(Hash)

      value.map(&:to_s)
    end
  end

  # The version of the shared library.
  def self.version = C.version.to_s

  # An event's JSON text. What is JSON text already stays as it is.
  def self.json(event)
    return event if event.is_a?(String)

    event = event.compact if event.is_a?(Hash)
    JSON.generate(event)
  end

  # A trail, open for writing.
  class Trail
    DURABILITIES = { buffered: 0, written: 1, synced: 2 }.freeze
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

    # durability: :buffered, :written or :synced; shared: whether many processes
    # write to the trail; domains:, operations: the names that are allowed, or :any.
    def initialize(root, durability: :written, shared: false, domains: nil, operations: nil, **numbers)
      options = C.options_new
      begin
        C.call!(:options_set_durability, options, DURABILITIES.fetch(durability))
        C.call!(:options_set_shared, options, shared ? 1 : 0)
        { domain: domains, operation: operations }.each do |kind, names|
          C.call!(:"options_set_any_#{kind}", options) if names == :any
          next if names == :any || names.nil?

          names = C.texts(:"#{kind}s", names)
          raise ArgumentError, "#{kind}s: an empty list would allow no event" if names.empty?

          names.each { |name| C.call!(:"options_add_#{kind}", options, name, name.bytesize) }
        end
        numbers.each do |name, number|
          unless %i[max_segment_bytes max_event_bytes buffer_bytes flush_interval_ms max_open_files].include?(name)
            raise ArgumentError, "a trail has no option #{name}"
          end

          C.call!(:"options_set_#{name}", options, C.natural(name, number))
        end
        @handle = C.make!(:writer_open, C.path(root), options)
        # A trail that is dropped, or still open at the end, is closed as well.
        ObjectSpace.define_finalizer(self, C.closer(:writer_close, @handle, nil))
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
      text = Auditrail.json(event || fields)
      id = "\0".b * 8
      use { |handle| C.call!(:writer_append, handle, text, text.bytesize, id) }
      id.unpack1("Q")
    end

    # Appends an event and returns it as it was persisted.
    def append_returning(event = nil, **fields)
      text = Auditrail.json(event || fields)
      JSON.parse(use { |handle| C.take(C.make!(:writer_append_returning, handle, text, text.bytesize)) })
    end

    # Appends events, all or none, and returns the range of their ids.
    def append_batch(events)
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
      ObjectSpace.undefine_finalizer(self)
      if Process.pid != @process
        # The parent's threads are not here, and there is nothing to flush.
        handle, @handle = @handle, nil
        C.writer_close(handle, nil) if handle
        return
      end
      handle = @lock.synchronize do
        taken, @handle = @handle, nil
        @idle.wait(@lock) until @calls.zero?
        taken
      end
      C.call!(:writer_close, handle) if handle
      nil
    end

    def closed? = @handle.nil?

    private

    def use
      handle = @lock.synchronize do
        raise IOError, "closed trail" unless @handle

        @calls += 1
        @handle
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

  # Yields a filter of the library.
  def self.with_filter(request_id: nil, event_ids: nil, timestamps: nil, order: :stream, limit: nil, **lists)
    filter = C.filter_new
    first, last = bounds(event_ids, 0, 2**64 - 1).map { |id| C.natural(:event_ids, id) }
    lists.each do |name, value|
      next if value.nil?

      kind = LISTS.fetch(name) { raise ArgumentError, "no such filter: #{name}" }
      texts = C.texts(name, value)
      texts.each { |text| C.call!(:"filter_add_#{kind}", filter, text, text.bytesize) }
      first = last = 0 if texts.empty? # ids begin at 1: nothing passes
    end
    first = last = 0 if limit&.zero?
    C.call!(:filter_set_request_id, filter, request_id, request_id.bytesize) if request_id
    C.call!(:filter_set_event_ids, filter, first, last)
    C.call!(:filter_set_timestamps, filter, *bounds(timestamps, -2**63, 2**63 - 1).map { |time| C.timestamp(time) })
    C.call!(:filter_set_order, filter, ORDERS.fetch(order) { raise ArgumentError, "no such order: #{order}" })
    C.call!(:filter_set_limit, filter, C.natural(:limit, limit)) if limit
    yield filter
  ensure
    C.filter_free(filter)
  end

  # The first and the last of a range, which may have no begin and no end.
  def self.bounds(range, lowest, highest)
    return [lowest, highest] if range.nil?

    last = range.end || highest
    [range.begin || lowest, range.end && range.exclude_end? ? last - 1 : last]
  end
  private_class_method :with_filter, :bounds

  # Yields the events of a trail, as hashes, and their lines; without a block, an
  # enumerator. Filters: domains:, categories:, model_names:, operations:, users:
  # (a string or an array; an empty array lets nothing through), request_id:, event_ids: and timestamps: (ranges, such as 7..), order:
  # (:stream, :oldest_first, :newest_first), limit:. With follow:, it waits at the
  # end for so many seconds for an event that comes.
  def self.read(root, follow: nil, **filters)
    return enum_for(:read, root, follow: follow, **filters) unless block_given?

    reader = with_filter(**filters) { |filter| C.make!(:reader_open, C.path(root), filter) }
    # An enumerator that is left at a `next` never gets to the end of this method.
    owner = Object.new
    ObjectSpace.define_finalizer(owner, C.closer(:reader_close, reader))
    text = "\0".b * 8
    length = "\0".b * 8
    begin
      call = follow ? [:reader_follow, reader, (follow * 1000).to_i] : [:reader_next, reader]
      while C.call!(*call, text, length, nil).zero?
        line = Fiddle::Pointer.new(text.unpack1("Q"))[0, length.unpack1("Q")].force_encoding("UTF-8")
        yield JSON.parse(line), line
      end
    ensure
      ObjectSpace.undefine_finalizer(owner)
      C.reader_close(reader)
    end
  end

  Replayed = Struct.new(:state, :last_event_id, :applied_events)

  # The records of a domain and category as their events leave them.
  def self.replay(root, domain, category, **filters)
    names = [root, domain, category].map { |name| C.path(name) }
    with_filter(**filters) do |filter|
      result = JSON.parse(C.take(C.make!(:replay, *names, filter)))
      Replayed.new(*result.values_at("state", "last_event_id", "applied_events"))
    end
  end

  # What happened to one record, event by event.
  def self.history(root, domain, category, model_name, **filters)
    names = [root, domain, category, model_name].map { |name| C.path(name) }
    with_filter(**filters) { |filter| JSON.parse(C.take(C.make!(:history, *names, filter))) }
  end

  # Goes through a trail without changing it, and reports what it found.
  def self.check(root) = JSON.parse(C.take(C.make!(:check, C.path(root))))
end
