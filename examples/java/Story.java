import auditrail.Auditrail;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Who gave whom which role: a small program over Auditrail.java.
 *
 * <pre>javac -cp jna.jar:. Story.java && java -cp jna.jar:. Story audit</pre>
 */
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
            System.out.printf("event %d: create ada%n", trail.append(create("ada")));

            String line = trail.appendReturning(
                    new Auditrail.Event("v2", "users", "ada", "update", "admin-7")
                            .requestId("req-1")
                            .payload("{\"delta\":{\"role\":{\"old\":\"user\",\"new\":\"owner\"}}}"));
            System.out.printf("event %s: %s %s by %s%n", field(line, "event_id"), field(line, "operation"),
                    field(line, "model_name"), field(line, "logical_user_id"));

            var ids = trail.appendBatch(List.of(create("bob"), create("cyd")));
            System.out.printf("events %d to %d in one batch%n", ids.first(), ids.first() + ids.count() - 1);

            try {
                trail.append("{\"domain\":\"v2\",\"category\":\"../etc\",\"model_name\":\"x\","
                        + "\"operation\":\"create\",\"logical_user_id\":\"u\"}");
            } catch (Auditrail.AuditrailException e) {
                System.out.printf("refused: %s at byte %d: %s%n", e.statusName(), e.offset(), e.getMessage());
            }

            var newest = new Auditrail.Filter().categories("users").order(Auditrail.Order.NEWEST_FIRST);
            try (var events = Auditrail.read(root, newest)) {
                for (var event : events) {
                    System.out.printf("%d %s %s%n", event.id(), field(event.json(), "operation"),
                            field(event.json(), "model_name"));
                }
            }
            String users = Auditrail.replay(root, "v2", "users", new Auditrail.Filter());
            System.out.println("ada is " + field(users.substring(users.indexOf("\"ada\"")), "role"));
        }
    }
}
