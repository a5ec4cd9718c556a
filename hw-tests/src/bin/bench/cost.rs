//! What a call takes beside time: memory at its peak, and system calls.

use std::path::Path;

use anyhow::{Context, Result};
use linkspan_tests::pods::Pod;
use linkspan_tests::syscalls::Trace;
use serde_json::Value;

use crate::plugin::{Plugin, Verb, with_result};
use crate::race::Programs;
use crate::scenario::Scenario;

/// What the calls of both programs take for one network.
pub(crate) struct Costs {
    pub(crate) name: String,
    pub(crate) linkspan: Cost,
    pub(crate) reference: Cost,
}

/// What an ADD and a DEL take; of several runs, the largest peak and the trace of middle length.
pub(crate) struct Cost {
    /// KiB, of the plugin's process or the largest of those that it starts.
    pub(crate) peak: u64,
    pub(crate) add: Trace,
    pub(crate) del: Trace,
}

const RUNS: usize = 5;

/// Runs both programs a few times for each of the costs.
pub(crate) fn costs(programs: &Programs, statics: &Path, scenario: &Scenario) -> Result<Costs> {
    Ok(Costs {
        name: scenario.addressing.name(),
        linkspan: cost(&programs.linkspan, statics, &scenario.linkspan)?,
        reference: cost(&programs.reference, statics, &scenario.reference)?,
    })
}

fn cost(plugin: &Plugin, statics: &Path, config: &Value) -> Result<Cost> {
    let pod = Pod::new("bench", "pod");
    let launch = statics.join("launch");
    let launch = launch.to_str().context("a path in UTF-8")?;
    let mut peak = 0;
    for _ in 0..RUNS {
        let (_, printed) = plugin.call_by(&[launch], Verb::Add, &pod, config)?;
        let kibibytes = printed.and_then(|printed| printed.as_u64());
        peak = peak.max(kibibytes.context("launch prints how much memory it was")?);
        plugin.call(Verb::Del, &pod, config)?;
    }
    let (mut adds, mut dels) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let (trace, result) = traced(plugin, Verb::Add, &pod, config)?;
        adds.push(trace);
        dels.push(traced(plugin, Verb::Del, &pod, &with_result(config, result))?.0);
    }
    Ok(Cost { peak, add: middle(adds)?, del: middle(dels)? })
}

fn middle(mut traces: Vec<Trace>) -> Result<Trace> {
    traces.sort_by_key(Trace::total);
    let middle = traces.len() / 2;
    traces.into_iter().nth(middle).context("no trace")
}

fn traced(
    plugin: &Plugin,
    verb: Verb,
    pod: &Pod,
    config: &Value,
) -> Result<(Trace, Option<Value>)> {
    let file = tempfile::NamedTempFile::new()?;
    let (_, result) = plugin.call_by(&Trace::strace(file.path()), verb, pod, config)?;
    Ok((Trace::read(file.path()), result))
}
