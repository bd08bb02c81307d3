package auditrail;

import com.sun.jna.Memory;
import com.sun.jna.Native;
import com.sun.jna.NativeLibrary;
import com.sun.jna.Pointer;
import com.sun.jna.ptr.LongByReference;
import com.sun.jna.ptr.PointerByReference;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.Objects;
import java.util.concurrent.locks.ReadWriteLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;

/**
 * Audit trails for Java, over the C library libauditrail.
 *
 * <p>Copy this one file; it needs Java 17, JNA (net.java.dev.jna:jna, Debian's libjna-java) and the
 * shared library, which is looked for at {@code $AUDITRAIL_LIB}, then under its usual names.
 *
 * <pre>{@code
 * try (var trail = Auditrail.open(Path.of("audit"))) {
 *     long id = trail.append(new Auditrail.Event("v2", "users", "ada", "create", "admin-7")
 *             .payload("{\"after\":{\"role\":\"user\"}}"));
 * }
 * try (var reader = Auditrail.read(Path.of("audit"), new Auditrail.Filter())) {
 *     for (var event : reader) System.out.println(event.id() + " " + event.json());
 * }
 * }</pre>
 *
 * <p>Threads may share a Trail; those that wait for the disk wait together. A Reader is for one
 * thread at a time, but may be closed by another. What is opened must be closed; after that, every
 * call throws IllegalStateException.
 */
public final class Auditrail {
    private Auditrail() {}

    /** What the library says when it fails. */
    public static final class AuditrailException extends IOException {
        private static final long serialVersionUID = 1;
        private static final int INVALID_EVENT = -11;
        private final int status;
        private final int errno;
        private final long offset;

        private AuditrailException(Memory error) {
            super(error.getString(16, "UTF-8"));
            status = error.getInt(0);
            errno = error.getInt(4);
            offset = error.getLong(8);
        }

        /** A payload that is refused before the library sees it, because of a character. */
        private AuditrailException(String message, String payload, int at) {
            super("payload: " + message);
            status = INVALID_EVENT;
            errno = 0;
            offset = payload.substring(0, at).getBytes(StandardCharsets.UTF_8).length;
        }

        /** The number of the failure. */
        public int status() {
            return status;
        }

        /** Its name, such as AUDITRAIL_ERR_BUSY. */
        public String statusName() {
            return C.auditrail_status_name(status);
        }

        /** The operating system's reason; 0: none. */
        public int errno() {
            return errno;
        }

        /** The byte in the JSON text or file that it is about; -1: none. */
        public long offset() {
            return offset;
        }
    }

    /** The functions of the library. */
    private static final class C {
        static {
            Native.register(library());
        }

        private static NativeLibrary library() {
            String named = System.getenv("AUDITRAIL_LIB");
            if (named != null && !named.isEmpty()) {
                return NativeLibrary.getInstance(named);
            }
            try {
                return NativeLibrary.getInstance("libauditrail.so.0");
            } catch (UnsatisfiedLinkError e) {
                return NativeLibrary.getInstance("auditrail");
            }
        }

        static native String auditrail_version();
        static native String auditrail_status_name(int status);
        static native Pointer auditrail_buffer_data(Pointer buffer);
        static native long auditrail_buffer_length(Pointer buffer);
        static native void auditrail_buffer_free(Pointer buffer);

        static native Pointer auditrail_options_new();
        static native void auditrail_options_free(Pointer options);
        static native int auditrail_options_set_max_segment_bytes(Pointer options, long bytes, Pointer error);
        static native int auditrail_options_set_max_event_bytes(Pointer options, long bytes, Pointer error);
        static native int auditrail_options_set_buffer_bytes(Pointer options, long bytes, Pointer error);
        static native int auditrail_options_set_flush_interval_ms(Pointer options, long ms, Pointer error);
        static native int auditrail_options_set_max_open_files(Pointer options, long files, Pointer error);
        static native int auditrail_options_set_lock_timeout_ms(Pointer options, long ms, Pointer error);
        static native int auditrail_options_set_durability(Pointer options, int durability, Pointer error);
        static native int auditrail_options_set_shared(Pointer options, int shared, Pointer error);
        static native int auditrail_options_add_domain(Pointer options, byte[] text, long length, Pointer error);
        static native int auditrail_options_set_any_domain(Pointer options, Pointer error);
        static native int auditrail_options_add_operation(Pointer options, byte[] text, long length, Pointer error);
        static native int auditrail_options_set_any_operation(Pointer options, Pointer error);

