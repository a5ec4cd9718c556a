//! When the index is believed, and which reservations are of an earlier boot.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use linkspan_config::NetworkName;
use tempfile::TempDir;

use super::*;

const A_BOOT: &str = "4f6d1f52-6a0e-4f3e-9a4c-0f1e2d3c4b5a";
const ANOTHER_BOOT: &str = "0d9c8b7a-6a0e-4f3e-9a4c-ffffffffffff";
/// Before and after any file of these tests was made.
const LONG_AGO: u64 = 1_000_000_000;
const MUCH_LATER: u64 = 100_000_000_000;

/// A folder of reservations, and a folder like `/proc`.
struct Fixture {
    dir: TempDir,
    network: NetworkName,
}

impl Fixture {
    fn new() -> Self {
        let fixture = Self { dir: tempfile::tempdir().unwrap(), network: "fast".parse().unwrap() };
        fs::create_dir_all(fixture.dir.path().join("proc/sys/kernel/random")).unwrap();
        fixture.boot(A_BOOT, LONG_AGO);
        fixture
    }

    /// From now on it is this boot, and it began then.
    fn boot(&self, id: &str, began: u64) {
        let proc = self.dir.path().join("proc");
        fs::write(proc.join("sys/kernel/random/boot_id"), format!("{id}\n")).unwrap();
        let stat = format!("cpu  1 2 3\nintr 4 5 6\nbtime {began}\nprocesses 7\n");
        fs::write(proc.join("stat"), stat).unwrap();
    }

    fn open(&self) -> Store {
        let folder = Folder::make(&self.dir.path().join("data"), &self.network).unwrap();
        Store::open(folder, &Boot::below(&self.dir.path().join("proc"))).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("data/fast").join(name)
    }

    fn reserve(&self, address: &str, container: &str) {
        let is_reserved = self.open().reserve(ip(address), &Holder::of(&owner(container)));
        assert!(is_reserved.unwrap(), "{address} was taken");
    }

    /// Reserves an address as the reference plugin does.
    fn peer_reserves(&self, address: &str, container: &str) {
        fs::create_dir_all(self.path("")).unwrap();
        fs::write(self.path(address), format!("{container}\r\nnet1")).unwrap();
    }

    fn find(&self, container: &str) -> Vec<String> {
        let all = self.open().all_of(&owner(container)).unwrap();
        all.iter().map(|(address, _)| address.to_string()).collect()
    }

