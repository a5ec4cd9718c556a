//! LLDP: what switches say of themselves every half a minute or so, heard on several links at once.

use std::io;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::{PacketSocket, set_option};

const ETH_P_LLDP: u16 = 0x88cc;
/// "Nearest bridge" of IEEE 802.1AB: no switch passes it on.
const GROUP: [u8; 6] = [0x01, 0x80, 0xc2, 0, 0, 0x0e];
/// Larger than an announcement is on any link but one of jumbo frames, where the rest is cut off.
const LARGEST: usize = 1500;

// Of `linux/if_packet.h`.
const PACKET_ADD_MEMBERSHIP: i32 = 1;
const PACKET_MR_MULTICAST: u16 = 0;

/// `struct packet_mreq`.
#[repr(C)]
struct Membership {
    index: i32,
    kind: u16,
    length: u16,
    address: [u8; 8],
}

/// Listens to links of the calling thread's namespace until each was heard on once, or the time is over, and returns
/// what followed the Ethernet headers. A link that can't be listened to is one on which nothing is heard.
pub fn hear_lldp(links: &[u32], bound: Duration) -> io::Result<Vec<(u32, Vec<u8>)>> {
    let deadline = Instant::now() + bound;
    let open = |index: &u32| Some((*index, open(*index).ok()?));
    let mut waiting: Vec<(u32, PacketSocket)> = links.iter().filter_map(open).collect();
    let mut heard = Vec::new();
    loop {
        waiting.retain(|(index, socket)| {
            let mut room = [0; LARGEST];
            let Ok(received) = socket.receive(&mut room) else { return true };
            heard.push((*index, room[..received.length.min(LARGEST)].to_vec()));
            false
        });
        let left = deadline.saturating_duration_since(Instant::now());
        if waiting.is_empty() || left.is_zero() {
            return Ok(heard);
        }
        let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
        let mut all: Vec<_> =
            waiting.iter().map(|(_, socket)| PollFd::new(socket, PollFlags::IN)).collect();
        match poll(&mut all, Some(&timeout)) {
            Err(Errno::INTR) | Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn open(index: u32) -> io::Result<PacketSocket> {
    let socket = PacketSocket::open(index, ETH_P_LLDP, None)?;
    let mut address = [0; 8];
    address[..GROUP.len()].copy_from_slice(&GROUP);
    let index = socket.index;
    let member = Membership { index, kind: PACKET_MR_MULTICAST, length: 6, address };
    set_option(&socket, libc::SOL_PACKET, PACKET_ADD_MEMBERSHIP, &member)?;
    socket.listen()?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::process::Command;
    use std::sync::mpsc::{RecvTimeoutError, channel};
    use std::thread;

    use linkspan_types::MacAddr;

    use super::*;
    use crate::Netns;

    const LOOPBACK: u32 = 1;

    /// Of the loopback of a namespace of its own: what is sent there comes in again.
    #[test]
    fn an_announcement_is_heard_and_a_bound_is_kept() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let netns = Netns::private(&Netns::current().unwrap()).unwrap();
        let listened = netns.within(|| {
            let up = Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap();
            assert!(up.success());
            let silent = hear_lldp(&[LOOPBACK, 9999], Duration::from_millis(50)).unwrap();
            let (stop, stopped) = channel::<()>();
            let sender = thread::spawn(move || {
                let socket = PacketSocket::open(LOOPBACK, ETH_P_LLDP, None).unwrap();
                while stopped.recv_timeout(Duration::from_millis(20))
                    == Err(RecvTimeoutError::Timeout)
                {
                    socket.send(b"words", MacAddr(GROUP)).unwrap();
                }
            });
            let heard = hear_lldp(&[LOOPBACK, 9999], Duration::from_mins(1)).unwrap();
            drop(stop);
            sender.join().unwrap();
            (silent, heard)
        });
        let (silent, heard) = listened.unwrap();
        assert_eq!((silent, heard), (Vec::new(), vec![(LOOPBACK, b"words".to_vec())]));
    }
}