        static native int auditrail_writer_open(byte[] root, Pointer options, PointerByReference writer, Pointer error);
        static native int auditrail_writer_append(Pointer writer, byte[] text, long length, LongByReference id, Pointer error);
        static native int auditrail_writer_append_batch(Pointer writer, byte[] text, long length, LongByReference id, LongByReference count, Pointer error);
        static native int auditrail_writer_append_returning(Pointer writer, byte[] text, long length, PointerByReference line, Pointer error);
        static native int auditrail_writer_flush(Pointer writer, Pointer error);
        static native int auditrail_writer_sync(Pointer writer, Pointer error);
        static native int auditrail_writer_stats(Pointer writer, Pointer stats, Pointer error);
        static native int auditrail_writer_close(Pointer writer, Pointer error);

        static native Pointer auditrail_filter_new();
        static native void auditrail_filter_free(Pointer filter);
        static native int auditrail_filter_add_domain(Pointer filter, byte[] text, long length, Pointer error);
        static native int auditrail_filter_add_category(Pointer filter, byte[] text, long length, Pointer error);
        static native int auditrail_filter_add_model_name(Pointer filter, byte[] text, long length, Pointer error);
        static native int auditrail_filter_add_operation(Pointer filter, byte[] text, long length, Pointer error);
        static native int auditrail_filter_add_user(Pointer filter, byte[] text, long length, Pointer error);
        static native int auditrail_filter_set_request_id(Pointer filter, byte[] text, long length, Pointer error);
        static native int auditrail_filter_set_event_ids(Pointer filter, long min, long max, Pointer error);
        static native int auditrail_filter_set_timestamps(Pointer filter, long min, long max, Pointer error);
        static native int auditrail_filter_set_order(Pointer filter, int order, Pointer error);
        static native int auditrail_filter_set_limit(Pointer filter, long events, Pointer error);
        static native int auditrail_reader_open(byte[] root, Pointer filter, PointerByReference reader, Pointer error);
        static native int auditrail_reader_next(Pointer reader, PointerByReference text, LongByReference length, LongByReference id, Pointer error);
        static native int auditrail_reader_follow(Pointer reader, long ms, PointerByReference text, LongByReference length, LongByReference id, Pointer error);
        static native void auditrail_reader_close(Pointer reader);
        static native int auditrail_history(byte[] root, byte[] domain, byte[] category, byte[] name, Pointer filter, PointerByReference result, Pointer error);
        static native int auditrail_replay(byte[] root, byte[] domain, byte[] category, Pointer filter, PointerByReference result, Pointer error);
        static native int auditrail_check_pruned(byte[] root, long first, PointerByReference report, Pointer error);
    }

    /** A call into the library, which fills in an error behind its other arguments. */
    private interface Call {
        int with(Pointer error);
    }

    private static int checked(Call call) throws AuditrailException {
        try (Memory error = new Memory(512)) {
            int status = call.with(error);
            if (status < 0) {
                throw new AuditrailException(error);
            }
            return status;
        }
    }

    private static byte[] utf8(CharSequence text) {
        try {
            // String.getBytes would put another character for half a surrogate pair.
            ByteBuffer bytes = StandardCharsets.UTF_8.newEncoder().encode(CharBuffer.wrap(text));
            byte[] exact = new byte[bytes.remaining()];
            bytes.get(exact);
            return exact;
        } catch (CharacterCodingException e) {
            throw new IllegalArgumentException("the text has half a surrogate pair", e);
        }
    }

