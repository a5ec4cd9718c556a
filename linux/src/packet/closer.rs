//! A thread for what takes the kernel long: to close a packet socket it waits for an RCU grace period, 6 to 20 ms
//! (`packet_release` in `net/packet/af_packet.c`).

use std::io;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Sender, channel};
use std::thread;

/// Closes sockets while others work. The thread ends with the last clone.
#[derive(Clone, Debug)]
pub struct Closer(Sender<OwnedFd>);

/// More than the thread needs.
const STACK: usize = 64 << 10;

impl Closer {
    /// Starts the thread.
    pub fn start() -> io::Result<Self> {
        let (sender, sockets) = channel::<OwnedFd>();
        let close = move || sockets.into_iter().for_each(drop);
        thread::Builder::new().name("closer".to_owned()).stack_size(STACK).spawn(close)?;
        Ok(Self(sender))
    }

    pub(super) fn close(&self, socket: OwnedFd) {
        // Where there is no thread any more, it is closed here.
        let _ = self.0.send(socket);
    }
}
