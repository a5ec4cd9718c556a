//! Contestants in turn over the same network and pod, so that whatever else the machine does meets all alike.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use linkspan_tests::pods::Pod;
use serde::{Deserialize, Serialize};

use crate::kernel::Kernel;
use crate::plugin::{Plugin, Verb, with_result};
use crate::samples::Samples;
use crate::scenario::Scenario;

/// The two programs, as plugins of the same name.
pub(crate) struct Programs {
    pub(crate) linkspan: Plugin,
    pub(crate) reference: Plugin,
}

/// What one scenario came to.
#[derive(Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) name: String,
    pub(crate) add: Times,
    pub(crate) del: Times,
}

/// How long each of the contestants took.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Times {
    pub(crate) linkspan: Samples,
    pub(crate) reference: Samples,
    pub(crate) floor: Samples,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Contestant {
    Linkspan,
    Reference,
    Floor,
}

/// Every order of the three, so that each comes after each other equally often.
const ORDERS: [[Contestant; 3]; 6] = {
    use Contestant::{Floor, Linkspan, Reference};
    [
        [Linkspan, Reference, Floor],
        [Floor, Linkspan, Reference],
        [Reference, Floor, Linkspan],
        [Floor, Reference, Linkspan],
        [Linkspan, Floor, Reference],
        [Reference, Linkspan, Floor],
    ]
};

/// Rounds that are not counted.
const WARM_UP: usize = 3;

/// Runs a scenario's rounds, or a share of them.
pub(crate) fn race(
    programs: &Programs,
    statics: &Path,
    scenario: &Scenario,
    share: usize,
) -> Result<Outcome> {
    let pod = Pod::new("bench", "pod");
    let mut kernel = Kernel::new(statics, &pod)?;
    let mut outcome =
        Outcome { name: scenario.addressing.name(), add: Times::default(), del: Times::default() };
    let rounds = (scenario.rounds / share).max(2);
    for round in 0..WARM_UP + rounds {
        for contestant in ORDERS[round % ORDERS.len()] {
            let counts = round >= WARM_UP;
            let in_turn = counts && (round - WARM_UP).is_multiple_of(scenario.reference_every);
            if contestant == Contestant::Reference && !in_turn {
                continue;
            }
            let (add, del) = run(contestant, programs, &mut kernel, scenario, &pod)?;
            if counts {
                outcome.add.of(contestant).push(add);
                outcome.del.of(contestant).push(del);
            }
        }
    }
    Ok(outcome)
}

/// One ADD and one DEL; between them the interface has to be there, and up.
fn run(
    contestant: Contestant,
    programs: &Programs,
    kernel: &mut Kernel,
    scenario: &Scenario,
    pod: &Pod,
) -> Result<(Duration, Duration)> {
    let (plugin, config) = match contestant {
        Contestant::Linkspan => (&programs.linkspan, &scenario.linkspan),
        Contestant::Reference => (&programs.reference, &scenario.reference),
        Contestant::Floor => {
            let add = kernel.attach(scenario.addressing.addresses())?;
            ensure!(kernel.is_up()?, "the floor's link is not up");
            return Ok((add, kernel.detach()?));
        }
    };
    let (add, result) = plugin.call(Verb::Add, pod, config)?;
    ensure!(kernel.is_up()?, "the interface is not up after an ADD: {result:?}");
    let (del, nothing) = plugin.call(Verb::Del, pod, &with_result(config, result))?;
    ensure!(nothing.is_none() && !kernel.is_up()?, "the interface stayed after a DEL");
    Ok((add, del))
}

impl Times {
    fn of(&mut self, contestant: Contestant) -> &mut Samples {
        match contestant {
            Contestant::Linkspan => &mut self.linkspan,
            Contestant::Reference => &mut self.reference,
            Contestant::Floor => &mut self.floor,
        }
    }
}
