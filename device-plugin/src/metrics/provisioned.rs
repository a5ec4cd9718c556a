//! What is told of the PFs that pools set up.  Pure.

use linkspan_daemon::metrics::{Family, Kind, Sample};

use crate::provision::Outcomes;

/// What was done, what failed, and what is refused now.
pub(super) fn families(outcomes: &Outcomes) -> [Family; 2] {
    let steps = outcomes.steps.iter().map(|((pf, outcome), count)| {
        let labels = vec![("pf", pf.to_string()), ("outcome", (*outcome).to_owned())];
        Sample::new(labels, *count)
    });
    let refused = outcomes.refused.iter().map(|((pf, reason), count)| {
        Sample::new(vec![("pf", pf.clone()), ("reason", (*reason).to_owned())], *count)
    });
    [
        Family {
            name: "linkspan_provisioning_steps_total",
            kind: Kind::Counter,
            help: "Steps of setting up a PF and its VFs, by what came of them.",
            samples: steps.collect(),
        },
        Family {
            name: "linkspan_provisioning_refused",
            kind: Kind::Gauge,
            help: "What is left undone at a PF, and why; the log says more.",
            samples: refused.collect(),
        },
    ]
}
