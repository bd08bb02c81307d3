//! Promise: a flush or sync between the appends of other threads does not affect them.

use auditrail::{Durability, Options, Writer};
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn appends_get_their_ids_while_others_flush_and_sync() {
    for durability in [Durability::Written, Durability::Synced] {
        let folder = tempfile::tempdir().unwrap();
        let mut options = Options::default();
        options.durability(durability);
        let writer = Writer::open(folder.path().join("trail"), &options).unwrap();
        let done = AtomicBool::new(false);
        let (threads, each) = (4, 200);
        let mut ids: Vec<u64> = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    writer.flush().unwrap();
                    writer.sync().unwrap();
                    writer.stats().unwrap();
                }
            });
            let appending: Vec<_> = (0..threads)
                .map(|thread| {
                    let writer = &writer;
                    let event = format!(
                        r#"{{"domain":"v2","category":"c{thread}","model_name":"m","operation":"create","logical_user_id":"u"}}"#
                    );
                    scope.spawn(move || {
                        let append = |_| writer.append(event.as_bytes()).unwrap();
                        (0..each).map(append).collect::<Vec<u64>>()
                    })
                })
                .collect();
            let joined = appending
                .into_iter()
                .map(std::thread::ScopedJoinHandle::join);
            let ids: Vec<_> = joined.collect();
            done.store(true, Ordering::Relaxed);
            ids.into_iter().flat_map(|ids| ids.unwrap()).collect()
        });
        ids.sort_unstable();
        assert!(
            ids.into_iter().eq(1..=threads * each),
            "{durability:?}: not each id once"
        );
        writer.close().unwrap();
    }
}
