// Who gave whom which role: a small program over Auditrail.java.
//
//     javac -d build/java -cp /usr/share/java/jna.jar \
//         bindings/java/auditrail/Auditrail.java examples/java/Story.java &&
//         java -cp build/java:/usr/share/java/jna.jar Story audit
import auditrail.Auditrail;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

class Story {
    private static Auditrail.Event create(String who) {
        return new Auditrail.Event("v2", "users", who, "create", "admin-7")
                .payload("{\"after\":{\"role\":\"user\"}}");
    }

    /** A field of JSON text; any JSON library does this better. */
    private static String field(String json, String name) {
        Matcher found = Pattern.compile("\"" + name + "\":\"?([^\",}]*)").matcher(json);
        return found.find() ? found.group(1) : null;
    }

    public static void main(String[] arguments) throws Auditrail.AuditrailException {
        Path root = Path.of(arguments.length > 0 ? arguments[0] : "audit");
        try (var trail = Auditrail.open(root)) {
            // A user is created: append gives the event's id.
            System.out.printf("event %d: create ada%n", trail.append(create("ada")));

            // She becomes an owner. Who did that, in this request?
            trail.append(new Auditrail.Event("v2", "users", "ada", "update", "admin-7")
                    .requestId("req-1")
                    .payload("{\"delta\":{\"role\":{\"old\":\"user\",\"new\":\"owner\"}}}"));
            var request = new Auditrail.Filter().requestId("req-1");
            try (var events = Auditrail.read(root, request)) {
                for (var event : events) {
                    System.out.printf("event %d: %s %s by %s%n", event.id(), field(event.json(), "operation"),
                            field(event.json(), "model_name"), field(event.json(), "logical_user_id"));
                }
            }

            // Two more in one batch: all of it, or nothing.
            var ids = trail.appendBatch(List.of(create("bob"), create("cyd")));
            System.out.printf("events %d to %d in one batch%n", ids.first(), ids.first() + ids.count() - 1);

            // An event that breaks a rule is refused; the error says why, and where.
            try {
                trail.append("{\"domain\":\"v2\",\"category\":\"../etc\",\"model_name\":\"x\","
                        + "\"operation\":\"create\",\"logical_user_id\":\"u\"}");
            } catch (Auditrail.AuditrailException e) {
                System.out.printf("refused: %s at byte %d: %s%n", e.statusName(), e.offset(), e.getMessage());
            }

            // All that is in the trail, the newest first.
            var newest = new Auditrail.Filter().categories("users").order(Auditrail.Order.NEWEST_FIRST);
            try (var events = Auditrail.read(root, newest)) {
                for (var event : events) {
                    System.out.printf("%d %s %s%n", event.id(), field(event.json(), "operation"),
                            field(event.json(), "model_name"));
                }
            }

            // What the events make of each record: JSON text, for any JSON library.
            String users = Auditrail.replay(root, "v2", "users", new Auditrail.Filter());
            System.out.println("ada is " + field(users.substring(users.indexOf("\"ada\"")), "role"));
        }
    }
}