    /** Refuses what C would take for a number near 2^64. */
    private static void natural(long number) {
        if (number < 0) {
            throw new IllegalArgumentException(number + " is negative");
        }
    }

    private static byte[] terminated(String text) {
        if (text.indexOf('\0') >= 0) {
            throw new IllegalArgumentException("a path or name cannot hold a NUL");
        }
        return utf8(text + '\0');
    }

    private static String take(Pointer buffer) {
        try {
            int length = Math.toIntExact(C.auditrail_buffer_length(buffer));
            return new String(C.auditrail_buffer_data(buffer).getByteArray(0, length), StandardCharsets.UTF_8);
        } finally {
            C.auditrail_buffer_free(buffer);
        }
    }

    /** The version of the shared library. */
    public static String version() {
        return C.auditrail_version();
    }

    /** An event as fields. The payload is the text of one JSON object; timestamp 0 is now. */
    public record Event(String domain, String category, String modelName, String operation,
            String logicalUserId, String requestId, String payload, long timestamp) {
        public Event(String domain, String category, String modelName, String operation, String logicalUserId) {
            this(domain, category, modelName, operation, logicalUserId, null, null, 0);
        }

        public Event requestId(String requestId) {
            return new Event(domain, category, modelName, operation, logicalUserId, requestId, payload, timestamp);
        }

        public Event payload(String payload) {
            return new Event(domain, category, modelName, operation, logicalUserId, requestId, payload, timestamp);
        }

        public Event timestamp(long timestamp) {
            return new Event(domain, category, modelName, operation, logicalUserId, requestId, payload, timestamp);
        }

        /** The JSON text of the event, on one line. */
        public String json() {
            try {
                return text();
            } catch (AuditrailException e) {
                throw new IllegalArgumentException(e.getMessage(), e);
            }
        }

        private String text() throws AuditrailException {
            StringBuilder out = new StringBuilder(256);
            field(out, "domain", domain);
            field(out, "category", category);
            field(out, "model_name", modelName);
            field(out, "operation", operation);
            field(out, "logical_user_id", logicalUserId);
            if (requestId != null) {
                field(out, "request_id", requestId);
            }
            if (timestamp != 0) {
                out.append(",\"timestamp\":").append(timestamp);
            }
            if (payload != null) {
                object(out.append(",\"payload\":"), payload);
            }
            return out.append('}').toString();
        }

        /**
         * Puts in a payload: one object from its first brace to the one that ends it, so that nothing of
         * it can become a field or, in a batch, an event. Where strings and braces begin and end is seen
         * here; everything else is for the library to check.
         */
        private static void object(StringBuilder out, String text) throws AuditrailException {
            int at = pastBlanks(text, 0);
            if (at == text.length() || text.charAt(at) != '{') {
                throw new AuditrailException("expected the text of a JSON object", text, at);
            }
            int depth = 0;
            boolean inString = false;
            boolean escaped = false;
            do {
                char c = text.charAt(at);
                if (inString) {
                    if (c < ' ') {
                        throw new AuditrailException(
                                "a string holds a control character without an escape", text, at);
                    }
                    inString = escaped || c != '"';
                    escaped = !escaped && c == '\\';
                } else if (c == '"') {
                    inString = true;
                } else if (c == '{' || c == '[') {
                    depth++;
                } else if (c == '}' || c == ']') {
                    depth--;
                } else if (c == '\n' || c == '\r') {
                    c = ' '; // the same blank, but not the end of a line
                }
                out.append(c);
                at++;
            } while (depth > 0 && at < text.length());
            if (depth > 0) {
                throw new AuditrailException("the object does not end", text, at);
            }
            int more = pastBlanks(text, at);
            if (more < text.length()) {
                throw new AuditrailException("something follows the object", text, more);
            }
        }

        private static int pastBlanks(String text, int at) {
            while (at < text.length() && " \t\n\r".indexOf(text.charAt(at)) >= 0) {
                at++;
            }
            return at;
        }

        private static void field(StringBuilder out, String name, String text) {
            Objects.requireNonNull(text, name);
            out.append(out.isEmpty() ? '{' : ',').append('"').append(name).append("\":\"");
            for (int at = 0; at < text.length(); at++) {
                char c = text.charAt(at);
                if (c == '"' || c == '\\') {
                    out.append('\\').append(c);
                } else if (c >= ' ' && c < 0x7f) {
                    out.append(c);
                } else {
                    out.append(String.format("\\u%04x", (int) c));
                }
            }
            out.append('"');
        }
    }

