//! Reservations in a directory of their own: who gets what, when two come at once, and what a
//! killed program leaves.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use linkspan_config::net_conf::{IpamConf, NetConf, RuntimeInputs};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::spec::CniError;

/// A store in a directory that goes with the value, and a configuration that names it.
struct Fixture {
    conf: HostLocalConf,
    network: NetworkName,
    _dir: TempDir,
}

impl Fixture {
    fn new(ipam: Value) -> Self {
        Self::with_ips(ipam, &[])
    }

    /// With these addresses asked for.
    fn with_ips(mut ipam: Value, ips: &[&str]) -> Self {
        let dir = TempDir::new().unwrap();
        ipam["type"] = json!("host-local");
        ipam["dataDir"] = json!(dir.path().join("networks"));
        Self { conf: parse(&ipam, ips), network: "fast".parse().unwrap(), _dir: dir }
    }

    /// The same store, with other addresses asked for.
    fn ask_for(&mut self, subnet: &str, ips: &[&str]) {
        let data_dir = self.conf.data_dir.clone();
        let ipam = json!({"type": "host-local", "subnet": subnet, "dataDir": data_dir});
        self.conf = parse(&ipam, ips);
    }

    fn reserve(&self, container: &str) -> Result<Vec<String>, CniError> {
        let result = reserve(&self.conf, &self.network, &owner(container))?;
        Ok(result.ips.iter().map(|ip| ip.address.addr().to_string()).collect())
    }

    fn release(&self, container: &str) {
        release(&self.conf.data_dir, &self.network, &owner(container)).unwrap();
    }

