import auditrail.Auditrail;
import auditrail.Auditrail.AuditrailException;
import auditrail.Auditrail.Durability;
import auditrail.Auditrail.Event;
import auditrail.Auditrail.Filter;
import auditrail.Auditrail.Options;
import auditrail.Auditrail.Order;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import java.util.stream.LongStream;

/** Auditrail.java against the built library: java Test CORPUS SCRATCH */
class Test {
    private static int checks;
    private static final Event EVENT = new Event("v2", "image", "m", "create", "u").timestamp(5);

    private static void same(Object found, Object expected) {
        checks++;
        if (!Objects.equals(found, expected)) {
            throw new AssertionError(found + " is not " + expected);
        }
    }

    private interface Work {
        void run() throws Exception;
    }

    private static <E extends Exception> E fails(Class<E> kind, Work work) throws Exception {
        try {
            work.run();
        } catch (Exception e) {
            if (!kind.isInstance(e)) {
                throw e;
            }
            checks++;
            return kind.cast(e);
        }
        throw new AssertionError(kind + " was not thrown");
    }

    private static void refused(String name, Work work) throws Exception {
        same(fails(AuditrailException.class, work).statusName(), "AUDITRAIL_ERR_" + name);
    }

    /** What every language writes, for the trees to be compared. */
    private static void same(Path corpus, Path root) throws Exception {
        List<String> lines = Files.readAllLines(corpus);
        try (var trail = Auditrail.open(root, new Options().maxSegmentBytes(2048))) {
            for (int at = 0; at < lines.size(); at += 5) {
                same(trail.append(lines.get(at)), at + 1L);
                same(trail.append(fields(lines.get(at + 1))), at + 2L);
                String back = trail.appendReturning(fields(lines.get(at + 2)));
                same(back.startsWith("{\"event_id\":" + (at + 3) + ",\"timestamp\":16"), true);
                var ids = trail.appendBatch(List.of(fields(lines.get(at + 3)), fields(lines.get(at + 4))));
                same(ids, new Auditrail.Ids(at + 4, 2));
            }
            same(trail.stats().lastId(), (long) lines.size());
        }
    }

    /** The fields of a line of the corpus, which is written in one order and without blanks. */
    private static Event fields(String line) {
        String payload = null;
        int at = line.indexOf(",\"payload\":");
        if (at >= 0) {
            payload = line.substring(at + 11, line.length() - 1);
            line = line.substring(0, at) + "}";
        }
        Event event = new Event(text(line, "domain"), text(line, "category"), text(line, "model_name"),
                text(line, "operation"), text(line, "logical_user_id")).requestId(text(line, "request_id"));
        int number = line.indexOf("\"timestamp\":") + 12;
        return event.payload(payload).timestamp(Long.parseLong(line.substring(number, number + 10)));
    }

    private static String text(String line, String name) {
        int at = line.indexOf("\"" + name + "\":\"");
        if (at < 0) {
            return null;
        }
        StringBuilder out = new StringBuilder();
        for (at += name.length() + 4; line.charAt(at) != '"'; at++) {
            char c = line.charAt(at);
            if (c == '\\') {
                c = line.charAt(++at);
                int known = "bfnrt".indexOf(c);
                if (c == 'u') {
                    c = (char) Integer.parseInt(line.substring(at + 1, at + 5), 16);
                    at += 4;
                } else if (known >= 0) {
                    c = "\b\f\n\r\t".charAt(known);
                }
            }
            out.append(c);
        }
        return out.toString();
    }

    private static void errors(Path root) throws Exception {
        var trail = Auditrail.open(root);
        var e = fails(AuditrailException.class, () -> trail.append(
                "{\"domain\":\"v9\",\"category\":\"c\",\"model_name\":\"m\",\"operation\":\"create\",\"logical_user_id\":\"u\"}"));
        same(List.of(e.status(), e.statusName(), e.offset(), e.errno()),
                List.of(-11, "AUDITRAIL_ERR_INVALID_EVENT", 10L, 0));
        same(e.getMessage().contains("domain"), true);
        var busy = fails(AuditrailException.class, () -> Auditrail.open(root));
        same(busy.statusName(), "AUDITRAIL_ERR_BUSY");
        same(busy.getMessage().contains(Long.toString(ProcessHandle.current().pid())), true);
        same(fails(AuditrailException.class, () -> Auditrail.open(Path.of("/proc/nothing/here"))).errno() > 0, true);
        refused("NOT_FOUND", () -> Auditrail.read(root.resolve("nothing"), new Filter()));
        refused("INVALID_ARGUMENT", () -> Auditrail.open(root, new Options().maxSegmentBytes(0)));
        refused("INVALID_ARGUMENT", () -> Auditrail.read(root, new Filter().ids(2, 1)));
        fails(IllegalArgumentException.class, () -> Auditrail.open(root, new Options().maxSegmentBytes(-1)));
        refused("INVALID_EVENT", () -> trail.append(new Event("v2", "c", "\ud800", "create", "u")));
        fails(IllegalArgumentException.class, () -> trail.append("{\"model_name\":\"\ud800\"}"));
        refused("INVALID_EVENT", () -> trail.append(""));
        refused("INVALID_EVENT", () -> trail.appendBatch(List.of(EVENT, EVENT.payload("7"))));
        same(trail.appendBatch(List.of()).count(), 0L);
        same(trail.append(EVENT), 1L);
        trail.flush();
        trail.sync();
        same(trail.stats().syncedId(), 1L);
        trail.close();
        trail.close();
        fails(IllegalStateException.class, () -> trail.append(EVENT));
    }