    /** What an append waits for. */
    public enum Durability {
        /** The event is in memory, and flushed soon. */
        BUFFERED,
        /** The event is in its file; only a loss of power can lose it. */
        WRITTEN,
        /** The event is on disk; nothing loses it. */
        SYNCED,
        /** The event is in a mapped file, and flushed soon; only a loss of power can lose it. */
        MAPPED
    }

    /** How a trail is opened. Names that are null: the default ones; empty: any. */
    public static final class Options {
        private interface Setter {
            int set(Pointer options, Pointer error);
        }

        private final List<Setter> setters = new ArrayList<>();

        public Options durability(Durability durability) {
            int number = durability.ordinal();
            return add((o, e) -> C.auditrail_options_set_durability(o, number, e));
        }

        /** Many processes may write to the trail, if all of them say so. */
        public Options shared() {
            return add((o, e) -> C.auditrail_options_set_shared(o, 1, e));
        }

        public Options maxSegmentBytes(long bytes) {
            natural(bytes);
            return add((o, e) -> C.auditrail_options_set_max_segment_bytes(o, bytes, e));
        }

        public Options maxEventBytes(long bytes) {
            natural(bytes);
            return add((o, e) -> C.auditrail_options_set_max_event_bytes(o, bytes, e));
        }

        public Options bufferBytes(long bytes) {
            natural(bytes);
            return add((o, e) -> C.auditrail_options_set_buffer_bytes(o, bytes, e));
        }

        public Options flushIntervalMs(long milliseconds) {
            natural(milliseconds);
            return add((o, e) -> C.auditrail_options_set_flush_interval_ms(o, milliseconds, e));
        }

        public Options maxOpenFiles(long files) {
            natural(files);
            return add((o, e) -> C.auditrail_options_set_max_open_files(o, files, e));
        }

        /** How long a call waits for a lock that another process holds; 0: no limit. */
        public Options lockTimeoutMs(long milliseconds) {
            natural(milliseconds);
            return add((o, e) -> C.auditrail_options_set_lock_timeout_ms(o, milliseconds, e));
        }

        /** Allows only these domains; without any, all. */
        public Options domains(String... names) {
            if (names.length == 0) {
                return add(C::auditrail_options_set_any_domain);
            }
            for (String name : names) {
                byte[] text = utf8(name);
                add((o, e) -> C.auditrail_options_add_domain(o, text, text.length, e));
            }
            return this;
        }

        /** Allows only these operations; without any, all. */
        public Options operations(String... names) {
            if (names.length == 0) {
                return add(C::auditrail_options_set_any_operation);
            }
            for (String name : names) {
                byte[] text = utf8(name);
                add((o, e) -> C.auditrail_options_add_operation(o, text, text.length, e));
            }
            return this;
        }

        private Options add(Setter setter) {
            setters.add(setter);
            return this;
        }
    }

    /** Opens the trail in a folder, which is made where it is missing. */
    public static Trail open(Path root) throws AuditrailException {
        return open(root, new Options());
    }

