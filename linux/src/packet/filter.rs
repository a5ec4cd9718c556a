//! What a packet socket for DHCP lets through, in the kernel: UDP to port 68. Whether it is for us is looked at
//! later, where it can be counted.

use std::io;
use std::os::fd::AsFd;

use super::set_option;

/// The port of DHCP clients.
pub(super) const CLIENT_PORT: u16 = 68;

/// Of classic BPF (`linux/filter.h`), over the packet from its IP header on.
const PROGRAM: [libc::sock_filter; 9] = [
    // The protocol: UDP.
    instruction(LOAD_BYTE, 0, 0, 9),
    instruction(JUMP_IF_EQUAL, 0, 6, 17),
    // The fragment's offset: the first, which has the UDP header.
    instruction(LOAD_HALF, 0, 0, 6),
    instruction(JUMP_IF_ANY_BIT, 4, 0, 0x1fff),
    // Four times the lower half of the first byte: the length of the IP header.
    instruction(LOAD_HEADER_LENGTH, 0, 0, 0),
    instruction(LOAD_HALF_BEHIND, 0, 0, 2),
    instruction(JUMP_IF_EQUAL, 0, 1, CLIENT_PORT as u32),
    instruction(RETURN, 0, 0, 0xffff),
    instruction(RETURN, 0, 0, 0),
];

const LOAD_BYTE: u32 = libc::BPF_LD | libc::BPF_B | libc::BPF_ABS;
const LOAD_HALF: u32 = libc::BPF_LD | libc::BPF_H | libc::BPF_ABS;
const LOAD_HALF_BEHIND: u32 = libc::BPF_LD | libc::BPF_H | libc::BPF_IND;
const LOAD_HEADER_LENGTH: u32 = libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH;
const JUMP_IF_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
const JUMP_IF_ANY_BIT: u32 = libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K;
const RETURN: u32 = libc::BPF_RET | libc::BPF_K;

#[expect(clippy::cast_possible_truncation, reason = "the codes have 16 bits")]
const fn instruction(code: u32, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt, jf, k }
}

/// Has a socket receive only what the program lets through.
pub(super) fn attach(socket: &impl AsFd) -> io::Result<()> {
    let mut program = PROGRAM;
    let len = u16::try_from(program.len()).map_err(io::Error::other)?;
    let program = libc::sock_fprog { len, filter: program.as_mut_ptr() };
    // The kernel copies the instructions during the call.
    set_option(socket, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
}
