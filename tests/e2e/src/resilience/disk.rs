//! A disk on which PostgreSQL finds no space any more.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use client::wire::{Code, Seq};
use tokio::time::{Instant, timeout};

use crate::harness::distributed::Dev;
use crate::harness::own::OwnSystem;
use crate::harness::{SmallDisk, unique};

/// Enough for a database and what its log of changes takes.
const MEGABYTES: u32 = 512;
/// How long it stays full.
const FULL: Duration = Duration::from_secs(15);
/// A write that is not answered within it has failed.
const DEADLINE: Duration = Duration::from_secs(6);
/// How soon all is as before when there is space.
const RECOVERY: Duration = Duration::from_secs(30);

/// Everything else that is on the disk.
struct Filler(PathBuf);

impl Filler {
    /// Takes all the space that there is.
    fn on(disk: &SmallDisk) -> Self {
        let path = disk.path().join("filler");
        let mut file = File::create(&path).unwrap();
        let block = vec![0; 1 << 20];
        for size in [1 << 20, 1 << 12] {
            while file.write_all(&block[..size]).is_ok() {}
        }
        Self(path)
    }

    fn remove(self) {
        std::fs::remove_file(self.0).unwrap();
    }
}

/// Moves PostgreSQL's data to the disk while it does not run.
async fn move_postgres_to(disk: &SmallDisk, dev: &Dev) {
    dev.down("postgres").await;
    let (from, to) = (dev.data("postgres"), disk.path().join("postgres"));
    let mut copy = Command::new("cp");
    let copied = copy.arg("--archive").arg(&from).arg(&to).status().unwrap();
    assert!(copied.success());
    std::fs::remove_dir_all(&from).unwrap();
    std::os::unix::fs::symlink(&to, &from).unwrap();
    dev.up("postgres").await;
    dev.well_again().await;
}

fn unavailable(error: &client::Error) {
    let code = error.code();
    assert!(
        matches!(code, Some(Code::Unavailable | Code::DeadlineExceeded)),
        "{error:?}"
    );
    assert!(error.retryable());
}

disruptive_scenarios! {
    async fn with_postgres_disk_full_writes_are_unavailable_and_all_is_whole_when_there_is_space(_world: World) {
        let Some(disk) = SmallDisk::new(MEGABYTES) else {
            eprintln!("SKIPPED: nobody here may mount a disk");
            return;
        };
        let own = OwnSystem::start().await;
        let dev = own.dev();
        move_postgres_to(&disk, dev).await;
        let world = own.world();
        let (ann, bob) = world.two_users().await;
        let room = ann.room_with(&[&bob]).await;
        let (mut anns, mut bobs) = (ann.enter_at(0, room).await, bob.enter_at(1, room).await);
        let mut acked: Vec<(Seq, String)> = Vec::new();
        let text = |number: usize| format!("{number} {}", "x".repeat(1_900));
        for number in 0..10 {
            acked.push((anns.say(&text(number)).await.message_id, text(number)));
        }

        let filler = Filler::on(&disk);
        let (mut refusals, mut slowest) = (0, Duration::ZERO);
        let mut refused_since = None;
        let mut number = acked.len();
        // What there is of space in the files themselves is used up first.
        while refused_since.is_none_or(|since: Instant| since.elapsed() < FULL) {
            let (text, began) = (text(number), Instant::now());
            let said = anns.socket.say_in(None, &text, Some(&number.to_string())).await;
            slowest = slowest.max(began.elapsed());
            match said {
                Ok(sent) => acked.push((sent.message_id, text)),
                Err(error) => {
                    unavailable(&error);
                    refused_since.get_or_insert_with(Instant::now);
                    refusals += 1;
                }
            }
            number += 1;
            assert!(number < 100_000, "the disk is not full");
        }
        assert!(slowest <= DEADLINE, "{slowest:?}");
        // What needs no new page of a table may still be written.
        if let Err(error) = ann.api().create_room(&unique("d"), false).await {
            unavailable(&error);
        }
        anns.socket.ping().await.unwrap();
        bobs.socket.ping().await.unwrap();

        filler.remove();
        let has_space = Instant::now();
        // A database that could not write its log of changes ends. Whoever looks after it
        // starts it again.
        let ended = !dev.has_live("postgres");
        if ended {
            dev.up("postgres").await;
        }
        let saying = async {
            while let Err(error) = anns.socket.say_in(None, "at last", Some("last")).await {
                unavailable(&error);
            }
        };
        timeout(RECOVERY, saying).await.expect("recovery by itself");
        let recovery = has_space.elapsed();
        dev.well_again().await;
        ann.api().create_room(&unique("d"), false).await.unwrap();

        // Everyone hears everything, once and in order, to the end.
        let mut heard = Vec::new();
        let mut seq = bobs.seq();
        loop {
            let event = bobs.event().await;
            assert_eq!(event.seq, seq.next());
            seq = event.seq;
            if event.text == "at last" {
                break;
            }
            heard.push((event.seq, event.text));
        }
        for said in &acked {
            assert_eq!(heard.iter().filter(|it| *it == said).count(), 1, "{}", said.0);
        }
        println!(
            "{} acknowledged and there; {refusals} refused, the slowest answer after {slowest:?}; \
             well {recovery:?} after there was space; PostgreSQL ended itself: {ended}",
            acked.len()
        );
    }
}
