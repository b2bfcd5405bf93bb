//! Promise: what was answered survives the death of the process.

mod support;

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use store::{EventId, Secret, Store, StoreConfig, StoreError};
use support::{Directory, account, call, event, member, open_with, room};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_thousand_concurrent_batches_are_all_in_a_copy_of_the_files() {
    let store = open_with(StoreConfig::default());
    let owner = account(&store, "a").await;
    let tasks: Vec<_> = (0..2000)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                let leg = call(owner);
                let batch =
                    store.batch().put_call(leg.clone()).append_event(event(owner, None, &format!("e{n}"))).commit();
                (leg.id, batch.await.expect("committed"))
            })
        })
        .collect();
    let mut answered = Vec::new();
    for task in tasks {
        answered.push(task.await.expect("no panic"));
    }
    let stats = store.stats();
    assert_eq!(stats.batches, 2001);
    assert!(stats.groups < 2001 && stats.largest_group > 1, "batches share commits: {stats:?}");

    // Neither closed nor checkpointed: the files as a killed process leaves them.
    let directory = Directory::new();
    let copy = directory.file("copy.db");
    std::fs::copy(store.path(), &copy).expect("the database is copied");
    let mut log = store.path().as_os_str().to_owned();
    log.push("-wal");
    std::fs::copy(&log, directory.file("copy.db-wal")).expect("the log is copied");

    let reopened = Store::open(&copy, StoreConfig::default()).expect("the copy opens");
    assert_eq!(
        reopened.previous_boot().map(|boot| (boot.boot_id, boot.clean_shutdown)),
        Some((store.boot_id(), false))
    );
    for (id, committed) in answered {
        assert!(reopened.call(owner, id).await.expect("read").is_some());
        let page = reopened.events_after(owner, None, EventId(committed.event_ids[0].0 - 1), 1).await.expect("read");
        assert_eq!(page.events[0].id, committed.event_ids[0]);
    }
}

const PATH_VARIABLE: &str = "ASIDE_STORE_KILL_TEST";

/// Not a test of its own: the process that the next test kills.
#[tokio::test]
#[ignore = "run by a_killed_process_loses_nothing_it_answered"]
async fn writes_until_killed() {
    let Ok(path) = std::env::var(PATH_VARIABLE) else {
        return;
    };
    let store = Store::open(path, StoreConfig::default()).expect("open");
    let owner = account(&store, "killed").await;
    let mut out = std::io::stdout();
    loop {
        let batches: Vec<_> = (0..16)
            .map(|_| {
                let leg = call(owner);
                (leg.id, store.batch().put_call(leg).append_event(event(owner, None, "e")).commit())
            })
            .collect();
        for (id, batch) in batches {
            batch.await.expect("committed");
            writeln!(out, "answered {owner} {id}").expect("the parent reads");
        }
        out.flush().expect("the parent reads");
    }
}

#[tokio::test]
async fn a_killed_process_loses_nothing_it_answered() {
    let directory = Directory::new();
    let path = directory.file("killed.db");
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--ignored", "--exact", "writes_until_killed", "--nocapture"])
        .env(PATH_VARIABLE, &path)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the child starts");
    let mut answered = Vec::new();
    for line in BufReader::new(child.stdout.take().expect("piped")).lines() {
        let Ok(line) = line else { break };
        let mut words = line.split_whitespace().skip_while(|word| *word != "answered").skip(1);
        let (Some(owner), Some(id)) = (words.next(), words.next()) else {
            continue;
        };
        // The last line may be cut off by the kill.
        if let (Ok(owner), Ok(id)) = (owner.parse(), id.parse()) {
            answered.push((owner, id));
        }
        if answered.len() == 1000 {
            assert_eq!(
                Store::open(&path, StoreConfig::default()).err(),
                Some(StoreError::AlreadyOpen { path: path.clone() }),
                "a second process is kept out"
            );
            child.kill().expect("SIGKILL");
        }
    }
    child.wait().expect("the child is gone");
    assert!(answered.len() >= 1000);
    let store = Store::open(&path, StoreConfig::default()).expect("a killed process holds no lock");
    for (owner, id) in &answered {
        assert!(store.call(*owner, *id).await.expect("read").is_some(), "{id} was answered and is lost");
    }
    assert_eq!(store.previous_boot().map(|boot| boot.clean_shutdown), Some(false));
    let interrupted = store.interrupted_calls(10_000).await.expect("read");
    assert!(interrupted.len() >= answered.len());
}

#[tokio::test]
async fn what_was_live_at_a_crash_is_found_and_what_came_after_is_not() {
    let directory = Directory::new();
    let path = directory.file("aside.db");
    let store = Store::open(&path, StoreConfig::default()).expect("open");
    assert_eq!(store.previous_boot(), None);
    let owner = account(&store, "a").await;
    let (old_call, old_room) = (call(owner), room(owner, "hall"));
    let old_member = member(&old_room, 1, 355, old_call.id);
    let mut gone_member = member(&old_room, 2, 356, old_call.id);
    gone_member.exit_time = Some(support::at(3));
    let mut ended = call(owner);
    ended.state = store::Life::Ended;
    ended.ended_at = Some(support::at(3));
    store
        .batch()
        .put_call(old_call.clone())
        .put_call(ended)
        .put_room(old_room.clone())
        .put_member(old_member.clone())
        .put_member(gone_member)
        .put_setting("instance", Secret::new("i1"))
        .commit()
        .await
        .expect("stored");
    assert_eq!(store.interrupted_calls(10).await, Ok(vec![]), "what runs now was not interrupted");
    let first_boot = store.boot_id();
    store.shutdown().await.expect("shutdown");

    let store = Store::open(&path, StoreConfig::default()).expect("reopen");
    let previous = store.previous_boot().expect("there was one");
    assert_eq!((previous.boot_id, previous.clean_shutdown), (first_boot, true));
    assert_eq!(store.setting_or_insert("instance", Secret::new("i2")).await, Ok(Secret::new("i1")));
    let (new_call, new_room) = (call(owner), room(owner, "other"));
    store
        .batch()
        .put_call(new_call.clone())
        .put_room(new_room.clone())
        .put_member(member(&new_room, 1, 357, new_call.id))
        .commit()
        .await
        .expect("stored");
    assert_eq!(store.interrupted_calls(10).await, Ok(vec![old_call.clone()]));
    assert_eq!(store.interrupted_rooms(10).await, Ok(vec![old_room.clone()]));
    assert_eq!(store.interrupted_members(10).await, Ok(vec![old_member]));
    assert_eq!(store.live_calls(owner).await.map(|calls| calls.len()), Ok(2));
    assert_eq!(store.live_rooms(owner).await.map(|rooms| rooms.len()), Ok(2));

    let mut closed = old_room;
    closed.status = store::RoomStatus::Ended;
    closed.ended_at = Some(support::at(9));
    store.batch().put_room(closed).commit().await.expect("closed");
    assert_eq!(store.interrupted_rooms(10).await, Ok(vec![]));
}
