//! Reading: filters, orders, replay, history, sums.

use super::kit::{event, ids, json, many, place, told};

fn read(arguments: &[&str]) -> Vec<u64> {
    let ran = told().run("read", arguments);
    assert_eq!(ran.code, 0, "{ran:?}");
    ids(&ran.out)
}

#[test]
fn lines_come_out_as_they_stand_in_the_files() {
    let place = told();
    let ran = place.run("read", &["-d", "v2"]);
    assert_eq!(
        ran.out,
        std::fs::read_to_string(place.users(1)).expect("a segment")
    );
}

#[test]
fn every_filter_filters() {
    assert_eq!(read(&[]), [1, 2, 3, 4, 5, 6]);
    assert_eq!(read(&["-d", "legacy"]), [4]);
    assert_eq!(read(&["-d", "legacy", "-d", "v2"]), [1, 2, 3, 4, 5, 6]);
    assert_eq!(read(&["-c", "users"]), [1, 2, 3, 5, 6]);
    assert_eq!(read(&["-r", "bob", "-r", "staff"]), [2, 4, 6]);
    assert_eq!(read(&["-o", "delete"]), [5]);
    assert_eq!(read(&["-u", "u-2"]), [3, 5]);
    assert_eq!(read(&["-u", "u-2", "-o", "update"]), [3]);
    assert_eq!(read(&["--request", "r-9"]), [4]);
    assert_eq!(read(&["--id", "3"]), [3]);
    assert_eq!(read(&["--from-id", "3", "--to-id", "5"]), [3, 4, 5]);
    assert_eq!(read(&["-n", "2"]), [1, 2]);
    assert_eq!(read(&["-r", "nobody"]), [] as [u64; 0]);
}

#[test]
fn times_are_taken_in_all_forms() {
    assert_eq!(
        read(&["--since", "1764000120", "--until", "1764000240"]),
        [3, 4, 5]
    );
    assert_eq!(
        read(&[
            "--since",
            "2025-11-24T16:02:00Z",
            "--until",
            "2025-11-24T18:04:00+02:00"
        ]),
        [3, 4, 5]
    );
    assert_eq!(
        read(&["--since", "2025-11-24", "--until", "2025-11-24"]),
        [1, 2, 3, 4, 5, 6]
    );
    assert_eq!(read(&["--since", "2025-11-25"]), [] as [u64; 0]);
    assert_eq!(read(&["--until", "2025-11-23"]), [] as [u64; 0]);
    assert_eq!(read(&["--until", "-5"]), [] as [u64; 0]);
    assert_eq!(read(&["--until", "0s"]), [1, 2, 3, 4, 5, 6]);
}

#[test]
fn orders_are_kept() {
    assert_eq!(read(&["--newest", "-n", "4"]), [6, 5, 4, 3]);
    assert_eq!(read(&["--order", "newest"]), [6, 5, 4, 3, 2, 1]);
    assert_eq!(read(&["--order", "stream"]), [4, 1, 2, 3, 5, 6]);
}

#[test]
fn tail_gives_the_last_ones_the_newest_last() {
    let place = place();
    place.append(&["--segment-size", "300"], &many(1, 50));
    assert_eq!(
        ids(&place.run("tail", &[]).out),
        (41..=50).collect::<Vec<_>>()
    );
    assert_eq!(
        ids(&place.run("tail", &["-n", "2", "--to-id", "20"]).out),
        [19, 20]
    );
    assert_eq!(place.run("tail", &["-n", "0"]).out, "");
}