    public static Trail open(Path root, Options options) throws AuditrailException {
        byte[] path = terminated(root.toString());
        PointerByReference writer = new PointerByReference();
        Pointer set = C.auditrail_options_new();
        try {
            for (Options.Setter setter : options.setters) {
                checked(error -> setter.set(set, error));
            }
            checked(error -> C.auditrail_writer_open(path, set, writer, error));
        } finally {
            C.auditrail_options_free(set);
        }
        return new Trail(writer.getValue());
    }

    /** What a writer has done and where it is; auditrail.h explains each figure. */
    public record Stats(long events, long bytes, long batches, long rotations, long syncs, long lastId,
            long writtenId, long syncedId, long tornTails, long tornBytes, long missingIds, long waiting,
            long streams, long openFiles, long flushFailures) {}

    /** The ids of a batch: count of them, from first on. */
    public record Ids(long first, long count) {}

    /** A trail, open for writing. */
    public static final class Trail implements AutoCloseable {
        // Closing waits for the calls that are under way, and keeps new ones out.
        private final ReadWriteLock using = new ReentrantReadWriteLock();
        private Pointer handle;

        private Trail(Pointer handle) {
            this.handle = handle;
        }

        private interface Use {
            int with(Pointer handle, Pointer error);
        }

        private void use(Use use) throws AuditrailException {
            using.readLock().lock();
            try {
                if (handle == null) {
                    throw new IllegalStateException("the trail is closed");
                }
                checked(error -> use.with(handle, error));
            } finally {
                using.readLock().unlock();
            }
        }

        /** Appends an event and returns its id. */
        public long append(Event event) throws AuditrailException {
            return append(event.text());
        }

        /** Appends an event that is JSON text. */
        public long append(String json) throws AuditrailException {
            byte[] text = utf8(json);
            LongByReference id = new LongByReference();
            use((trail, error) -> C.auditrail_writer_append(trail, text, text.length, id, error));
            return id.getValue();
        }

        /** Appends an event and returns its line as it was persisted. */
        public String appendReturning(Event event) throws AuditrailException {
            byte[] text = utf8(event.text());
            PointerByReference line = new PointerByReference();
            use((trail, error) -> C.auditrail_writer_append_returning(trail, text, text.length, line, error));
            return take(line.getValue());
        }

        /** Appends events, all or none, and returns their ids. */
        public Ids appendBatch(List<Event> events) throws AuditrailException {
            StringBuilder lines = new StringBuilder();
            for (Event event : events) {
                lines.append(event.text()).append('\n');
            }
            return events.isEmpty() ? new Ids(0, 0) : appendLines(lines);
        }

        /** Appends events that are lines of JSON, all or none. */
        public Ids appendLines(CharSequence lines) throws AuditrailException {
            byte[] text = utf8(lines);
            LongByReference id = new LongByReference();
            LongByReference count = new LongByReference();
            use((trail, error) -> C.auditrail_writer_append_batch(trail, text, text.length, id, count, error));
            return new Ids(id.getValue(), count.getValue());
        }

        /** Gives all events that were accepted to the operating system. */
        public void flush() throws AuditrailException {
            use(C::auditrail_writer_flush);
        }

        /** Brings all events that were accepted to disk. */
        public void sync() throws AuditrailException {
            use(C::auditrail_writer_sync);
        }

        public Stats stats() throws AuditrailException {
            try (Memory raw = new Memory(16 * 8)) {
                raw.clear();
                raw.setLong(0, raw.size());
                use((trail, error) -> C.auditrail_writer_stats(trail, raw, error));
                long[] n = raw.getLongArray(8, 15);
                return new Stats(n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7], n[8], n[9], n[10], n[11], n[12],
                        n[13], n[14]);
            }
        }

