//! `linkspan install` and `linkspan uninstall` in real folders of plugins: what stands there at any moment, and that
//! all comes back, whoever is killed in between.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use linkspan_tests::killed::{At, before, calls};
use linkspan_tests::program::program;
use linkspan_tests::wait::until;
use tempfile::TempDir;

/// A node's folder of plugins, and the plugin of two releases to come, each with the command line beside it.
struct Node {
    folder: TempDir,
    linkspan: PathBuf,
    next: PathBuf,
}

static PLUGIN: LazyLock<Vec<u8>> = LazyLock::new(|| stripped("linkspan"));
static COMMAND_LINE: LazyLock<Vec<u8>> = LazyLock::new(|| stripped("linkspan-ctl"));

/// A program without what debuggers ask for, which is most of it, and would be written thousands of times.
fn stripped(name: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let small = folder.path().join(name);
    let mut strip = Command::new("strip");
    let status = strip.arg("-o").arg(&small).arg(program(name)).status().unwrap();
    assert!(status.success());
    fs::read(&small).unwrap()
}

const PEER: &[u8] = b"the peer's macvlan";

impl Node {
    /// With a peer's plugin, one by a symbolic link, and one that nobody asks for.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bin = folder.path().join("bin");
        fs::create_dir(&bin).unwrap();
        for name in ["macvlan", "bridge"] {
            fs::write(bin.join(name), PEER).unwrap();
            fs::set_permissions(bin.join(name), Permissions::from_mode(0o750)).unwrap();
        }
        symlink("bridge", bin.join("sriov")).unwrap();
        // Bytes after the end of a program are nothing to the system.
        let write = |release: &str, end: &[u8]| {
            let folder = folder.path().join(release);
            fs::create_dir(&folder).unwrap();
            for (name, program) in [("linkspan", &PLUGIN), ("linkspan-ctl", &COMMAND_LINE)] {
                let path = folder.join(name);
                fs::write(&path, [program, end].concat()).unwrap();
                fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
            }
            folder.join("linkspan")
        };
        let (linkspan, next) = (write("this", b""), write("next", b"another version"));
        Self { folder, linkspan, next }
    }

    fn bin(&self) -> PathBuf {
        self.folder.path().join("bin")
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.bin().join(name)).unwrap()
    }

    /// The arguments that install under its own name and these.
    fn install(&self, names: &str) -> Vec<String> {
        let mut words = vec!["install".to_owned(), "--into".to_owned()];
        words.push(self.bin().to_str().unwrap().to_owned());
        if !names.is_empty() {
            words.extend(["--as".to_owned(), names.to_owned()]);
        }
        words
    }

    fn uninstall(&self) -> Vec<String> {
        // Other tests have attachments meanwhile.
        ["uninstall", "--force", "--from", self.bin().to_str().unwrap()].map(str::to_owned).into()
    }

    /// All that is in the folder: whose file it is, with which bytes, and may do what.
    fn shown(&self) -> BTreeMap<PathBuf, (u64, u32, Vec<u8>)> {
        let mut shown = BTreeMap::new();
        let mut folders = vec![self.bin()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let about = path.symlink_metadata().unwrap();
                if about.is_dir() {
                    folders.push(path.clone());
                }
                let bytes = if about.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
                shown.insert(path, (about.ino(), about.mode(), bytes));
            }
        }
        shown
    }
}

