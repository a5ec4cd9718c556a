//! `bench/results.md` as a whole, and what stands in it beside numbers.

use std::fmt::Write as _;

use crate::report::{self, Setting};
use crate::{Results, crowd, daemon, leases, promises};

const HEAD: &str = "\
# What an attachment costs

Written by `make bench`; don't edit. The plots are `add.svg`, `del.svg` and `taken.svg`.

";

const METHOD: &str = "
## How it was measured

- Linkspan and the reference plugin macvlan are called as a container runtime calls them, with one and the same
  configuration (the reference's), for macvlan links on one end of a veth pair, in one run, in turn: of each
  round's three contestants each comes after each other equally often. The first rounds don't count.
- All programs are copies in one folder, as an installer makes them: short programs start slower from the file that a
  linker has just written, which no node runs.
- A sample is the time from a program's start to its end by CLOCK_MONOTONIC. No processor is set aside for it, and
  nothing is pinned: other load meets all contestants alike.
- Each program has reservations of host-local of its own, the same ones, on a disk's file system; `/run` is a
  tmpfs. Where another program has reserved or freed an address, Linkspan's next ADD reads all reservations once,
  as the reference plugin always does.
- The floor of an ADD is the start and end of an empty static program, and then the kernel's bare work by messages
  over sockets that are open already: make the link in the pod, give it the addresses, set it up. The floor of a
  DEL is the kernel's deletion of that link alone, without any program.
- After each ADD the interface has to be there and up, and gone after each DEL.
- With an IPv6 gateway the reference waits until the kernel has looked for a duplicate of the address; Linkspan
  has the kernel use it in the meantime (RFC 4429). It takes part in few of these rounds, and in few of those with
  60,000 addresses.
- Peak memory is `ru_maxrss` of the plugin's process, or of the largest one that it starts, called by a program
  that is smaller than both. The kernel counts it in steps of up to 32 pages a processor.
- System calls are those that strace(1) sees, of the plugin and all that it starts.
";

const VFS: &str = "
The kernel is the bed's (`cargo bed run`), its processor, NICs and switch are emulated: the numbers say how much
Linkspan adds to the kernel's work, not how long it takes on hardware. The floor is the empty program, VLAN, move,
address and up by bare messages, and for a DEL the way back. The peer, sriov-cni, is not among the packages of
Debian, so it is not here. An ADD waits until the VF has a carrier, to tell the neighbours of its address; the
floor doesn't.
";

const LEASES: &str = "
Both daemons ask one server, dnsmasq in a namespace at the other end of the parent, which does not ping addresses
before it offers them. The contestants take turns, each with the plugin macvlan as a whole; and then with the IPAM
plugin dhcp alone, over a link that is there and up. The reference's daemon of this version opens its socket before it
sets the link up, fails for that, and tries again one to three seconds later: only the second contest compares the
rest. Then each daemon in turn keeps leases of twelve hours for 1,000 pods, attached eight at once; woken is how often
the kernel has switched to its first thread while none of them was due.
";

const DAEMON: &str = "
A node of one to four PFs with up to 512 VFs each is made of files; the kubelet is the tests' own, and speaks the
real protocol. The time of a look is the daemon's own, by its metrics, all attributes of all devices included; an
Allocate is timed by who calls it. Woken is how often the kernel has switched to the daemon while nothing happened.

The PF whose carrier goes is one end of a veth pair whose other end is set down, by `ip`, and up; the events of VFs
are the kernel's uevents, after the files have changed. The clock runs from before either until the kubelet has
decoded the list, and over the 20 ms that the daemon waits for more events of the same change.
";

/// The whole page.
pub(crate) fn page(setting: &Setting, results: &Results) -> String {
    let mut page = HEAD.to_owned();
    page += &setting.describe();
    page += &sections(results);
    page += METHOD;
    page
}

/// The part with the numbers, which is also for the terminal.
pub(crate) fn sections(results: &Results) -> String {
    let mut text = String::new();
    let mut section = |title: &str, body: &str| {
        // Writing to a string can't fail.
        let _ = write!(text, "\n## {title}\n\n{body}");
    };
    section("Promises", &report::promises(&promises::judge(results)));
    section("One after the other", &report::times(&results.outcomes));
    let title = format!("{} at once", crowd::SIZE);
    section(&title, &report::throughput(&results.crowds, crowd::SIZE));
    section("Memory and system calls", &report::costs(&results.costs));
    section("Linkspan's system calls", &report::calls(&results.costs));
    section("DHCP", &format!("{}{LEASES}", leases::describe(&results.leases)));
    section("The device plugin", &format!("{}{DAEMON}", daemon::describe(&results.daemons)));
    if !results.vfs.is_empty() {
        section("VFs", &format!("{}{VFS}", report::times(&results.vfs)));
    }
    text
}
