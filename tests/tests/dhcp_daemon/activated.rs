//! The ways in which a daemon is started on a node.

use std::fs;
use std::process::Command;

use linkspan_tests::cases;
use linkspan_tests::daemon::{Daemon, Signal};
use linkspan_tests::dhcp_daemon::DhcpDaemon;
use linkspan_tests::harness::{Case, Need};

use crate::BOUND;

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root, Need::Tool("python3")];
        a_socket_of_systemd_s_is_taken_over_and_left,
        a_command_line_of_the_reference_s_starts_it,
        who_is_not_root_is_told_nothing,
    ]
}

/// Listens at the path in `SOCKET` as systemd does, and becomes the daemon.
const SYSTEMD: &str = "\
import os, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(os.environ['SOCKET'])
listener.listen()
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1')
os.execv(sys.argv[1], sys.argv[1:])
";

fn a_socket_of_systemd_s_is_taken_over_and_left() {
    let mut daemon = DhcpDaemon::start(&[]);
    daemon.end();
    let socket = format!("SOCKET={}", daemon.socket().display());
    daemon.resume(&["env", &socket, "python3", "-c", SYSTEMD]);
    assert!(daemon.leases().is_empty());
    daemon.end();
    assert!(daemon.socket().exists(), "it is systemd's");
}

fn a_command_line_of_the_reference_s_starts_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (pid, socket, leases) = (file("pid"), file("run/dhcp.sock"), file("leases"));
    // Left by one that was killed.
    fs::create_dir(folder.path().join("run")).unwrap();
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let arguments = ["daemon", "-pidfile", &pid, "-socketpath", &socket, "-timeout=10s"];
    let mut daemon =
        Daemon::start("linkspan-dhcp", &[&arguments[..], &["--lease-dir", &leases]].concat());
    linkspan_tests::wait::until("it to be asked", BOUND, || {
        std::os::unix::net::UnixStream::connect(&socket).ok()
    });
    assert_eq!(fs::read_to_string(&pid).unwrap(), daemon.id().to_string());
    assert!(daemon.log().contains("--timeout mean nothing here"), "{}", daemon.log());
    daemon.signal(Signal::TERM);
    assert!(daemon.wait(BOUND).success());
    assert!(!fs::exists(&pid).unwrap() && !fs::exists(&socket).unwrap());
}

/// Asks for all leases, and prints how much is answered.
const ASK: &str = "\
import os, socket, sys
if len(sys.argv) > 2:
    os.setuid(int(sys.argv[2]))
stream = socket.socket(socket.AF_UNIX)
stream.connect(sys.argv[1])
try:
    stream.sendall(b'\\x02\\x2a\\x00')
    print(len(stream.recv(10)))
except (BrokenPipeError, ConnectionResetError):
    print(0)
";

fn who_is_not_root_is_told_nothing() {
    use std::os::unix::fs::PermissionsExt as _;

    let mut daemon = DhcpDaemon::start(&[]);
    let socket = daemon.socket();
    let mode = fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // As though somebody had opened it to all.
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o666)).unwrap();
    fs::set_permissions(socket.parent().unwrap(), fs::Permissions::from_mode(0o755)).unwrap();
    let ask = |user: &[&str]| {
        let output =
            Command::new("python3").args(["-c", ASK]).arg(&socket).args(user).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(ask(&[]), "1\n");
    assert_eq!(ask(&["65534"]), "0\n");
    let log = daemon.process().log();
    assert!(log.contains("a process of user 65534 asked"), "{log}");
}