fn run(program: &Path, arguments: &[String]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn strace(program: &Path, strace: &[String], arguments: &[String]) -> Output {
    Command::new(&strace[0]).args(&strace[1..]).arg(program).args(arguments).output().unwrap()
}

#[test]
fn an_install_is_undone_by_uninstall() {
    let node = Node::new();
    let before = node.shown();
    let said = run(&node.linkspan, &node.install("macvlan,sriov,dhcp"));
    let lines = ["linkspan: installed\n", "dhcp: installed\n", "macvlan: installed, and what was"];
    for line in lines.into_iter().chain(["linkspan-ctl: installed\n"]) {
        assert!(said.contains(line), "{said}");
    }
    assert!(node.read("linkspan-ctl") == *COMMAND_LINE);
    for name in ["linkspan", "macvlan", "sriov", "dhcp"] {
        assert!(node.read(name) == *PLUGIN, "{name}");
        let about = node.bin().join(name).symlink_metadata().unwrap();
        assert!(about.is_file() && about.mode() & 0o7777 == 0o755, "{name}");
    }
    assert_eq!(node.read("bridge"), PEER);
    // The installed program can take itself away.
    let said = run(&node.bin().join("linkspan"), &node.uninstall());
    assert!(said.contains("macvlan: is again what it was before\n"), "{said}");
    assert_eq!(summary(&node.shown()), summary(&before));
    let said = run(&node.linkspan, &node.uninstall());
    assert!(said.contains("nothing is installed"), "{said}");
    assert_eq!(summary(&node.shown()), summary(&before));
}

#[test]
fn no_name_is_taken_that_was_not_asked_for() {
    let node = Node::new();
    let mut before = node.shown();
    run(&node.linkspan, &node.install(""));
    let mut after = node.shown();
    after.retain(|path, _| !path.starts_with(node.bin().join(".linkspan")));
    for name in ["linkspan", "linkspan-ctl"] {
        assert!(after.remove(&node.bin().join(name)).is_some());
    }
    assert_eq!(after, before);
    let refused = Command::new(&node.linkspan).args(node.install("bridge")).output().unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("macvlan"), "{refused:?}");
    before.retain(|path, _| path.ends_with("bridge"));
    assert!(before.iter().all(|(path, file)| node.shown()[path] == *file));
}

#[test]
fn a_second_install_changes_nothing() {
    let node = Node::new();
    run(&node.linkspan, &node.install("macvlan"));
    let before = node.shown();
    let said = run(&node.linkspan, &node.install("macvlan"));
    assert_eq!(said.matches("is up to date").count(), 3, "{said}");
    assert_eq!(summary(&node.shown()), summary(&before));
}

#[test]
fn another_version_takes_the_place_and_what_was_there_first_comes_back() {
    let node = Node::new();
    let before = node.shown();
    run(&node.linkspan, &node.install("macvlan,sriov"));
    let said = run(&node.next, &node.install("macvlan,sriov"));
    assert_eq!(said.matches(": updated").count(), 4, "{said}");
    assert!(node.read("macvlan") == fs::read(&node.next).unwrap());
    run(&node.linkspan, &node.uninstall());
    assert_eq!(summary(&node.shown()), summary(&before));
}

#[test]
fn a_name_that_is_not_asked_for_any_more_is_given_back() {
    let node = Node::new();
    run(&node.linkspan, &node.install("macvlan,dhcp"));
    run(&node.linkspan, &node.install(""));
    assert_eq!(node.read("macvlan"), PEER);
    assert!(!node.bin().join("dhcp").exists());
    assert!(node.bin().join("linkspan").exists());
}

/// The peer's own installer has brought a newer version: that is what is kept from then on.
#[test]
fn what_the_peer_installs_later_is_kept_too() {
    let node = Node::new();
    run(&node.linkspan, &node.install("macvlan"));
    // As `cp` does it, which writes into the file that is there.
    fs::write(node.bin().join("macvlan"), "a newer macvlan").unwrap();
    assert!(node.read("linkspan") == *PLUGIN);
    run(&node.linkspan, &node.install("macvlan"));
    assert!(node.read("macvlan") == *PLUGIN);
    run(&node.linkspan, &node.uninstall());
    assert_eq!(node.read("macvlan"), b"a newer macvlan");
}

#[test]
fn an_uninstall_leaves_what_the_peer_has_installed_since() {
    let node = Node::new();
    run(&node.linkspan, &node.install("macvlan"));
    fs::write(node.bin().join("macvlan"), "a newer macvlan").unwrap();
    let said = run(&node.linkspan, &node.uninstall());
    assert!(said.contains("macvlan: is somebody else's by now"), "{said}");
    assert_eq!(node.read("macvlan"), b"a newer macvlan");
    assert!(!node.bin().join(".linkspan").exists());
}

/// What is killed, what was done before, and with what the node is put right.
struct Sweep {
    first: Option<fn(&Node)>,
    killed: fn(&Node) -> (PathBuf, Vec<String>),
    /// What stands under the name macvlan at any moment: one of these.
    allowed: fn(&Node) -> Vec<Vec<u8>>,
}

