//! A device plugin as far as the CNI plugin asks it: what a pod holds. It answers on the socket of the real one.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread::JoinHandle;

use linkspan_proto::devices::question::About;
use linkspan_proto::devices::{HeldDevicesReply, HeldDevicesRequest, Question, SOCKET};
use linkspan_proto::framing;

/// Answers as long as it lives.
pub struct Devices {
    server: Option<JoinHandle<()>>,
}

impl Devices {
    /// Answers every request like this.
    ///
    /// # Panics
    ///
    /// If a device plugin runs on this machine.
    #[must_use]
    pub fn serve(answer: impl Fn(HeldDevicesRequest) -> HeldDevicesReply + Send + 'static) -> Self {
        assert!(UnixStream::connect(SOCKET).is_err(), "a device plugin runs here: {SOCKET}");
        fs::create_dir_all(Path::new(SOCKET).parent().unwrap()).unwrap();
        // What a killed test has left.
        let _ = fs::remove_file(SOCKET);
        let listener = UnixListener::bind(SOCKET).unwrap();
        fs::set_permissions(SOCKET, fs::Permissions::from_mode(0o600)).unwrap();
        let server = std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                // One that connects and says nothing wants the end.
                let Ok(question) = framing::read::<Question>(&mut stream) else { return };
                let Some(About::HeldDevices(request)) = question.about else { panic!() };
                framing::write(&mut stream, &answer(request)).unwrap();
            }
        });
        Self { server: Some(server) }
    }
}

impl Drop for Devices {
    fn drop(&mut self) {
        drop(UnixStream::connect(SOCKET));
        let ended = self.server.take().map(JoinHandle::join);
        let _ = fs::remove_file(SOCKET);
        if !std::thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}
