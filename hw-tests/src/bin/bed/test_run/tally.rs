//! The sum of what test programs print: their `test result:` lines, failures and reasons to skip.

use std::collections::BTreeMap;
use std::fmt;

/// Begins the line before a program's output; the program's name follows.
pub(super) const BEGINS: &str = "===== tests of ";
/// Begins the line after a program's output; its name, status and time follow.
pub(super) const ENDED: &str = "===== end of the tests of ";

/// Counts, and what to say about those that did not pass.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Tally {
    passed: u64,
    failed: u64,
    skipped: u64,
    failures: Vec<String>,
    skips: Vec<String>,
}

impl Tally {
    /// Sums the output of programs, each between its two marks.
    pub(super) fn of(transcript: &str) -> Self {
        let mut tally = Self::default();
        let mut output: Option<Output> = None;
        for line in transcript.lines() {
            if let Some(end) = line.strip_prefix(ENDED) {
                let status = status_of(end);
                if let Some(output) = output.take() {
                    tally.add(output.finish(status));
                }
            } else if let Some(name) = line.strip_prefix(BEGINS) {
                if let Some(output) = output.replace(Output::of(name)) {
                    tally.add(output.finish(None));
                }
            } else if let Some(output) = &mut output {
                output.read(line);
            }
        }
        if let Some(output) = output {
            tally.add(output.finish(None));
        }
        tally
    }

    /// One failure that is not a test's own.
    pub(super) fn failure(of: &str, why: &str) -> Self {
        Self { failed: 1, failures: vec![format!("{of}: {why}")], ..Self::default() }
    }

    /// Counts a test that could not run.
    pub(super) fn skip(&mut self, name: &str, reason: &str) {
        self.skipped += 1;
        self.skips.push(format!("{name}: {reason}"));
    }