impl Sweep {
    /// Kills at every system call there is, and each time uninstalls: at once, and after another install.
    fn run(&self) {
        let mut kills = 0;
        for again in [false, true] {
            for (name, numbers) in self.calls() {
                for n in numbers {
                    let node = Node::new();
                    let at_first = node.shown();
                    let place = format!("killed before {name} number {n}");
                    self.prepare(&node);
                    let (program, arguments) = (self.killed)(&node);
                    let output = strace(&program, &before(&name, n), &arguments);
                    kills += usize::from(output.status.signal() == Some(9));
                    self.assert_whole(&node, &place);
                    if again {
                        run(&node.next, &node.install("macvlan"));
                        for name in ["linkspan", "macvlan"] {
                            assert!(node.read(name) == fs::read(&node.next).unwrap(), "{place}");
                        }
                        assert!(node.read("linkspan-ctl") == command_lines(&node)[1], "{place}");
                    }
                    run(&node.linkspan, &node.uninstall());
                    assert_eq!(summary(&node.shown()), summary(&at_first), "{place}");
                }
            }
        }
        assert!(kills > 20, "killed {kills} times");
    }

    /// A program that somebody calls is there, and whole.
    fn assert_whole(&self, node: &Node, place: &str) {
        let allowed = (self.allowed)(node);
        assert!(allowed.contains(&node.read("macvlan")), "{place}: macvlan");
        assert!(anybody_s(node).contains(&node.read("sriov")), "{place}: sriov");
        for (name, whole) in [("linkspan", ours(node)), ("linkspan-ctl", command_lines(node))] {
            if node.bin().join(name).exists() {
                assert!(whole.contains(&node.read(name)), "{place}: {name}");
            }
        }
    }

    fn prepare(&self, node: &Node) {
        if let Some(first) = self.first {
            first(node);
        }
    }

    fn calls(&self) -> BTreeMap<String, Vec<usize>> {
        let node = Node::new();
        self.prepare(&node);
        let trace = node.folder.path().join("trace");
        let words = ["strace", "-qq", "-o", trace.to_str().unwrap()].map(str::to_owned);
        let (program, arguments) = (self.killed)(&node);
        let output = strace(&program, &words, &arguments);
        assert!(output.status.success(), "{output:?}");
        calls(&fs::read_to_string(trace).unwrap(), At::EveryChange)
    }
}

/// Without inode numbers of files that were copied, and with sizes for bytes: what a failure prints.
fn summary(shown: &BTreeMap<PathBuf, (u64, u32, Vec<u8>)>) -> Vec<(String, u64, u32, usize)> {
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    shown.iter().map(|(path, (ino, mode, bytes))| (name(path), *ino, *mode, bytes.len())).collect()
}

fn command_lines(node: &Node) -> Vec<Vec<u8>> {
    let next = fs::read(node.next.with_file_name("linkspan-ctl")).unwrap();
    vec![COMMAND_LINE.clone(), next]
}

fn ours(node: &Node) -> Vec<Vec<u8>> {
    vec![PLUGIN.clone(), fs::read(&node.next).unwrap()]
}

fn anybody_s(node: &Node) -> Vec<Vec<u8>> {
    let mut allowed = ours(node);
    allowed.push(PEER.to_vec());
    allowed
}

fn installed(node: &Node) {
    run(&node.linkspan, &node.install("macvlan,sriov"));
}

#[test]
fn an_install_killed_anywhere_is_finished_by_the_next_or_undone() {
    Sweep {
        first: None,
        killed: |node| (node.linkspan.clone(), node.install("macvlan")),
        allowed: anybody_s,
    }
    .run();
}

#[test]
fn an_update_killed_anywhere_is_finished_by_the_next_or_undone() {
    Sweep {
        first: Some(installed),
        // It gives sriov back, too.
        killed: |node| (node.next.clone(), node.install("macvlan")),
        allowed: ours,
    }
    .run();
}

#[test]
fn an_uninstall_killed_anywhere_is_finished_by_the_next_or_taken_back() {
    Sweep {
        first: Some(installed),
        killed: |node| (node.linkspan.clone(), node.uninstall()),
        allowed: anybody_s,
    }
    .run();
}