    private static void options(Path root) throws Exception {
        var options = new Options().durability(Durability.BUFFERED).flushIntervalMs(0).lockTimeoutMs(7).domains("a", "b").operations();
        try (var trail = Auditrail.open(root, options)) {
            refused("INVALID_EVENT", () -> trail.append(EVENT));
            trail.append(new Event("b", "c", "m", "rename", "u"));
            same(trail.stats().writtenId(), 0L);
        }
        same(ids(root, new Filter()), List.of(1L));
    }

    private static void threads(Path root) throws Exception {
        var pool = Executors.newFixedThreadPool(8);
        List<Long> ids = Collections.synchronizedList(new ArrayList<>());
        var trail = Auditrail.open(root, new Options().durability(Durability.SYNCED));
        Callable<Void> work = () -> {
            for (int n = 0; n < 10; n++) {
                ids.add(trail.append(EVENT));
            }
            return null;
        };
        for (var done : pool.invokeAll(Collections.nCopies(8, work))) {
            done.get();
        }
        Collections.sort(ids);
        same(ids, LongStream.rangeClosed(1, 80).boxed().toList());
        // Closing under fire.
        Callable<Void> fire = () -> {
            try {
                while (true) {
                    trail.append(EVENT);
                }
            } catch (IllegalStateException closed) {
                return null;
            }
        };
        List<java.util.concurrent.Future<Void>> firing = new ArrayList<>();
        for (int n = 0; n < 8; n++) {
            firing.add(pool.submit(fire));
        }
        Thread.sleep(20);
        trail.close();
        for (var done : firing) {
            done.get();
        }
        pool.shutdown();
    }

    private static List<Long> ids(Path root, Filter filter) throws Exception {
        List<Long> ids = new ArrayList<>();
        try (var reader = Auditrail.read(root, filter)) {
            for (var line : reader) {
                same(line.json().startsWith("{\"event_id\":" + line.id() + ","), true);
                ids.add(line.id());
            }
        }
        return ids;
    }

    private static void reading(Path root) throws Exception {
        try (var trail = Auditrail.open(root)) {
            for (int n = 1; n <= 10; n++) {
                trail.append(new Event(n % 2 == 1 ? "v2" : "legacy", "image", "m" + n % 3, "create", "u")
                        .timestamp(1000 + n).payload("{\"after\":{\"n\":" + n + "}}"));
            }
        }
        same(ids(root, new Filter()), List.of(2L, 4L, 6L, 8L, 10L, 1L, 3L, 5L, 7L, 9L));
        same(ids(root, new Filter().order(Order.NEWEST_FIRST).limit(3)), List.of(10L, 9L, 8L));
        same(ids(root, new Filter().domains("v2").ids(3, 7)), List.of(3L, 5L, 7L));
        same(ids(root, new Filter().modelNames("m0", "m2").timestamps(1008, Long.MAX_VALUE)
                .order(Order.OLDEST_FIRST)), List.of(8L, 9L));
        same(ids(root, new Filter().users("nobody")), List.of());
        same(Auditrail.replay(root, "v2", "image", new Filter().ids(0, 7)),
                "{\"state\":{\"m0\":{\"n\":3},\"m1\":{\"n\":7},\"m2\":{\"n\":5}},\"last_event_id\":7,\"applied_events\":4}");
        same(Auditrail.check(root).startsWith("{"), true);
        same(Auditrail.check(root, 9).contains("\"pruned_events\":0"), true);
        same(Auditrail.history(root, "v2", "image", "m1", new Filter()).contains("\"changes\":{\"n\":{\"new\":1}}"), true);
        try (var following = Auditrail.read(root, new Filter().ids(10, Long.MAX_VALUE));
                var trail = Auditrail.open(root)) {
            same(following.follow(Duration.ofSeconds(30)).id(), 10L);
            same(following.follow(Duration.ZERO), null);
            trail.append(EVENT);
            same(following.follow(Duration.ofSeconds(30)).id(), 11L);
        }
        try (var limited = Auditrail.read(root, new Filter().limit(1))) {
            same(limited.follow(Duration.ofSeconds(Long.MAX_VALUE)).id(), 2L);
            same(limited.follow(Duration.ofSeconds(Long.MAX_VALUE)), null);
            fails(IllegalArgumentException.class, () -> limited.follow(Duration.ofMillis(-1)));
        }
    }

