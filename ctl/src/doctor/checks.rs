//! The checks: each a function of the facts, which knows nothing of where they come from.

mod kernel;
mod left;
mod links;
mod macs;
mod names;
mod sockets;
mod sriov;
mod switch;
#[cfg(test)]
mod testing;

use super::facts::Facts;
use super::finding::Finding;

/// Everything that is wrong, the worst first.
pub(super) fn all(facts: &Facts) -> Vec<Finding> {
    const CHECKS: [fn(&Facts) -> Vec<Finding>; 9] = [
        configurations,
        kernel::check,
        sriov::check,
        links::check,
        macs::check,
        names::check,
        left::check,
        sockets::check,
        switch::check,
    ];
    let mut findings: Vec<Finding> = CHECKS.iter().flat_map(|check| check(facts)).collect();
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings
}

/// What can't be used at all; `linkspan validate` tells more.
fn configurations(facts: &Facts) -> Vec<Finding> {
    let refused = facts.refused.iter().map(|(file, error)| {
        Finding::error("configuration", format!("{}: {error}", file.display()))
            .because("every pod of this network, or of these pools, fails to start")
            .help(format!("linkspan validate {}", file.display()))
    });
    refused.collect()
}
