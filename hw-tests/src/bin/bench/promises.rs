//! What Linkspan promises of its speed, and whether this run kept it.

use std::time::Duration;

use crate::Results;
use crate::cost::Costs;
use crate::daemon::Measured;
use crate::leases::{Held, Measured as Leases};
use crate::race::Outcome;
use crate::samples::{Samples, ratio};
use crate::scenario::Addressing;

/// A promise with a number.
pub(crate) struct Promise {
    pub(crate) what: String,
    /// The number that was promised, as "at least 5x".
    pub(crate) promised: String,
    /// The number that it is, or `-` where it was not measured.
    pub(crate) measured: String,
    /// Whether it was kept; what was not measured was not.
    pub(crate) kept: bool,
}

/// Every promise, against the results.
pub(crate) fn judge(results: &Results) -> Vec<Promise> {
    let of = |addressing: Addressing| results.outcome(&addressing.name());
    let l2 = of(Addressing::None);
    let host_local = of(Addressing::HostLocal { taken: 0 });
    let full = of(Addressing::HostLocal { taken: 60_000 });
    let faster = |outcome: Option<&Outcome>| {
        outcome.and_then(|outcome| ratio(&outcome.add.reference, &outcome.add.linkspan))
    };
    let add = |outcome: Option<&Outcome>, of: fn(&Outcome) -> &Samples| {
        let outcome = outcome?;
        ratio(&outcome.add.linkspan, of(outcome))
    };
    let mut promises = vec![
        at_least("ADD without IPAM, against the reference", 5.0, faster(l2)),
        at_most("ADD without IPAM, against the floor", 1.5, add(l2, |l2| &l2.add.floor)),
        at_least("ADD with host-local, against the reference", 6.0, faster(host_local)),
    ];
    for dual in [Addressing::DualHostLocal, Addressing::DualStatic] {
        let what = format!("ADD with {} and an IPv6 gateway, against the reference", dual.name());
        promises.push(at_least(&what, 50.0, faster(of(dual))));
    }
    let when_empty = host_local.and_then(|empty| ratio(&full?.add.linkspan, &empty.add.linkspan));
    promises.extend([
        at_least("ADD with 60,000 addresses taken, against the reference", 100.0, faster(full)),
        at_most("ADD with 60,000 addresses taken, against none taken", 1.5, when_empty),
    ]);
    for addressing in [Addressing::None, Addressing::HostLocal { taken: 0 }] {
        let against =
            of(addressing).and_then(|outcome| ratio(&outcome.del.linkspan, &outcome.del.floor));
        let what =
            format!("DEL with {}, against the kernel's own link deletion", addressing.name());
        promises.push(at_most(&what, 1.1, against));
    }
    for outcome in &results.crowds {
        let what = format!("ADD, {}, against the reference", outcome.name);
        promises.push(at_least(&what, 3.0, faster(Some(outcome))));
    }
    promises.extend(results.costs.iter().map(peak));
    promises.extend(of_leases(&results.leases));
    promises.extend(of_the_daemon(&results.daemons));
    promises
}

/// Those of DHCP.
fn of_leases(leases: &Leases) -> Vec<Promise> {
    let both = leases.held.as_ref().zip(leases.held_by_reference.as_ref());
    #[expect(clippy::cast_precision_loss, reason = "no program here has 2^52 KiB")]
    let memory = both.map(|(own, other)| own.resident as f64 / other.resident as f64);
    let cold = ratio(&leases.reference.add, &leases.cold.add);
    let over_a_link = ratio(&leases.ipam_of_reference.add, &leases.ipam.add);
    let warm = ratio(&leases.warm.add, &leases.host_local.add);
    let counted = |what: &str, promised: &str, most: u64, of: fn(&Held) -> u64| {
        let measured = leases.held.as_ref().map(of);
        Promise {
            what: format!("DHCP daemon, 1,000 leases: {what}"),
            promised: promised.to_owned(),
            measured: measured.map_or_else(|| "-".to_owned(), |measured| measured.to_string()),
            kept: measured.is_some_and(|measured| measured <= most),
        }
    };
    vec![
        at_least("ADD with DHCP, against the reference", 2.0, cold),
        at_least("DHCP over a link that is up, against the reference", 2.0, over_a_link),
        at_most("ADD with DHCP, a lease kept ready, against host-local", 1.5, warm),
        at_most("DHCP daemon, 1,000 leases: resident memory, against the reference", 0.25, memory),
        counted("threads", "at most 2", 2, |held| held.threads),
        counted("woken while nothing is due", "never", 0, |held| held.woken.0),
    ]
}

