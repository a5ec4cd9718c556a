//! A device plugin as far as it is asked: by the CNI plugin what a pod holds, by the command line for all devices.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use linkspan_proto::devices::question::About;
use linkspan_proto::devices::{
    HeldDevicesReply, HeldDevicesRequest, InventoryReply, Question, SOCKET,
};
use linkspan_proto::framing::{self, FrameError};

/// Answers as long as it lives.
pub struct Devices {
    socket: PathBuf,
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
        Self::listen(SOCKET.into(), move |stream, about| {
            let About::HeldDevices(request) = about else { panic!("{about:?}") };
            framing::write(stream, &answer(request))
        })
    }

    /// Tells this of all devices, in a folder that is `/run/linkspan` for who asks.
    #[must_use]
    pub fn tell(folder: &Path, inventory: InventoryReply) -> Self {
        Self::listen(folder.join("devices.sock"), move |stream, about| {
            let About::Inventory(_) = about else { panic!("{about:?}") };
            framing::write(stream, &inventory)
        })
    }

    fn listen(
        socket: PathBuf,
        answer: impl Fn(&mut UnixStream, About) -> Result<(), FrameError> + Send + 'static,
    ) -> Self {
        fs::create_dir_all(socket.parent().unwrap()).unwrap();
        // What a killed test has left.
        let _ = fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket).unwrap();
        fs::set_permissions(&socket, fs::Permissions::from_mode(0o600)).unwrap();
        let server = std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                // One that connects and says nothing wants the end.
                let Ok(question) = framing::read::<Question>(&mut stream) else { return };
                answer(&mut stream, question.about.unwrap()).unwrap();
            }
        });
        Self { socket, server: Some(server) }
    }
}

impl Drop for Devices {
    fn drop(&mut self) {
        drop(UnixStream::connect(&self.socket));
        let ended = self.server.take().map(JoinHandle::join);
        let _ = fs::remove_file(&self.socket);
        if !std::thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}