        /** Flushes, syncs, and lets the trail go. A second call does nothing. */
        @Override
        public void close() throws AuditrailException {
            using.writeLock().lock();
            try {
                Pointer taken = handle;
                handle = null;
                if (taken != null) {
                    checked(error -> C.auditrail_writer_close(taken, error));
                }
            } finally {
                using.writeLock().unlock();
            }
        }
    }

    /** In what order a reader gives events. */
    public enum Order {
        /** Domain after domain, category after category, each as it was written. */
        STREAM,
        /** By rising id, over all streams. */
        OLDEST_FIRST,
        /** By falling id, over all streams. */
        NEWEST_FIRST
    }

    /**
     * Which events to read. A filter to which nothing was added lets everything through. Of the texts
     * of a list an event must have one, so that an empty list lets nothing through, whatever else is
     * added. Ranges are inclusive.
     */
    public static final class Filter {
        private interface Setter {
            int set(Pointer filter, Pointer error);
        }

        private interface Adder {
            int add(Pointer filter, byte[] text, long length, Pointer error);
        }

        private final List<Setter> setters = new ArrayList<>();
        private boolean nothing;

        public Filter domains(String... texts) {
            return add(C::auditrail_filter_add_domain, texts);
        }

        public Filter categories(String... texts) {
            return add(C::auditrail_filter_add_category, texts);
        }

        public Filter modelNames(String... texts) {
            return add(C::auditrail_filter_add_model_name, texts);
        }

        public Filter operations(String... texts) {
            return add(C::auditrail_filter_add_operation, texts);
        }

        public Filter users(String... texts) {
            return add(C::auditrail_filter_add_user, texts);
        }

        public Filter requestId(String text) {
            return add(C::auditrail_filter_set_request_id, text);
        }

        public Filter ids(long min, long max) {
            natural(min);
            natural(max);
            return add((filter, error) -> C.auditrail_filter_set_event_ids(filter, min, max, error));
        }

        public Filter timestamps(long min, long max) {
            return add((filter, error) -> C.auditrail_filter_set_timestamps(filter, min, max, error));
        }

        public Filter order(Order order) {
            int number = order.ordinal();
            return add((filter, error) -> C.auditrail_filter_set_order(filter, number, error));
        }

        /** At most so many; 0: no limit. */
        public Filter limit(long events) {
            natural(events);
            return add((filter, error) -> C.auditrail_filter_set_limit(filter, events, error));
        }

        private Filter add(Setter setter) {
            setters.add(setter);
            return this;
        }

        private Filter add(Adder adder, String... texts) {
            nothing |= texts.length == 0;
            for (String one : texts) {
                byte[] text = utf8(one);
                add((filter, error) -> adder.add(filter, text, text.length, error));
            }
            return this;
        }

        private void with(Setter work) throws AuditrailException {
            Pointer filter = Objects.requireNonNull(C.auditrail_filter_new());
            try {
                for (Setter setter : setters) {
                    checked(error -> setter.set(filter, error));
                }
                if (nothing) { // ids begin at 1
                    checked(error -> C.auditrail_filter_set_event_ids(filter, 0, 0, error));
                }
                checked(error -> work.set(filter, error));
            } finally {
                C.auditrail_filter_free(filter);
            }
        }
    }

    /** An event that was read: its id, and the event as JSON text. */
    public record Line(long id, String json) {}

    /** Opens a trail for reading what passes the filter. */
    public static Reader read(Path root, Filter filter) throws AuditrailException {
        byte[] path = terminated(root.toString());
        PointerByReference reader = new PointerByReference();
        filter.with((built, error) -> C.auditrail_reader_open(path, built, reader, error));
        return new Reader(reader.getValue());
    }

    /** The events of a trail, to be gone through once. */
    public static final class Reader implements Iterable<Line>, AutoCloseable {
        private static final long TURN_MS = 100;
        private final PointerByReference text = new PointerByReference();
        private final LongByReference length = new LongByReference();
        private final LongByReference id = new LongByReference();
        private Pointer handle; // for who has the monitor
        private volatile boolean closed;

        private Reader(Pointer handle) {
            this.handle = handle;
        }

        /** The next event; null at the end. */
        public Line next() throws AuditrailException {
            return line(error -> C.auditrail_reader_next(handle, text, length, id, error));
        }

        /**
         * The same, but waits at the end for an event that comes; null if none came in that time, or none
         * can come any more.
         */
        public Line follow(Duration timeout) throws AuditrailException {
            if (timeout.isNegative()) {
                throw new IllegalArgumentException("the time to wait is negative");
            }
            long start = System.nanoTime();
            // In short turns, between which the reader can be closed by another thread.
            while (true) {
                long turn = System.nanoTime();
                Duration left = timeout.minusNanos(turn - start);
                long ms = left.compareTo(Duration.ofMillis(TURN_MS)) > 0 ? TURN_MS : Math.max(0, left.toMillis());
                Line line = line(error -> C.auditrail_reader_follow(handle, ms, text, length, id, error));
                // The library comes back early only where nothing more can pass the filter.
                if (line != null || ms < TURN_MS || System.nanoTime() - turn < TURN_MS * 1_000_000) {
                    return line;
                }
            }
        }

        private synchronized Line line(Call move) throws AuditrailException {
            if (closed) {
                throw new IllegalStateException("the reader is closed");
            }
            if (checked(move) != 0) {
                return null;
            }
            byte[] bytes = text.getValue().getByteArray(0, Math.toIntExact(length.getValue()));
            return new Line(id.getValue(), new String(bytes, StandardCharsets.UTF_8));
        }

        /** The same as an iterator, which throws UncheckedIOException. */
        @Override
        public java.util.Iterator<Line> iterator() {
            return new java.util.Iterator<>() {
                private Line ahead;
                private boolean ended;

                @Override
                public boolean hasNext() {
                    if (ahead == null && !ended) {
                        try {
                            ahead = Reader.this.next();
                        } catch (AuditrailException e) {
                            throw new java.io.UncheckedIOException(e);
                        }
                        ended = ahead == null;
                    }
                    return ahead != null;
                }

                @Override
                public Line next() {
                    if (!hasNext()) {
                        throw new NoSuchElementException();
                    }
                    Line line = ahead;
                    ahead = null;
                    return line;
                }
            };
        }

        /** Lets the files go, when a call that is under way has ended. A second call does nothing. */
        @Override
        public void close() {
            closed = true;
            synchronized (this) {
                Pointer taken = handle;
                handle = null;
                if (taken != null) {
                    C.auditrail_reader_close(taken);
                }
            }
        }
    }

    /**
     * The records of a domain and category as their events leave them, as JSON text:
     * {"state":{…},"last_event_id":…,"applied_events":…}.
     */
    public static String replay(Path root, String domain, String category, Filter filter)
            throws AuditrailException {
        byte[] path = terminated(root.toString());
        byte[] first = terminated(domain);
        byte[] second = terminated(category);
        PointerByReference result = new PointerByReference();
        filter.with((built, error) -> C.auditrail_replay(path, first, second, built, result, error));
        return take(result.getValue());
    }

    /** What happened to one record, event by event, as JSON text. */
    public static String history(Path root, String domain, String category, String modelName, Filter filter)
            throws AuditrailException {
        byte[] path = terminated(root.toString());
        byte[] first = terminated(domain);
        byte[] second = terminated(category);
        byte[] third = terminated(modelName);
        PointerByReference result = new PointerByReference();
        filter.with((built, error) -> C.auditrail_history(path, first, second, third, built, result, error));
        return take(result.getValue());
    }

    /** Goes through a trail without changing it; the report is JSON text. */
    public static String check(Path root) throws AuditrailException {
        return check(root, 0);
    }

    /** The same where events before `prunedBefore` may be missing, because they were pruned. */
    public static String check(Path root, long prunedBefore) throws AuditrailException {
        natural(prunedBefore);
        byte[] path = terminated(root.toString());
        PointerByReference report = new PointerByReference();
        checked(error -> C.auditrail_check_pruned(path, prunedBefore, report, error));
        return take(report.getValue());
    }
}