    /// The addresses that have a file, sorted.
    fn addresses(&self) -> Vec<String> {
        let mut all = self.open().folder().addresses().unwrap();
        all.sort_unstable();
        all.iter().map(ToString::to_string).collect()
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn owner(container: &str) -> AttachmentId {
    AttachmentId { container_id: container.parse().unwrap(), if_name: "net1".parse().unwrap() }
}

#[test]
fn what_the_peer_does_is_seen_however_soon_it_comes() {
    let fixture = Fixture::new();
    for n in 0..200 {
        let (ours, peers) = (format!("10.1.0.{n}"), format!("10.2.0.{n}"));
        fixture.reserve(&ours, "ours");
        fixture.peer_reserves(&peers, "peers");
        assert_eq!(fixture.find("peers"), [peers.as_str()]);
        fs::remove_file(fixture.path(&peers)).unwrap();
        assert_eq!(fixture.find("peers"), [""; 0]);
        assert_eq!(fixture.find("ours").len(), n + 1);
    }
}

#[test]
fn a_sealed_index_spares_reading_the_files() {
    let fixture = Fixture::new();
    fixture.reserve("10.1.0.2", "a");
    fixture.reserve("10.1.0.3", "b");
    // Writing into a file leaves no trace in its folder. Nobody does it; here it shows who reads the file.
    fs::write(fixture.path("10.1.0.2"), "c\r\nnet1").unwrap();
    assert_eq!(fixture.find("b"), ["10.1.0.3"]);
    assert_eq!(fixture.find("c"), [""; 0]);
    assert_eq!(fixture.find("a"), [""; 0], "the file says that it is another's");
    assert_eq!(fixture.find("c"), ["10.1.0.2"], "the files are read once the two disagree");
}

#[test]
fn an_index_that_is_lost_or_broken_is_made_anew() {
    let fixture = Fixture::new();
    fixture.reserve("10.1.0.2", "a");
    fs::remove_file(fixture.path(".linkspan-index")).unwrap();
    assert_eq!(fixture.find("a"), ["10.1.0.2"]);
    for content in ["", "linkspn1", "nonsense"] {
        fs::write(fixture.path(".linkspan-index"), content).unwrap();
        assert_eq!(fixture.find("a"), ["10.1.0.2"], "with {content:?}");
    }
    fs::remove_file(fixture.path(".linkspan-index")).unwrap();
    fs::create_dir(fixture.path(".linkspan-index")).unwrap();
    fixture.reserve("10.1.0.3", "b");
    assert_eq!(fixture.find("b"), ["10.1.0.3"], "without an index it works all the same");
}

#[test]
fn an_index_that_is_not_complete_is_never_sealed() {
    let fixture = Fixture::new();
    fixture.reserve("10.1.0.2", "a");
    // A file that can't be removed, as reading all begins.
    fs::create_dir(fixture.path(".linkspan-draft")).unwrap();
    let folder = Folder::make(&fixture.dir.path().join("data"), &fixture.network).unwrap();
    assert!(Store::open(folder, &Boot::below(&fixture.dir.path().join("proc"))).is_err());
    assert!(Index::open(&fixture.path("")).is_none());
    fs::remove_dir(fixture.path(".linkspan-draft")).unwrap();
    assert_eq!(fixture.find("a"), ["10.1.0.2"]);
}

#[test]
fn what_cannot_be_read_is_taken() {
    let fixture = Fixture::new();
    fixture.peer_reserves("10.1.0.3", "a");
    fs::create_dir(fixture.path("10.1.0.2")).unwrap();
    let mut store = fixture.open();
    assert!(store.taken().contains(ip("10.1.0.2")));
    assert!(!store.reserve(ip("10.1.0.2"), &Holder::of(&owner("b"))).unwrap());
}

#[test]
fn an_address_has_one_name() {
    let fixture = Fixture::new();
    for name in ["fd00::2", "FD00::2", "fd00:0::3", "010.1.0.2"] {
        fixture.peer_reserves(name, "a");
    }
    assert_eq!(fixture.find("a"), ["fd00::2"]);
}

#[test]
fn another_boot_frees_all_that_was_reserved_before() {
    let fixture = Fixture::new();
    fixture.reserve("10.1.0.2", "a");
    fixture.peer_reserves("10.1.0.3", "b");
    fixture.reserve("fd00::2", "c");
    assert_eq!(fixture.addresses(), ["10.1.0.2", "10.1.0.3", "fd00::2"]);
    // Neither the clock nor the files' times are asked: nobody was here since.
    fixture.boot(ANOTHER_BOOT, LONG_AGO);
    assert_eq!(fixture.addresses(), [""; 0]);
    fixture.reserve("10.1.0.2", "d");
    assert_eq!(fixture.addresses(), ["10.1.0.2"]);
}

#[test]
fn what_the_peer_reserves_before_our_first_call_of_a_boot_stays() {
    let fixture = Fixture::new();
    fixture.peer_reserves("10.1.0.2", "a");
    assert_eq!(fixture.addresses(), ["10.1.0.2"], "a folder that was never ours");
    fixture.boot(ANOTHER_BOOT, LONG_AGO);
    fixture.peer_reserves("10.1.0.3", "b");
    // The first one may be freed or not; the second one is of this boot.
    assert_eq!(fixture.find("b"), ["10.1.0.3"]);
}

#[test]
fn where_the_peer_was_at_work_the_files_times_tell_the_boot() {
    for began in [LONG_AGO, MUCH_LATER] {
        let fixture = Fixture::new();
        fixture.peer_reserves("10.1.0.2", "a");
        fixture.boot(A_BOOT, began);
        let of_this_boot = ["10.1.0.2"];
        let expected = if began == LONG_AGO { &of_this_boot[..] } else { &[] };
        assert_eq!(fixture.addresses(), expected, "a boot that began at {began}");
    }
}

#[test]
fn a_clock_that_jumps_frees_nothing_of_this_boot() {
    let fixture = Fixture::new();
    fixture.reserve("10.1.0.2", "a");
    fixture.boot(A_BOOT, MUCH_LATER);
    assert_eq!(fixture.addresses(), ["10.1.0.2"]);
    fixture.peer_reserves("10.1.0.3", "b");
    assert_eq!(fixture.addresses(), ["10.1.0.2", "10.1.0.3"]);
}

#[test]
fn the_folders_time_is_a_whole_second_of_the_past() {
    let fixture = Fixture::new();
    fixture.reserve("10.1.0.2", "a");
    let modified = fs::metadata(fixture.path("")).unwrap().modified().unwrap();
    assert_eq!(modified.duration_since(UNIX_EPOCH).unwrap().subsec_nanos(), 0);
    assert!(modified + Duration::from_secs(1) <= SystemTime::now());
}
