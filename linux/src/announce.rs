//! Gratuitous ARP: tells the neighbours at once which MAC an address has now.

use std::io;
use std::net::Ipv4Addr;

use linkspan_types::MacAddr;
use rustix::net::addr::{SocketAddrArg, SocketAddrLen, SocketAddrOpaque};
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, sendto, socket_with};

const ETH_P_ARP: u16 = 0x0806;
const BROADCAST: [u8; 6] = [0xff; 6];

/// Sends one ARP announcement (RFC 5227, section 2.3) for each address, out of a link of the calling
/// thread's namespace.
pub fn announce(index: u32, mac: MacAddr, addresses: &[Ipv4Addr]) -> io::Result<()> {
    let flags = SocketFlags::CLOEXEC;
    // Protocol 0: nothing is to be received.
    let socket = socket_with(AddressFamily::PACKET, SocketType::DGRAM, flags, None)?;
    let everyone = LinkLayerAddress {
        family: AddressFamily::PACKET.as_raw(),
        protocol: ETH_P_ARP.to_be(),
        index: i32::try_from(index).map_err(io::Error::other)?,
        hardware_type: 0,
        packet_type: 0,
        length: 6,
        address: [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0],
    };
    for address in addresses {
        sendto(&socket, &announcement(mac, *address), SendFlags::empty(), &everyone)?;
    }
    Ok(())
}

/// An ARP request for the sender's own address (RFC 826): every host that has the address in its table
/// takes the new MAC from it.
fn announcement(mac: MacAddr, address: Ipv4Addr) -> [u8; 28] {
    let mut packet = [0; 28];
    // Ethernet, IPv4, their lengths, a request.
    packet[..8].copy_from_slice(&[0, 1, 8, 0, 6, 4, 0, 1]);
    packet[8..14].copy_from_slice(&mac.0);
    packet[14..18].copy_from_slice(&address.octets());
    packet[18..24].copy_from_slice(&BROADCAST);
    packet[24..28].copy_from_slice(&address.octets());
    packet
}

/// `struct sockaddr_ll` of `linux/if_packet.h`.
#[repr(C)]
struct LinkLayerAddress {
    family: u16,
    protocol: u16,
    index: i32,
    hardware_type: u16,
    packet_type: u8,
    length: u8,
    address: [u8; 8],
}

#[expect(unsafe_code, reason = "rustix has no type for the addresses of packet sockets")]
// SAFETY: the pointer is to a whole `sockaddr_ll`, which is borrowed for the call, and the length is its size.
unsafe impl SocketAddrArg for LinkLayerAddress {
    unsafe fn with_sockaddr<R>(
        &self,
        f: impl FnOnce(*const SocketAddrOpaque, SocketAddrLen) -> R,
    ) -> R {
        const LENGTH: SocketAddrLen = 20;
        const { assert!(size_of::<LinkLayerAddress>() == LENGTH as usize) };
        f(std::ptr::from_ref(self).cast(), LENGTH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announcement_asks_for_its_own_address() {
        let packet = announcement(MacAddr([2, 0, 0, 0, 0, 1]), Ipv4Addr::new(10, 0, 0, 2));
        assert_eq!(packet[..8], [0, 1, 8, 0, 6, 4, 0, 1]);
        assert_eq!(packet[8..18], [2, 0, 0, 0, 0, 1, 10, 0, 0, 2]);
        assert_eq!(packet[24..], [10, 0, 0, 2]);
    }
}
