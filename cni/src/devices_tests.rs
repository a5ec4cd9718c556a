//! A device plugin of one answer: what comes of it, and of none.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;

use linkspan_proto::framing;
use tempfile::TempDir;

use super::*;

const POD: &str = "K8S_POD_NAMESPACE=ns;K8S_POD_NAME=p;K8S_POD_UID=1-2";

fn reply(devices: &[&str]) -> HeldDevicesReply {
    let devices = devices.iter().map(|&device| device.to_owned()).collect();
    let offered = vec!["linkspan.dev/slow".to_owned(), "linkspan.dev/wide".to_owned()];
    HeldDevicesReply { error: String::new(), pod_is_known: true, devices, offered }
}

/// Asks a device plugin that gives this reply, and returns what it was asked, too.
fn ask_one(
    reply: &HeldDevicesReply,
    is_held: impl Fn(&str) -> bool,
) -> (HeldDevicesRequest, Result<String, CniError>) {
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("devices.sock");
    let listener = bind(&socket, 0o600);
    std::thread::scope(|scope| {
        let asked = scope.spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            let question: Question = framing::read(&mut stream).unwrap();
            framing::write(&mut stream, reply).unwrap();
            let Some(About::HeldDevices(asked)) = question.about else { panic!("{question:?}") };
            asked
        });
        let device = device_at(&socket, POD, is_held);
        (asked.join().unwrap(), device)
    })
}

fn bind(socket: &Path, mode: u32) -> UnixListener {
    let listener = UnixListener::bind(socket).unwrap();
    fs::set_permissions(socket, fs::Permissions::from_mode(mode)).unwrap();
    listener
}

fn device_at(
    socket: &Path,
    args: &str,
    is_held: impl Fn(&str) -> bool,
) -> Result<String, CniError> {
    let resource = "linkspan.dev/fast".parse().unwrap();
    Ok(device_of(socket, &CniArgs::parse(args).unwrap(), &resource, is_held)?)
}

#[test]
fn the_first_device_that_is_not_held_is_given() {
    let both = reply(&["0000:3b:02.1", "0000:3b:02.2"]);
    let (asked, device) = ask_one(&both, |_| false);
    let expected = HeldDevicesRequest {
        pod_namespace: "ns".to_owned(),
        pod_name: "p".to_owned(),
        pod_uid: "1-2".to_owned(),
        resource: "linkspan.dev/fast".to_owned(),
    };
    assert_eq!((asked, device), (expected, Ok("0000:3b:02.1".to_owned())));
    let (_, device) = ask_one(&both, |device| device == "0000:3b:02.1");
    assert_eq!(device, Ok("0000:3b:02.2".to_owned()));
}

#[test]
fn a_reply_without_a_device_says_what_is_missing() {
    let refused = |reply: HeldDevicesReply| {
        let CniError { code, msg, details } = ask_one(&reply, |_| true).1.unwrap_err();
        (code, msg, details)
    };
    let limits = "Ask for it in the limits of one of the pod's containers: `linkspan.dev/fast: 1`";
    let elsewhere = "Set `resourceName` to one that the node offers, or add a pool of this name to the device \
                     plugin's configuration, and ask for it in the limits of one of the pod's containers: \
                     `linkspan.dev/fast: 1`";
    assert_eq!(
        refused(reply(&[])),
        (
            Code::NoSuchDevice,
            "pod ns/p holds no linkspan.dev/fast, expected one; this node offers linkspan.dev/slow, \
             linkspan.dev/wide"
                .to_owned(),
            elsewhere.to_owned()
        )
    );
    let offered = vec!["linkspan.dev/fast".to_owned()];
    assert_eq!(
        refused(HeldDevicesReply { pod_is_known: false, offered, ..reply(&[]) }),
        (
            Code::NoSuchDevice,
            "the kubelet has given no device to pod ns/p, expected a linkspan.dev/fast; this node offers \
             linkspan.dev/fast"
                .to_owned(),
            limits.to_owned()
        )
    );
    let (code, msg, _) = refused(reply(&["a", "b"]));
    assert_eq!(code, Code::DeviceHeld);
    assert_eq!(
        msg,
        "all linkspan.dev/fast of pod ns/p (a, b) are its other interfaces already, expected one more"
    );
    let error = "the kubelet's socket is missing".to_owned();
    let (code, msg, _) = refused(HeldDevicesReply { error, ..reply(&["a"]) });
    assert_eq!(code, Code::TryAgain);
    assert_eq!(
        msg,
        "the device plugin can't tell what the pod holds: the kubelet's socket is missing"
    );
}

#[test]
fn many_names_are_not_all_shown() {
    let names: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    assert_eq!(listed(&names), "0, 1, 2, 3, 4, 5, 6, 7 and 12 more");
    assert_eq!(listed(&names[..8]), "0, 1, 2, 3, 4, 5, 6, 7");
    assert_eq!(listed(&[]), "nothing");
}

#[test]
fn a_pod_that_is_not_told_is_named() {
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("devices.sock");
    let error = device_at(&socket, "K8S_POD_NAME=p", |_| false).unwrap_err();
    assert_eq!(error.code, Code::InvalidEnvironment);
    assert_eq!(
        error.msg,
        "CNI_ARGS has no K8S_POD_NAMESPACE, K8S_POD_UID, by which the device plugin knows the pod's \
         linkspan.dev/fast"
    );
}

#[test]
fn a_socket_without_a_device_plugin_is_told() {
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("devices.sock");
    let refused = || device_at(&socket, POD, |_| false).unwrap_err();
    let missing = refused();
    assert_eq!(missing.code, Code::TryAgain);
    assert_eq!(
        missing.msg,
        format!(
            "the device plugin does not listen on {}: No such file or directory (os error 2)",
            socket.display()
        )
    );
    drop(bind(&socket, 0o600));
    assert!(refused().msg.ends_with("Connection refused (os error 111)"));
    fs::remove_file(&socket).unwrap();

    // It listens, and hangs up at once.
    let listener = bind(&socket, 0o600);
    let error = std::thread::scope(|scope| {
        scope.spawn(move || drop(listener.accept()));
        refused()
    });
    assert!(error.msg.starts_with("the device plugin gave no answer on "), "{error:?}");
}

#[test]
fn a_socket_that_others_can_write_to_is_not_trusted() {
    let folder = TempDir::new().unwrap();
    let [writable, sound, link] =
        ["writable", "sound", "link"].map(|name| folder.path().join(name));
    let _listeners = [bind(&writable, 0o666), bind(&sound, 0o600)];
    std::os::unix::fs::symlink(&sound, &link).unwrap();
    for path in [&writable, &link, &folder.path().to_owned()] {
        let error = device_at(path, POD, |_| false).unwrap_err();
        let expected = format!("{} is not a socket that only root can write to", path.display());
        assert_eq!((error.code, error.msg), (Code::Io, expected));
    }
}
