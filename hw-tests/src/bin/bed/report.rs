//! What the bed says while it works, with the time since it began; and the guest's kernel log.

use std::time::Instant;

/// The guest writes this to its kernel log before each step, so that a report of a command that
/// failed need not show the boot and the set-up.
pub(crate) const MARK: &str = "linkspan bed: now comes the ";

/// Lines on stderr, each with the seconds since the verb began.
pub(crate) struct Progress {
    began: Instant,
}

impl Progress {
    pub(crate) fn begin() -> Self {
        Self { began: Instant::now() }
    }

    pub(crate) fn say(&self, what: &str) {
        eprintln!("bed: [{:>5.1} s] {what}", self.began.elapsed().as_secs_f64());
    }
}

/// Shows the guest's kernel log on stderr, between two lines that delimit it.
///
/// `last_step` leaves out what came before the guest's last step.
pub(crate) fn show_kernel_log(log: &str, last_step: bool) {
    eprintln!("===== the guest's kernel log =====");
    eprintln!("{}", excerpt(log, last_step).trim_end());
    eprintln!("===== end of the guest's kernel log =====");
}

/// The part of the log since the guest's last step began, or all of it.
fn excerpt(log: &str, last_step: bool) -> &str {
    let mark = if last_step { log.rfind(MARK) } else { None };
    let start = mark.map_or(0, |mark| log[..mark].rfind('\n').map_or(0, |newline| newline + 1));
    &log[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_excerpt_begins_with_the_line_of_the_last_mark() {
        let log = format!("[0.1] boot\n[1.0] {MARK}set-up\n[2.0] {MARK}command\n[3.0] igb\n");
        assert_eq!(excerpt(&log, true), format!("[2.0] {MARK}command\n[3.0] igb\n"));
        assert_eq!(excerpt(&log, false), log);
        assert_eq!(excerpt("[0.1] boot\n", true), "[0.1] boot\n");
    }
}
