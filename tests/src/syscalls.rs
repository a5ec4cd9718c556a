//! The system calls of a program, as strace(1) tells them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// The system calls of a program and of those that it started, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    calls: Vec<String>,
}

impl Trace {
    /// What runs a program so that its system calls are written to a file.
    ///
    /// # Panics
    ///
    /// If the file's path is not UTF-8.
    #[must_use]
    pub fn strace(file: &Path) -> [&str; 5] {
        ["strace", "-f", "-qq", "-o", file.to_str().unwrap()]
    }

    /// Reads the file.
    ///
    /// # Panics
    ///
    /// If that fails.
    #[must_use]
    pub fn read(file: &Path) -> Self {
        Self::parse(&std::fs::read_to_string(file).unwrap())
    }

    fn parse(text: &str) -> Self {
        // `PID name(arguments) = result`; of a call that another thread interrupts, the second part is
        // `PID <... name resumed>`. Signals and exits have no name.
        let call = |line: &str| {
            let (_, call) = line.split_once(' ')?;
            let call = call.trim_start();
            name(call).map(|_| call.to_owned())
        };
        Self { calls: text.lines().filter_map(call).collect() }
    }

    /// The calls that are the program's own decision: those from its first look at standard input on, but for
    /// those by which libraries ask for memory, guard the stack and check descriptors, as they see fit.
    #[must_use]
    pub fn own(&self) -> Self {
        const LIBRARIES: [&str; 8] =
            ["brk", "fcntl", "madvise", "mmap", "mprotect", "mremap", "munmap", "sigaltstack"];
        let from_input = self.calls.iter().skip_while(|call| !call.starts_with("read(0,"));
        let is_own = |call: &&String| name(call).is_some_and(|name| !LIBRARIES.contains(&name));
        Self { calls: from_input.filter(is_own).cloned().collect() }
    }

    /// How many calls there were.
    #[must_use]
    pub fn total(&self) -> usize {
        self.calls.len()
    }

    /// How often each was made, the most frequent first.
    #[must_use]
    pub fn counts(&self) -> Vec<(&str, usize)> {
        let mut counts = BTreeMap::new();
        for name in self.calls.iter().filter_map(|call| name(call)) {
            *counts.entry(name).or_default() += 1;
        }
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        counts
    }
}

/// The calls, one in a line.
impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.calls.iter().try_for_each(|call| writeln!(f, "{call}"))
    }
}

fn name(call: &str) -> Option<&str> {
    let (name, _) = call.split_once('(')?;
    name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_').then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_call_counts_once() {
        let trace = Trace::parse(
            "12  execve(\"/bin/true\", [\"true\"], 0x7ffd /* 0 vars */) = 0\n\
             12  read(0, <unfinished ...>\n\
             13  futex(0xc0, FUTEX_WAIT_PRIVATE, 0, NULL <unfinished ...>\n\
             12  <... read resumed>\"(\", 512) = 1\n\
             12  --- SIGURG {si_signo=SIGURG (urgent)} ---\n\
             13  <... futex resumed>) = 0\n\
             12  read(0, \"\", 512) = 0\n\
             12  +++ exited with 0 +++\n",
        );
        assert_eq!(trace.total(), 4);
        assert_eq!(trace.counts(), [("read", 2), ("execve", 1), ("futex", 1)]);
        assert!(trace.to_string().ends_with("read(0, \"\", 512) = 0\n"));
    }

    #[test]
    fn starting_and_memory_are_not_the_program_s_own() {
        let trace = Trace::parse(
            "7 execve(\"linkspan\", [\"linkspan\"], 0x7ffd) = 0\n7 read(3, \"\\177ELF\", 832) = 832\n\
             7 read(0, \"{}\", 8192) = 2\n7 brk(0x5555) = 0x5555\n7 exit_group(0) = ?\n",
        );
        assert_eq!(trace.own().counts(), [("exit_group", 1), ("read", 1)]);
    }
}
