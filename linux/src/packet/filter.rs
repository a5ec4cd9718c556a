//! What a DHCP client's socket lets through, in the kernel: UDP to port 68 that names the client's MAC. So a flood for
//! others leaves room for what is ours. Whether that makes sense is looked at later, where it can be counted.

use std::io;
use std::os::fd::AsFd;

use linkspan_types::MacAddr;

use super::set_option;

/// The port of DHCP clients.
pub(super) const CLIENT_PORT: u16 = 68;

/// Has a packet socket receive only what is for the client with this MAC.
pub(super) fn attach_to_packets(socket: &impl AsFd, mac: MacAddr) -> io::Result<()> {
    attach(socket, [&WHERE_UDP_BEGINS[..], &names(mac)].concat())
}

/// The same of a UDP socket, whose packets begin with UDP's header.
pub(super) fn attach_to_datagrams(socket: &impl AsFd, mac: MacAddr) -> io::Result<()> {
    attach(socket, [&[instruction(LOAD_OFFSET, 0, 0, 0)], &names(mac)[..]].concat())
}

/// The first part of a program of classic BPF (`linux/filter.h`), over a packet from its IP header on. It leaves the
/// offset of UDP's header in the index register.
const WHERE_UDP_BEGINS: [libc::sock_filter; 5] = [
    // The protocol: UDP.
    instruction(LOAD_BYTE, 0, 0, 9),
    instruction(JUMP_IF_EQUAL, 0, 10, 17),
    // The fragment's offset: the first, which has the UDP header.
    instruction(LOAD_HALF, 0, 0, 6),
    instruction(JUMP_IF_ANY_BIT, 8, 0, 0x1fff),
    // Four times the lower half of the first byte: the length of the IP header.
    instruction(LOAD_HEADER_LENGTH, 0, 0, 0),
];

/// The second part: the port, and `chaddr` of the message. What is too short to have it is no client's.
const fn names(mac: MacAddr) -> [libc::sock_filter; 8] {
    const CHADDR: u32 = 8 + 28;
    let octets = mac.0;
    let first = u32::from_be_bytes([octets[0], octets[1], octets[2], octets[3]]);
    let last = u32::from_be_bytes([0, 0, octets[4], octets[5]]);
    [
        instruction(LOAD_HALF_BEHIND, 0, 0, 2),
        instruction(JUMP_IF_EQUAL, 0, 5, CLIENT_PORT as u32),
        instruction(LOAD_WORD_BEHIND, 0, 0, CHADDR),
        instruction(JUMP_IF_EQUAL, 0, 3, first),
        instruction(LOAD_HALF_BEHIND, 0, 0, CHADDR + 4),
        instruction(JUMP_IF_EQUAL, 0, 1, last),
        instruction(RETURN, 0, 0, 0xffff),
        instruction(RETURN, 0, 0, 0),
    ]
}

const LOAD_BYTE: u32 = libc::BPF_LD | libc::BPF_B | libc::BPF_ABS;
const LOAD_HALF: u32 = libc::BPF_LD | libc::BPF_H | libc::BPF_ABS;
const LOAD_HALF_BEHIND: u32 = libc::BPF_LD | libc::BPF_H | libc::BPF_IND;
const LOAD_WORD_BEHIND: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_IND;
const LOAD_OFFSET: u32 = libc::BPF_LDX | libc::BPF_W | libc::BPF_IMM;
const LOAD_HEADER_LENGTH: u32 = libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH;
const JUMP_IF_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
const JUMP_IF_ANY_BIT: u32 = libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K;
const RETURN: u32 = libc::BPF_RET | libc::BPF_K;

#[expect(clippy::cast_possible_truncation, reason = "the codes have 16 bits")]
const fn instruction(code: u32, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt, jf, k }
}

fn attach(socket: &impl AsFd, mut program: Vec<libc::sock_filter>) -> io::Result<()> {
    let len = u16::try_from(program.len()).map_err(io::Error::other)?;
    let program = libc::sock_fprog { len, filter: program.as_mut_ptr() };
    // The kernel copies the instructions during the call.
    set_option(socket, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
}