    /** An empty list lets nothing through, and a number that is out of range is none. */
    private static void filters(Path root) throws Exception {
        try (var trail = Auditrail.open(root)) {
            trail.append(EVENT);
        }
        String[] none = {};
        for (var filter : List.of(new Filter().domains(none), new Filter().categories(none),
                new Filter().modelNames(none), new Filter().operations(none), new Filter().users(none),
                new Filter().users(none).ids(0, Long.MAX_VALUE).users("u"))) {
            same(ids(root, filter), List.of());
        }
        same(Auditrail.replay(root, "v2", "image", new Filter().users(none)).startsWith("{\"state\":{},"), true);
        same(ids(root, new Filter().domains("v2").users("u", "w").limit(0)), List.of(1L));
        fails(IllegalArgumentException.class, () -> new Filter().limit(-1));
        fails(IllegalArgumentException.class, () -> new Filter().ids(-1, 5));
        fails(IllegalArgumentException.class, () -> new Filter().ids(1, -1));
        fails(NullPointerException.class, () -> new Filter().order(null));
        fails(NullPointerException.class, () -> new Filter().users((String) null));
        fails(IllegalArgumentException.class, () -> Auditrail.replay(root, "v2", "image\0x", new Filter()));
        fails(IllegalArgumentException.class, () -> Auditrail.history(root, "v2", "image", "m\0", new Filter()));
    }

    /** The payload is a part of the event's text, and stays one. */
    private static void payloads(Path root) throws Exception {
        String line = "{\"domain\":\"v2\",\"category\":\"image\",\"model_name\":\"m\",\"operation\":\"create\","
                + "\"logical_user_id\":\"other\"";
        try (var trail = Auditrail.open(root)) {
            for (String payload : List.of("{},\"request_id\":\"forged\"", "{\"a\":\"}\"},\"request_id\":\"forged\"",
                    "{}}\n" + line, "{}}\n" + line + "}\n{\"payload\":{}", "{\"a\":\"\n\"}", "{\"a\":\"\\\n\"}",
                    "{\"a\":\"\0\"}", "{\0}", "{\"a\":{}", "{\"a\":\"\\\"}", "{\"a\":]}", "{\u2028}", "7", "null", "",
                    " ", "[{}]")) {
                Event event = EVENT.payload(payload);
                refused("INVALID_EVENT", () -> trail.append(event));
                refused("INVALID_EVENT", () -> trail.appendReturning(event));
                refused("INVALID_EVENT", () -> trail.appendBatch(List.of(event)));
            }
            same(fails(AuditrailException.class, () -> trail.append(EVENT.payload("{\"\u00e9\":1} x"))).offset(), 9L);
            fails(IllegalArgumentException.class, () -> EVENT.payload("{},").json());
            fails(NullPointerException.class, () -> trail.append(new Event("v2", null, "m", "create", "u")));
            same(trail.stats().lastId(), 0L);

            Event event = EVENT.payload("\r\n{\r\n\"a\":\t\"}\\\"\\\\\u2028\",\"b\":[\r{}\n]}\n");
            same(event.json().indexOf('\n'), -1);
            same(trail.appendBatch(List.of(event, event)), new Auditrail.Ids(1, 2));
            same(trail.appendReturning(event)
                    .endsWith("\"payload\":{\"a\":\"}\\\"\\\\\\u2028\",\"b\":[{}]}}\n"), true);
        }
        same(ids(root, new Filter().users("u")), List.of(1L, 2L, 3L));
    }

    /** A closed reader says so, and may be closed by another thread while it waits. */
    private static void closing(Path root) throws Exception {
        try (var trail = Auditrail.open(root)) {
            trail.append(EVENT);
        }
        var closed = Auditrail.read(root, new Filter());
        var iterator = closed.iterator();
        closed.close();
        closed.close();
        fails(IllegalStateException.class, closed::next);
        fails(IllegalStateException.class, () -> closed.follow(Duration.ZERO));
        fails(IllegalStateException.class, iterator::hasNext);
        try (var reader = Auditrail.read(root, new Filter())) {
            var events = reader.iterator();
            same(events.next().id(), 1L);
            same(events.hasNext(), false);
            fails(java.util.NoSuchElementException.class, events::next);
        }
        var pool = Executors.newFixedThreadPool(4);
        for (int round = 0; round < 20; round++) {
            var reader = Auditrail.read(root, new Filter());
            Callable<Void> follow = () -> {
                try {
                    while (true) {
                        reader.follow(Duration.ofDays(1));
                    }
                } catch (IllegalStateException e) {
                    return null;
                }
            };
            List<java.util.concurrent.Future<Void>> following = new ArrayList<>();
            for (int n = 0; n < 4; n++) {
                following.add(pool.submit(follow));
            }
            Thread.sleep(round);
            reader.close();
            for (var done : following) {
                done.get(30, java.util.concurrent.TimeUnit.SECONDS);
            }
        }
        pool.shutdown();
    }

    public static void main(String[] arguments) throws Exception {
        Path scratch = Path.of(arguments[1]);
        same(Path.of(arguments[0]), scratch.resolve("same"));
        errors(scratch.resolve("errors"));
        options(scratch.resolve("options"));
        threads(scratch.resolve("threads"));
        reading(scratch.resolve("reading"));
        filters(scratch.resolve("filters"));
        payloads(scratch.resolve("payloads"));
        closing(scratch.resolve("closing"));
        System.out.println(checks + " checks");
    }
}