    fn find(&self, container: &str) -> Vec<String> {
        let found = find(&self.conf.data_dir, &self.network, &owner(container)).unwrap();
        found.iter().map(ToString::to_string).collect()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.conf.data_dir.join("fast").join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path("")).unwrap();
        fs::write(self.path(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// The addresses that have a file, sorted.
    fn addresses(&self) -> Vec<String> {
        let mut names = self.files();
        names.retain(|name| name.parse::<IpAddr>().is_ok());
        names
    }

    /// The names of all files, sorted.
    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("")).unwrap();
        let mut names: Vec<String> =
            entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn parse(ipam: &Value, ips: &[&str]) -> HostLocalConf {
    let conf = json!({
        "name": "fast", "type": "sriov", "deviceID": "0000:3b:02.1", "ipam": ipam,
        "runtimeConfig": {"ips": ips},
    });
    let conf = serde_json::from_value(conf).unwrap();
    match NetConf::parse(&conf, &RuntimeInputs::default(), None).unwrap().ipam {
        IpamConf::HostLocal(conf) => conf,
        _ => unreachable!("the configuration has host-local"),
    }
}

fn owner(container: &str) -> AttachmentId {
    AttachmentId { container_id: container.parse().unwrap(), if_name: "net1".parse().unwrap() }
}

#[test]
fn the_files_are_the_reference_plugins() {
    let fixture = Fixture::new(json!({
        "ranges": [[{"subnet": "10.1.2.0/24"}], [{"subnet": "fd00:0:0:1::/64"}]],
    }));
    assert_eq!(fixture.reserve("abc").unwrap(), ["10.1.2.2", "fd00:0:0:1::2"]);
    let files = [
        ".linkspan-index",
        "10.1.2.2",
        "fd00:0:0:1::2",
        "last_reserved_ip.0",
        "last_reserved_ip.1",
        "lock",
    ];
    assert_eq!(fixture.files(), files);
    assert_eq!(fixture.read("10.1.2.2"), "abc\r\nnet1");
    assert_eq!(fixture.read("fd00:0:0:1::2"), "abc\r\nnet1");
    assert_eq!(fixture.read("last_reserved_ip.0"), "10.1.2.2");
    assert_eq!(fixture.read("last_reserved_ip.1"), "fd00:0:0:1::2");
    let mode = |name: &str| fs::metadata(fixture.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("10.1.2.2"), mode("last_reserved_ip.0")), (0o600, 0o600));
    assert_eq!(mode(""), 0o755);

    fixture.release("abc");
    let files = [".linkspan-index", "last_reserved_ip.0", "last_reserved_ip.1", "lock"];
    assert_eq!(fixture.files(), files);
}

#[test]
fn the_result_has_prefix_gateway_routes_and_dns() {
    let resolv_conf = tempfile::NamedTempFile::new().unwrap();
    fs::write(resolv_conf.path(), "nameserver 10.1.2.1\n").unwrap();
    let fixture = Fixture::new(json!({
        "subnet": "10.1.2.0/24", "gateway": "10.1.2.254", "routes": [{"dst": "0.0.0.0/0"}],
        "resolvConf": resolv_conf.path(),
    }));
    let result = reserve(&fixture.conf, &fixture.network, &owner("abc")).unwrap();
    let shape = json!({
        "cniVersion": "1.0.0",
        "ips": [{"address": "10.1.2.1/24", "gateway": "10.1.2.254"}],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dns": {"nameservers": ["10.1.2.1"]},
    });
    assert_eq!(result.to_json(crate::spec::Version::V1_0_0), shape);
}

#[test]
fn an_address_that_was_given_back_rests() {
    let fixture = Fixture::new(json!({"subnet": "10.1.2.0/29"}));
    assert_eq!(fixture.reserve("a").unwrap(), ["10.1.2.2"]);
    fixture.release("a");
    assert_eq!(fixture.reserve("b").unwrap(), ["10.1.2.3"]);
    fixture.write("last_reserved_ip.0", "10.1.2.6");
    assert_eq!(fixture.reserve("c").unwrap(), ["10.1.2.2"]);
    fixture.write("last_reserved_ip.0", "an address of no range");
    assert_eq!(fixture.reserve("d").unwrap(), ["10.1.2.4"]);
    assert_eq!(fixture.read("last_reserved_ip.0"), "10.1.2.4");
}

#[test]
fn gateways_of_any_range_are_never_given() {
    let fixture = Fixture::new(json!({"ranges": [[
        {"subnet": "10.1.2.0/29", "rangeEnd": "10.1.2.3", "gateway": "10.1.2.2"},
        {"subnet": "10.1.2.0/29", "rangeStart": "10.1.2.4", "gateway": "10.1.2.1"},
    ]]}));
    let given: Vec<_> = ["a", "b", "c", "d"].map(|c| fixture.reserve(c).unwrap()).concat();
    assert_eq!(given, ["10.1.2.3", "10.1.2.4", "10.1.2.5", "10.1.2.6"]);
    assert!(fixture.reserve("e").is_err());
}

#[test]
fn an_exhausted_range_is_named_and_leaves_nothing() {
    let fixture = Fixture::new(json!({
        "ranges": [[{"subnet": "fd00::/64"}], [{"subnet": "10.1.2.0/30"}]],
    }));
    assert_eq!(fixture.reserve("a").unwrap(), ["fd00::2", "10.1.2.2"]);
    let error = fixture.reserve("b").unwrap_err();
    assert_eq!(error.code.number(), 102);
    assert_eq!(
        error.msg,
        "network fast has no free address: all 1 of 10.1.2.1-10.1.2.2 are taken, expected one \
         that is free"
    );
    assert!(error.details.starts_with("Delete pods that use the network or widen `ipam.ranges`"));
    assert!(!fixture.path("fd00::3").exists(), "the other set's address was not given back");
    fixture.release("a");
    assert_eq!(fixture.reserve("b").unwrap(), ["fd00::4", "10.1.2.2"]);
}

#[test]
fn an_address_that_is_asked_for() {
    let mut fixture = Fixture::with_ips(json!({"subnet": "10.1.2.0/24"}), &["10.1.2.99/24"]);
    assert_eq!(fixture.reserve("a").unwrap(), ["10.1.2.99"]);
    assert_eq!(fixture.reserve("a").unwrap(), ["10.1.2.99"], "it is the owner's own");
    assert!(!fixture.path("last_reserved_ip.0").exists(), "the round robin goes its own way");
    let error = fixture.reserve("b").unwrap_err();
    assert_eq!(error.code.number(), 104);
    assert_eq!(
        error.msg,
        "10.1.2.99 of network fast is held by interface net1 of container a, expected a free \
         address"
    );
    let file = fixture.path("10.1.2.99");
    assert!(error.details.ends_with(&format!("remove {}", file.display())), "{}", error.details);

    fixture.write("10.1.2.98", "");
    fixture.ask_for("10.1.2.0/24", &["10.1.2.98"]);
    assert_eq!(fixture.reserve("b").unwrap(), ["10.1.2.98"], "the file named nobody");
    fixture.write("10.1.2.97", "old\n\u{1b}[31m");
    fixture.ask_for("10.1.2.0/24", &["10.1.2.97"]);
    let error = fixture.reserve("c").unwrap_err();
    assert!(error.msg.contains("is held by container old??[31m,"), "{}", error.msg);
}

#[test]
fn what_the_owner_has_is_returned_again() {
    let fixture = Fixture::new(json!({
        "ranges": [[{"subnet": "10.1.2.0/24"}], [{"subnet": "fd00::/64"}]],
    }));
    let first = fixture.reserve("a").unwrap();
    assert_eq!(fixture.reserve("a").unwrap(), first);
    assert_eq!(fixture.reserve("b").unwrap(), ["10.1.2.3", "fd00::3"]);
    // Only one of the two was reserved before its program was killed.
    fs::remove_file(fixture.path("fd00::2")).unwrap();
    assert_eq!(fixture.reserve("a").unwrap(), ["10.1.2.2", "fd00::4"]);
}

#[test]
fn release_frees_the_owners_and_nothing_else() {
    let fixture = Fixture::new(json!({"subnet": "10.1.2.0/24"}));
    fixture.release("a");
    assert!(!fixture.conf.data_dir.exists(), "a release makes no directory");
    for (name, text) in [
        ("10.1.2.2", "a\r\nnet1"),
        ("10.1.2.3", "a\r\nnet1\r\n"),
        ("10.1.2.4", "a\r\nnet2"),
        ("10.1.2.5", "ab\r\nnet1"),
        ("10.1.2.6", "a"),
        ("10.1.2.7", ""),
    ] {
        fixture.write(name, text);
    }
    fixture.release("a");
    assert_eq!(fixture.addresses(), ["10.1.2.4", "10.1.2.5", "10.1.2.6"]);
    // Now that nothing names container and interface, the old form of the file counts.
    fixture.release("a");
    assert_eq!(fixture.addresses(), ["10.1.2.4", "10.1.2.5"]);
    fixture.release("a");
}

#[test]
fn find_tells_what_an_owner_has() {
    let fixture = Fixture::new(json!({
        "ranges": [[{"subnet": "10.1.2.0/24"}], [{"subnet": "fd00::/64"}]],
    }));
    assert_eq!(fixture.find("a"), [""; 0]);
    assert!(!fixture.conf.data_dir.exists(), "finding makes no directory");
    for container in ["a", "b"] {
        let reserved = fixture.reserve(container).unwrap();
        assert_eq!(fixture.find(container), reserved);
    }
    fixture.write("10.1.2.9", "old");
    assert_eq!(fixture.find("old"), ["10.1.2.9"]);
    fixture.release("a");
    assert_eq!(fixture.find("a"), [""; 0]);
}

#[test]
fn a_reservation_without_an_interface_is_given_to_none() {
    let fixture = Fixture::new(json!({"subnet": "10.1.2.0/24"}));
    fixture.write("10.1.2.9", "old");
    assert_eq!(fixture.reserve("old").unwrap(), ["10.1.2.2"], "which interface has the other?");
    fixture.release("old");
    fixture.release("old");
    assert_eq!(fixture.addresses(), [""; 0]);
}

#[test]
fn retain_frees_what_no_valid_attachment_has() {
    let fixture = Fixture::new(json!({"subnet": "10.1.2.0/24"}));
    let retain =
        |valid: &[AttachmentId]| retain(&fixture.conf.data_dir, &fixture.network, valid).unwrap();
    assert_eq!(retain(&[]), []);
    for (name, text) in [
        ("10.1.2.2", "a\r\nnet1"),
        ("10.1.2.3", "a\r\nnet2"),
        ("10.1.2.4", "a"),
        ("10.1.2.5", "b\r\nnet1"),
        ("10.1.2.6", ""),
        ("notes.txt", "b"),
    ] {
        fixture.write(name, text);
    }
    let mut freed: Vec<_> = retain(&[owner("a")]).iter().map(ToString::to_string).collect();
    freed.sort();
    assert_eq!(
        freed,
        [
            "the reservation of 10.1.2.3 by interface net2 of container a",
            "the reservation of 10.1.2.5 by interface net1 of container b",
        ]
    );
    assert_eq!(fixture.addresses(), ["10.1.2.2", "10.1.2.4"]);
    assert_eq!(fixture.read("notes.txt"), "b");
}

#[test]
fn a_set_without_a_free_address_is_exhausted() {
    let fixture = Fixture::new(json!({"ranges": [
        [{"subnet": "fd00::/64"}],
        [{"subnet": "10.1.2.0/29", "rangeEnd": "10.1.2.5", "exclude": ["10.1.2.3"]}],
    ]}));
    let is_exhausted = || is_exhausted(&fixture.conf, &fixture.network).unwrap();
    assert!(!is_exhausted() && !fixture.conf.data_dir.exists(), "asking makes no directory");
    for (container, last) in [("a", false), ("b", false), ("c", true)] {
        fixture.reserve(container).unwrap();
        assert_eq!(is_exhausted(), last, "after {container}");
    }
    assert!(!fixture.path("10.1.2.3").exists(), "an excluded address was given");
    assert!(fixture.reserve("d").unwrap_err().msg.contains("all 3 of 10.1.2.1-10.1.2.5 are taken"));
    fixture.write("10.1.2.4", "");
    assert!(!is_exhausted(), "nobody has the empty file's address");
}

#[test]
fn an_empty_file_of_a_killed_program_is_nobodys() {
    let fixture = Fixture::new(json!({"subnet": "10.1.2.0/29", "rangeEnd": "10.1.2.4"}));
    for text in ["", "\r\n", "\0\0\0\0\0\0\0\0"] {
        fixture.write("10.1.2.2", text);
        assert_eq!(fixture.find("x"), [""; 0]);
        assert_eq!(fixture.addresses(), [""; 0], "{text:?} has the address");
    }
    // Half of an ID may be all of another one.
    fixture.write("10.1.2.2", "ab");
    assert_eq!(fixture.reserve("abc").unwrap(), ["10.1.2.3"]);
    assert_eq!(fixture.find("ab"), ["10.1.2.2"]);
}

#[test]
fn drafts_of_a_killed_program_do_no_harm() {
    let fixture = Fixture::new(json!({"subnet": "10.1.2.0/24"}));
    fixture.reserve("a").unwrap();
    // Killed after the draft became the reservation, and before the draft was removed.
    fs::hard_link(fixture.path("10.1.2.2"), fixture.path(".linkspan-draft")).unwrap();
    assert_eq!(fixture.reserve("b").unwrap(), ["10.1.2.3"]);
    assert_eq!(fixture.read("10.1.2.2"), "a\r\nnet1", "the first reservation was written over");
    let files = [".linkspan-index", "10.1.2.2", "10.1.2.3", "last_reserved_ip.0", "lock"];
    assert_eq!(fixture.files(), files);
}

#[test]
fn eight_at_once_never_get_the_same() {
    const THREADS: usize = 8;
    const EACH: usize = 50;
    let fixture = Fixture::new(json!({"ranges": [[{"subnet": "10.1.0.0/22"}]]}));
    let run = |thread: usize| {
        let mut given = Vec::new();
        for n in 0..EACH {
            let container = format!("c{thread}-{n}");
            given.extend(fixture.reserve(&container).unwrap());
            // Every fifth goes at once, so that releases run among the reservations.
            if n % 5 == 0 {
                fixture.release(&container);
                given.pop();
            }
        }
        given
    };
    let given: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|t| scope.spawn(move || run(t))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let distinct: HashSet<&String> = given.iter().collect();
    assert_eq!(distinct.len(), THREADS * EACH * 4 / 5);
    assert_eq!(given.len(), distinct.len());
    assert_eq!(fixture.addresses().len(), distinct.len());
}

#[test]
fn what_stands_in_the_way_is_named() {
    let fixture = Fixture::new(json!({"subnet": "10.1.2.0/24"}));
    fs::write(&fixture.conf.data_dir, "").unwrap();
    let error = fixture.reserve("a").unwrap_err();
    assert_eq!(error.code.number(), 5);
    let dir = fixture.path("");
    let dir = dir.to_str().unwrap().trim_end_matches('/');
    assert_eq!(error.msg, format!("cannot create {dir}: Not a directory (os error 20)"));
    assert_eq!(error.details, "See that `ipam.dataDir` can be written on this node");
}
