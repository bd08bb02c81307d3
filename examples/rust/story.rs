//! Who gave whom which role: a small program over the crate auditrail.
//!
//!     cargo run -q --example story audit

use auditrail::{Event, Filter, Kind, Options, Order, Reader, Writer};

fn create(who: &str) -> Event<'_> {
    Event {
        domain: "v2",
        category: "users",
        model_name: who,
        operation: "create",
        logical_user_id: "admin-7",
        payload: Some(br#"{"after":{"role":"user"}}"#),
        ..Event::default()
    }
}

fn main() -> auditrail::Result<()> {
    let root = std::env::args().nth(1).unwrap_or_else(|| "audit".into());
    let trail = Writer::open(&root, &Options::default())?;

    // A user is created: append gives the event's id.
    println!("event {}: create ada", trail.append_event(&create("ada"))?);

    // She becomes an owner. Who did that, in this request?
    trail.append_event(&Event {
        operation: "update",
        request_id: Some("req-1"),
        payload: Some(br#"{"delta":{"role":{"old":"user","new":"owner"}}}"#),
        ..create("ada")
    })?;
    let mut events = Reader::open(&root, Filter::new().request_id("req-1"))?;
    while let Some(event) = events.next()? {
        println!(
            "event {}: {} {} by {}",
            event.event_id(),
            event.operation(),
            event.model_name(),
            event.logical_user_id()
        );
    }

    // Two more in one batch: all of it, or nothing.
    let others = ["bob", "cyd"].map(|who| {
        [
            r#"{"domain":"v2","category":"users","model_name":""#,
            who,
            r#"","operation":"create","logical_user_id":"admin-7","payload":{"after":{"role":"user"}}}"#,
        ]
        .concat()
    });
    let (first, count) = trail.append_batch(others.join("\n").as_bytes())?;
    println!(
        "events {first} to {} in one batch",
        first + count as u64 - 1
    );

    // An event that breaks a rule is refused; the error says why, and where.
    let bad = br#"{"domain":"v2","category":"../etc","model_name":"x",
                   "operation":"create","logical_user_id":"u"}"#;
    match trail.append(bad) {
        Err(error) if error.kind() == Kind::InvalidEvent => println!(
            "refused: AUDITRAIL_ERR_INVALID_EVENT at byte {}: {}",
            error.offset().unwrap_or_default(),
            error.message()
        ),
        other => println!("not refused: {other:?}"),
    }

    // All that is in the trail, the newest first.
    let mut newest = Filter::new();
    newest.category("users")?.order(Order::NewestFirst);
    let mut events = Reader::open(&root, &newest)?;
    while let Some(event) = events.next()? {
        println!(
            "{} {} {}",
            event.event_id(),
            event.operation(),
            event.model_name()
        );
    }

    // What the events make of each record.
    let users = auditrail::replay(&root, "v2", "users", &Filter::new())?;
    if users.record("ada").as_deref() == Some(r#"{"role":"owner"}"#) {
        println!("ada is owner");
    }
    trail.close()
}
