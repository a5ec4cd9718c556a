//! Many attachments at once, as a node has them that has just booted.

use std::sync::Barrier;
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use linkspan_tests::pods::Pod;
use serde_json::Value;

use crate::plugin::{Plugin, Verb, with_result};
use crate::race::{Outcome, Programs, Times};
use crate::scenario::Scenario;

/// How many at once.
pub(crate) const SIZE: usize = 100;
const ROUNDS: usize = 5;

/// Attaches and detaches all pods of a crowd at once, by the one program and by the other in turn; a sample is
/// the time from the first start to the last end.
pub(crate) fn crowd(programs: &Programs, scenario: &Scenario, share: usize) -> Result<Outcome> {
    let pods: Vec<Pod> = (0..SIZE).map(|n| Pod::new("bench", &format!("crowd{n}"))).collect();
    let name = format!("{SIZE} at once, {}", scenario.addressing.name());
    let mut outcome = Outcome { name, add: Times::default(), del: Times::default() };
    for round in 0..(ROUNDS / share).max(1) {
        let Outcome { add, del, .. } = &mut outcome;
        let mut turns = [
            (&programs.linkspan, &scenario.linkspan, &mut add.linkspan, &mut del.linkspan),
            (&programs.reference, &scenario.reference, &mut add.reference, &mut del.reference),
        ];
        if round % 2 == 1 {
            turns.reverse();
        }
        for (plugin, config, add, del) in turns {
            let (took, results) = at_once(plugin, Verb::Add, &pods, &vec![config.clone(); SIZE])?;
            add.push(took);
            let configs = results.into_iter().map(|result| with_result(config, result));
            del.push(at_once(plugin, Verb::Del, &pods, &configs.collect::<Vec<_>>())?.0);
        }
    }
    Ok(outcome)
}

/// One call for each pod, all started together.
fn at_once(
    plugin: &Plugin,
    verb: Verb,
    pods: &[Pod],
    configs: &[Value],
) -> Result<(Duration, Vec<Option<Value>>)> {
    let ready = Barrier::new(pods.len() + 1);
    std::thread::scope(|scope| {
        let call = |pod, config| {
            ready.wait();
            plugin.call(verb, pod, config)
        };
        let calls: Vec<_> = pods
            .iter()
            .zip(configs)
            .map(|(pod, config)| scope.spawn(move || call(pod, config)))
            .collect();
        ready.wait();
        let start = Instant::now();
        let ended: Vec<_> = calls.into_iter().map(ScopedJoinHandle::join).collect();
        let took = start.elapsed();
        let reply = |ended: std::thread::Result<Result<(_, Option<Value>)>>| {
            let (_, reply) = ended.map_err(|_| anyhow!("a thread panicked"))??;
            Ok(reply)
        };
        Ok((took, ended.into_iter().map(reply).collect::<Result<_>>()?))
    })
}