/// The device plugin's, on its largest node.
fn of_the_daemon(daemons: &[Measured]) -> Vec<Promise> {
    let of = |vfs: u32| daemons.iter().find(|measured| measured.vfs == vfs);
    let largest = of(2048);
    let below =
        |what: &str, promised: &str, unit: &str, reach: f64, measured: Option<f64>| Promise {
            what: format!("device plugin, 2,048 VFs: {what}"),
            promised: promised.to_owned(),
            measured: measured
                .map_or_else(|| "-".to_owned(), |measured| format!("{measured:.2}{unit}")),
            kept: measured.is_some_and(|measured| measured < reach),
        };
    let milliseconds = |duration: Duration| duration.as_secs_f64() * 1e3;
    let in_time = |what: &str, measured: Option<Duration>| {
        below(what, "less than 200 ms", " ms", 200.0, measured.map(milliseconds))
    };
    let for_one = |m: &Measured| m.look.as_secs_f64() / f64::from(m.vfs);
    let growth = largest.zip(of(256)).map(|(large, small)| for_one(large) / for_one(small));
    let woken = largest.and_then(|measured| measured.woken);
    vec![
        below("one look", "less than 100 ms", " ms", 100.0, largest.map(|m| milliseconds(m.look))),
        below("a VF's look, against 256 VFs", "less than 1.5x", "x", 1.5, growth),
        below(
            "resident memory",
            "less than 12 MiB",
            " MiB",
            12.0,
            largest.map(|m| crate::report::mebibytes(m.resident)),
        ),
        below(
            "Allocate",
            "less than 1 ms",
            " ms",
            1.0,
            largest.map(|m| milliseconds(m.allocate.median())),
        ),
        in_time("told that the PF's carrier is lost, p99", largest.map(|m| m.changes.ill.p99())),
        in_time("told that a VF is gone, p99", largest.map(|m| m.changes.gone.p99())),
        in_time("told of a new VF, p99", largest.map(|m| m.changes.listed.p99())),
        Promise {
            what: "device plugin, 2,048 VFs: woken while nothing happens".to_owned(),
            promised: "never".to_owned(),
            measured: woken.map_or_else(
                || "-".to_owned(),
                |(times, time)| format!("{times} times in {} s", time.as_secs()),
            ),
            kept: woken.is_some_and(|(times, _)| times == 0),
        },
    ]
}

fn at_least(what: &str, reach: f64, measured: Option<f64>) -> Promise {
    promise(what, format!("at least {reach}x"), measured, |measured| measured >= reach)
}

fn at_most(what: &str, reach: f64, measured: Option<f64>) -> Promise {
    promise(what, format!("at most {reach}x"), measured, |measured| measured <= reach)
}

fn promise(
    what: &str,
    promised: String,
    measured: Option<f64>,
    is_kept: impl FnOnce(f64) -> bool,
) -> Promise {
    let shown = measured.map_or_else(|| "-".to_owned(), |measured| format!("{measured:.2}x"));
    let kept = measured.is_some_and(is_kept);
    Promise { what: what.to_owned(), promised, measured: shown, kept }
}

fn peak(costs: &Costs) -> Promise {
    const REACH: u64 = 4 << 10;
    let peak = costs.linkspan.peak;
    Promise {
        what: format!("peak memory of an ADD with {}", costs.name),
        promised: "less than 4 MiB".to_owned(),
        measured: format!("{:.2} MiB", crate::report::mebibytes(peak)),
        kept: peak < REACH,
    }
}