    pub(super) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.failures.extend(other.failures);
        self.skips.extend(other.skips);
    }

    /// Whether some test ran, and none failed.
    pub(super) fn is_success(&self) -> bool {
        self.failed == 0 && self.passed > 0
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for skip in &self.skips {
            writeln!(f, "skipped: {skip}")?;
        }
        for failure in &self.failures {
            writeln!(f, "failed: {failure}")?;
        }
        if self.passed + self.failed == 0 {
            writeln!(f, "no test ran at all")?;
        }
        writeln!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// One program's output so far.
struct Output {
    program: String,
    tally: Tally,
    /// The indented lines since the last `failures:`. Names are listed after the last one; the
    /// outcome beside a name can't be relied upon, as what the test prints comes between.
    listed: Option<Vec<String>>,
    results: u32,
    reasons: BTreeMap<String, String>,
}

impl Output {
    fn of(program: &str) -> Self {
        Self {
            program: program.to_owned(),
            tally: Tally::default(),
            listed: None,
            results: 0,
            reasons: BTreeMap::new(),
        }
    }

    fn read(&mut self, line: &str) {
        if let Some(counts) = line.strip_prefix("test result: ") {
            let Some([passed, failed, ignored]) = counts_of(counts) else { return };
            self.results += 1;
            self.tally.passed += passed;
            self.tally.failed += failed;
            self.tally.skipped += ignored;
            for name in self.listed.take().unwrap_or_default() {
                self.tally.failures.push(format!("{}: {name}", self.program));
            }
        } else if line == "failures:" {
            self.listed = Some(Vec::new());
        } else if let Some(name) = line.strip_prefix("    ") {
            if let Some(listed) = &mut self.listed {
                listed.push(name.to_owned());
            }
        } else if let Some(skip) = line.strip_prefix("skipped: ") {
            if let Some((name, reason)) = skip.split_once(": ") {
                self.reasons.insert(name.to_owned(), reason.to_owned());
            }
        } else if let Some((name, outcome)) =
            line.strip_prefix("test ").and_then(|test| test.split_once(" ... "))
        {
            let name = name.trim();
            if let Some(reason) = outcome.strip_prefix("ignored") {
                let reason = reason.trim_start_matches([',', ' ']);
                let told = self.reasons.get(name).map_or(reason, String::as_str);
                let told = if told.is_empty() { "it gives no reason" } else { told };
                self.tally.skips.push(format!("{name}: {told}"));
            }
        }
    }

    /// `status` is missing when the program never ended.
    fn finish(mut self, status: Option<u8>) -> Tally {
        let why = match status {
            None => Some("it never ended".to_owned()),
            Some(124 | 137) => Some("it was ended at its bound".to_owned()),
            Some(status) if self.results == 0 => {
                Some(format!("it ended with status {status} and told no result"))
            }
            Some(status) if status != 0 && self.tally.failed == 0 => {
                Some(format!("it ended with status {status}, though no test failed"))
            }
            Some(_) => None,
        };
        if let Some(why) = why {
            self.tally.add(Tally::failure(&self.program, &why));
        }
        self.tally
    }
}

/// The status in `NAME, status N, S s`.
fn status_of(end: &str) -> Option<u8> {
    end.rsplit_once(", status ")?.1.split(',').next()?.parse().ok()
}

/// Passed, failed and ignored in `ok. 3 passed; 0 failed; 1 ignored; 0 measured; ...`.
fn counts_of(text: &str) -> Option<[u64; 3]> {
    let (_, counts) = text.split_once(". ")?;
    let mut numbers = counts.split(';').map(|part| {
        let (number, what) = part.trim().split_once(' ')?;
        Some((number.parse().ok()?, what))
    });
    let mut next = |wanted: &str| {
        let (number, what) = numbers.next()??;
        (what == wanted).then_some(number)
    };
    Some([next("passed")?, next("failed")?, next("ignored")?])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(output: &str, status: u8) -> String {
        format!("{BEGINS}p test t\n{output}\n{ENDED}p test t, status {status}, 0.1 s\n")
    }

    #[test]
    fn result_lines_are_summed_over_programs() {
        let one = program(
            "running 2 tests\ntest a ... ok\n\n\
             test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out",
            0,
        );
        let tally = Tally::of(&(one.clone() + &one));
        assert_eq!((tally.passed, tally.failed, tally.skipped), (4, 0, 2));
        assert!(tally.is_success());
        assert!(
            tally.to_string().ends_with("\n4 passed, 0 failed, 2 skipped\n") || {
                tally.to_string() == "4 passed, 0 failed, 2 skipped\n"
            }
        );
    }

    #[test]
    fn failures_carry_the_name_of_their_program() {
        let text = program(
            "test a::b ... thread 'a::b' panicked\nFAILED\n\nfailures:\n\n---- a::b ----\n    oh\n\n\n\
             failures:\n    a::b\n\ntest result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out",
            101,
        );
        let tally = Tally::of(&text);
        assert_eq!(tally.failures, ["p test t: a::b"]);
        assert!(!tally.is_success());
    }

    #[test]
    fn reasons_to_skip_are_those_that_were_told() {
        let text = program(
            "skipped: a: it needs root: here is none\n\
             test a ... ignored\ntest b ... ignored, too slow\ntest c ... ignored\n\
             test result: ok. 1 passed; 0 failed; 3 ignored; 0 measured; 0 filtered out",
            0,
        );
        assert_eq!(
            Tally::of(&text).skips,
            ["a: it needs root: here is none", "b: too slow", "c: it gives no reason"]
        );
    }

    #[test]
    fn a_program_that_dies_or_never_ends_is_a_failure() {
        let died = Tally::of(&program("running 1 test", 134));
        assert_eq!(died.failures, ["p test t: it ended with status 134 and told no result"]);
        let hung = Tally::of(&format!("{BEGINS}p test t\ntest a ... ok\n"));
        assert_eq!(hung.failures, ["p test t: it never ended"]);
        let result = "test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured";
        assert_eq!(Tally::of(&program(result, 1)).failed, 1);
        assert_eq!(Tally::of(&program(result, 124)).failed, 1);
    }

    #[test]
    fn nothing_at_all_is_no_success() {
        let tally = Tally::of("");
        assert!(!tally.is_success());
        assert_eq!(tally.to_string(), "no test ran at all\n0 passed, 0 failed, 0 skipped\n");
    }
}