#[test]
fn a_record_is_shown_with_what_changed() {
    let place = told();
    let ran = place.run("show", &["ada"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let entries: Vec<_> = ran.out.lines().map(json).collect();
    assert_eq!(entries.len(), 3);
    assert_eq!(entries[1]["category"], "users");
    assert_eq!(entries[1]["model_name"], "ada");
    assert_eq!(entries[1]["logical_user_id"], "u-2");
    assert_eq!(entries[1]["changes"]["role"]["new"], "owner");

    let ran = place.run("show", &["ada", "--format", "table"]);
    let expected = "\
ada  v2/users, 3 events

#1  2025-11-24 16:00:00 UTC  create  by u-1
    + role  user
    + age   1.10

#3  2025-11-24 16:02:00 UTC  update  by u-2
    ~ role  user → owner
    - age   1.10
    + mail  ada@example.org

#5  2025-11-24 16:04:00 UTC  delete  by u-2
    - role  owner
";
    assert_eq!(ran.out, expected);
    assert_eq!(
        ids(&place.run("show", &["ada", "--newest", "-n", "1"]).out),
        [5]
    );
    assert_eq!(ids(&place.run("show", &["ada", "-u", "u-1"]).out), [1]);
    assert_eq!(
        ids(&place
            .run("show", &["ada", "--since", "1764000100", "--to-id", "4"])
            .out),
        [3]
    );
}

#[test]
fn a_record_that_is_not_there_is_1() {
    let place = told();
    for arguments in [&["eve"][..], &["ada", "-d", "legacy"]] {
        let ran = place.run("show", arguments);
        assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{ran:?}");
        assert!(ran.err.contains("no event about"), "{}", ran.err);
    }
    assert_eq!(place.run("replay", &["v2", "users", "-r", "ada"]).code, 1);
}

#[test]
fn records_are_as_they_were() {
    let place = told();
    let replay = |arguments: &[&str]| {
        let ran = place.run("replay", &[&["v2", "users"], arguments].concat());
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.out
    };
    let now = r#"{"state":{"bob":{"role":"guest"}},"last_event_id":6,"applied_events":5}"#;
    assert_eq!(replay(&[]).trim_end(), now);
    let then = json(&replay(&["--at-id", "3"]));
    assert_eq!(then["state"]["ada"]["role"], "owner");
    assert_eq!(then["state"]["bob"]["role"], "user");
    assert_eq!(then["last_event_id"], 3);
    assert_eq!(
        replay(&["--at", "2025-11-24T16:00:30Z", "-r", "ada"]),
        "{\"role\":\"user\",\"age\":1.10}\n"
    );
    assert_eq!(json(&replay(&["--at", "2025-11-24"])), json(now));
    let table = replay(&["--format", "table"]);
    assert!(
        table.contains("RECORD  FIELDS\nbob     role guest\n1 record from 5 events"),
        "{table}"
    );
}

#[test]
fn sums_are_right() {
    let place = told();
    let sums = json(&place.run("stats", &[]).out);
    assert_eq!(sums["events"], 6);
    assert_eq!(sums["last_event_id"], 6);
    assert_eq!(sums["users"], 3);
    assert_eq!(sums["operations"]["create"], 3);
    let users = &sums["streams"][1];
    assert_eq!(
        (&users["domain"], &users["events"]),
        (&"v2".into(), &5.into())
    );
    assert_eq!(
        users["bytes"],
        std::fs::metadata(place.users(1)).expect("a segment").len()
    );
    let table = place.run("stats", &["--format", "table"]).out;
    assert!(
        table.contains("v2/users") && table.contains("3 users: 3 create, 1 delete, 2 update"),
        "{table}"
    );
}

#[test]
fn a_record_of_several_streams_is_shown_merged_by_id() {
    let place = told();
    let elsewhere = event("ada", "create", "u-7", 1_764_000_400, "{}")
        .replace("\"category\":\"users\"", "\"category\":\"admins\"");
    place.append(&[], &elsewhere);
    place.append(&[], &event("ada", "create", "u-8", 1_764_000_500, "{}"));
    let ran = place.run("show", &["ada"]);
    assert_eq!(ids(&ran.out), [1, 3, 5, 7, 8]);
    let ran = place.run("show", &["ada", "--format", "table"]);
    assert!(
        ran.out.starts_with("ada  2 streams, 5 events"),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("by u-7  in v2/admins"), "{}", ran.out);
    let ran = place.run("show", &["ada", "-c", "admins"]);
    assert_eq!(ids(&ran.out), [7]);
}