#[test]
fn many_at_once_leave_one_whole_install() {
    let node = Node::new();
    let before = node.shown();
    let start = |program: &Path| {
        Command::new(program).args(node.install("macvlan,dhcp")).stdout(Stdio::null()).spawn()
    };
    let started: Vec<Child> = (0..8)
        .map(|n| start(if n % 2 == 0 { &node.linkspan } else { &node.next }).unwrap())
        .collect();
    for mut child in started {
        assert!(child.wait().unwrap().success());
    }
    let last = node.read("linkspan");
    assert!(ours(&node).contains(&last));
    assert!(node.read("macvlan") == last && node.read("dhcp") == last);
    run(&node.linkspan, &node.uninstall());
    assert_eq!(summary(&node.shown()), summary(&before));
}

/// As the first process of a container, to which no signal comes that it has not asked for.
#[test]
fn a_daemon_set_s_install_stays_until_it_is_ended_and_leaves_the_program() {
    let node = Node::new();
    let mut words = node.install("");
    words.push("--stay".to_owned());
    let mut child = Command::new("unshare")
        .args(["--pid", "--fork", "--kill-child"])
        .arg(&node.linkspan)
        .args(words)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = [0; 64];
    let read = child.stdout.as_mut().unwrap().read(&mut said).unwrap();
    assert!(String::from_utf8_lossy(&said[..read]).contains("bin/linkspan"));
    let children = format!("/proc/{0}/task/{0}/children", child.id());
    let first = fs::read_to_string(children).unwrap();
    assert!(child.try_wait().unwrap().is_none(), "it stays");
    let killed = Command::new("kill").args(["-TERM", first.trim()]).status().unwrap();
    assert!(killed.success());
    let status = until("it ends", Duration::from_mins(1), || child.try_wait().unwrap());
    assert!(status.success(), "{status:?}");
    assert!(node.read("linkspan") == *PLUGIN);
}

/// Somebody has copied the plugin alone: it says what is missing, and a container runtime doesn't need it.
#[test]
fn a_plugin_without_its_command_line_says_what_is_missing() {
    let node = Node::new();
    fs::remove_file(node.linkspan.with_file_name("linkspan-ctl")).unwrap();
    let refused = Command::new(&node.linkspan).arg("status").output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success());
    assert!(said.contains("this/linkspan-ctl: No such file"), "{said}");
    assert!(said.contains("both programs of a release"), "{said}");
    let version = Command::new(&node.linkspan)
        .env("CNI_COMMAND", "VERSION")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&version.stdout).contains("1.1.0"), "{version:?}");
}

/// As config/deploy/uninstall runs it: without a capability, and the records of the node read only. Whoever starts it
/// again until the pods are gone gets to the end.
#[test]
fn a_daemon_set_s_uninstall_waits_for_the_pods_and_puts_all_back() {
    let node = Node::new();
    let before = node.shown();
    run(&node.linkspan, &node.install("macvlan"));
    let state = node.folder.path().join("state");
    let record = state.join("attachments/lan=c1=net1=claim");
    fs::create_dir_all(record.parent().unwrap()).unwrap();
    fs::write(&record, "{}").unwrap();
    let script = "mkdir -p /run/linkspan && mount --bind \"$1\" /run/linkspan && \
                  mount -o remount,bind,ro /run/linkspan && shift && \
                  exec setpriv --no-new-privs --bounding-set=-all --inh-caps=-all \"$@\"";
    let uninstall = || {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script, "sh"]);
        command.arg(&state).arg(&node.linkspan).args(["uninstall", "--stay", "--from"]);
        command.arg(node.bin()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let refused = uninstall().wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success(), "{refused:?}");
    assert!(said.contains("1 interfaces of pods are still there"), "{said}");
    assert!(node.read("macvlan") == *PLUGIN);

    fs::remove_file(record).unwrap();
    let mut child = uninstall();
    // It tells what it has done when all is done.
    child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    assert_eq!(summary(&node.shown()), summary(&before));
    assert!(child.try_wait().unwrap().is_none(), "it stays");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_folder_that_is_not_there_is_named_with_what_to_do() {
    let node = Node::new();
    let mut words = node.install("");
    words[2].push_str("/missing");
    let refused = Command::new(&node.linkspan).args(words).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success());
    assert!(said.contains("bin/missing: No such file") && said.contains("--into"), "{said}");
    assert!(said.contains("mkdir -p ") && said.trim_end().ends_with("bin/missing"), "{said}");
}
