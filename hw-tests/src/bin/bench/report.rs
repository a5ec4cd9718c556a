//! The results as Markdown: what was measured, how and where, and the tables.

use std::fs;
use std::process::{Command, Stdio};

use anyhow::Result;
use linkspan_tests::syscalls::Trace;

use crate::cost::{Cost, Costs};
use crate::promises::Promise;
use crate::race::{Outcome, Programs, Times};
use crate::samples::{Samples, milliseconds, ratio};
use crate::table::table;

/// The reference plugins, where Debian has installed them.
const PACKAGE: &str = "containernetworking-plugins";

/// Where and when it was measured, and which programs.
pub(crate) struct Setting {
    /// Which versions of the two programs.
    linkspan: String,
    reference: String,
    processor: String,
    processors: usize,
    /// How many processes ran or wanted to, on average over the minute before, and how this one is scheduled.
    load: String,
    kernel: String,
    date: String,
}

impl Setting {
    /// This machine, now.
    pub(crate) fn here(programs: &Programs) -> Result<Self> {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo")?;
        let model =
            cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        Ok(Self {
            linkspan: format!(
                "{}, at commit {}",
                programs.linkspan.version()?,
                said_by("git", &["rev-parse", "--short", "HEAD"])
            ),
            reference: format!(
                "{}, package {PACKAGE} {}",
                programs.reference.version()?,
                said_by("dpkg-query", &["--show", "--showformat=${Version}", PACKAGE])
            ),
            processor: model.map_or_else(|| "unknown".to_owned(), |(_, name)| name.to_owned()),
            processors: std::thread::available_parallelism()?.get(),
            load: load()?,
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            date: said_by("date", &["--utc", "+%F"]),
        })
    }

    /// As the report's head has it.
    pub(crate) fn describe(&self) -> String {
        let Self { linkspan, reference, processor, processors, load, kernel, date } = self;
        format!(
            "- date: {date}\n- processor: {processor}, {processors} of it\n- {load}\n- kernel: Linux {kernel}\n\
             - Linkspan: {linkspan}\n- reference: {reference}\n"
        )
    }
}

/// The machine's load, and the scheduling policy of this process (field 41 of `proc_pid_stat(5)`).
fn load() -> Result<String> {
    let average = fs::read_to_string("/proc/loadavg")?;
    let stat = fs::read_to_string("/proc/self/stat")?;
    // The name, which may have blanks, is in parentheses; the field after it is the third.
    let mut fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let policy = match fields.nth(38) {
        Some("0") => "as any other process",
        Some("1" | "2") => "before other processes (real time)",
        _ => "in a policy of its own",
    };
    let minute = average.split(' ').next().unwrap_or("unknown");
    Ok(format!("load average before the run: {minute}; scheduled {policy}"))
}

/// What a program prints, or "unknown" where it fails or there is no such program.
fn said_by(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).stderr(Stdio::null()).output();
    let output = output.ok().filter(|output| output.status.success());
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.unwrap_or_else(|| "unknown".to_owned())
}

/// How long ADD and DEL took.
pub(crate) fn times(outcomes: &[Outcome]) -> String {
    let row = |outcome: &Outcome, verb: &str, times: &Times| {
        let Times { linkspan, reference, floor } = times;
        let ratio = |longer, shorter| {
            ratio(longer, shorter).map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"))
        };
        [
            format!("{verb}, {}", outcome.name),
            milliseconds(linkspan, Samples::median),
            milliseconds(linkspan, Samples::p99),
            milliseconds(linkspan, Samples::min),
            milliseconds(reference, Samples::median),
            milliseconds(reference, Samples::p99),
            milliseconds(reference, Samples::min),
            milliseconds(floor, Samples::median),
            ratio(reference, linkspan),
            ratio(linkspan, floor),
            format!("{}/{}", linkspan.count(), reference.count()),
        ]
    };
    let adds = outcomes.iter().map(|outcome| row(outcome, "ADD", &outcome.add));
    let dels = outcomes.iter().map(|outcome| row(outcome, "DEL", &outcome.del));
    table(
        [
            "ms",
            "Linkspan",
            "p99",
            "min",
            "reference",
            "p99",
            "min",
            "floor",
            "times faster",
            "of the floor",
            "runs",
        ],
        &adds.chain(dels).collect::<Vec<_>>(),
    )
}

/// How many calls a second a crowd makes.
pub(crate) fn throughput(outcomes: &[Outcome], size: usize) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a crowd is small")]
    let per_second =
        |samples: &Samples| format!("{:.0}", size as f64 / samples.median().as_secs_f64());
    let row = |outcome: &Outcome, verb: &str, times: &Times| {
        let Times { linkspan, reference, .. } = times;
        let ratio = ratio(reference, linkspan);
        [
            format!("{verb}, {}", outcome.name),
            milliseconds(linkspan, Samples::median),
            per_second(linkspan),
            milliseconds(reference, Samples::median),
            per_second(reference),
            ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}")),
            format!("{}/{}", linkspan.count(), reference.count()),
        ]
    };
    let adds = outcomes.iter().map(|outcome| row(outcome, "ADD", &outcome.add));
    let dels = outcomes.iter().map(|outcome| row(outcome, "DEL", &outcome.del));
    table(
        [
            "all of them",
            "Linkspan, ms",
            "a second",
            "reference, ms",
            "a second",
            "times faster",
            "runs",
        ],
        &adds.chain(dels).collect::<Vec<_>>(),
    )
}

/// Memory and system calls.
pub(crate) fn costs(all: &[Costs]) -> String {
    let row = |name: String, of: &dyn Fn(&Cost) -> String, costs: &Costs| {
        [name, of(&costs.linkspan), of(&costs.reference)]
    };
    let mut rows = Vec::new();
    for costs in all {
        let name = &costs.name;
        let peak = |cost: &Cost| format!("{:.2} MiB", mebibytes(cost.peak));
        rows.push(row(format!("peak memory of an ADD, {name}"), &peak, costs));
        let add = |cost: &Cost| cost.add.total().to_string();
        rows.push(row(format!("system calls of an ADD, {name}"), &add, costs));
        let del = |cost: &Cost| cost.del.total().to_string();
        rows.push(row(format!("system calls of a DEL, {name}"), &del, costs));
    }
    table(["", "Linkspan", "reference"], &rows)
}

/// How often each of Linkspan's system calls is made.
pub(crate) fn calls(all: &[Costs]) -> String {
    let line = |costs: &Costs, verb: &str, trace: &Trace| {
        let counts = trace.counts();
        let counts: Vec<_> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
        format!("- {verb}, {}: {}\n", costs.name, counts.join(", "))
    };
    let lines = all.iter().flat_map(|costs| {
        [line(costs, "ADD", &costs.linkspan.add), line(costs, "DEL", &costs.linkspan.del)]
    });
    lines.collect()
}

/// The promises, and whether they were kept.
pub(crate) fn promises(all: &[Promise]) -> String {
    let row = |promise: &Promise| {
        let Promise { what, promised, measured, kept } = promise;
        let kept = if *kept { "met" } else { "NOT MET" };
        [what.clone(), promised.clone(), measured.clone(), kept.to_owned()]
    };
    let rows: Vec<_> = all.iter().map(row).collect();
    table(["promise", "promised", "measured", ""], &rows)
}

/// MiB out of KiB.
pub(crate) fn mebibytes(kibibytes: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "no program here has 2^52 KiB")]
    let mebibytes = kibibytes as f64 / 1024.0;
    mebibytes
}
