//! What has come of setting up PFs: for the metrics.

use std::collections::BTreeMap;

use linkspan_types::PciAddress;

use super::plan::Refusal;
use super::steps::Outcome;

/// What has come of it up to now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcomes {
    /// How many steps were `done` or `failed`, by PF.
    pub(crate) steps: BTreeMap<(PciAddress, &'static str), u64>,
    /// What is refused now, by PF, as the configuration has it where there is none, and the reason's word.
    pub(crate) refused: BTreeMap<(String, &'static str), u64>,
}

impl Outcomes {
    pub(super) fn count(&mut self, outcome: &Outcome) {
        let done = outcome.done.iter().map(|(pf, _)| (*pf, "done"));
        let failed = outcome.failed.iter().map(|(pf, ..)| (*pf, "failed"));
        for step in done.chain(failed) {
            *self.steps.entry(step).or_default() += 1;
        }
    }

    /// Takes what is refused now. Returns whether it is anything else than before.
    pub(super) fn refuse(&mut self, refused: &[Refusal]) -> bool {
        let mut all = BTreeMap::new();
        for refusal in refused {
            *all.entry((refusal.pf(), refusal.word())).or_default() += 1;
        }
        let is_new = self.refused != all;
        self.refused = all;
        is_new
    }
}

impl Refusal {
    fn pf(&self) -> String {
        match self {
            Self::NoPf { pf, .. } => pf.clone(),
            Self::NoVfs { pf }
            | Self::TooMany { pf, .. }
            | Self::Conflict { pf, .. }
            | Self::PfInUse { pf, .. }
            | Self::VfInUse { pf, .. } => pf.to_string(),
        }
    }

    /// The reason in one word that stays the same.
    fn word(&self) -> &'static str {
        match self {
            Self::NoPf { .. } => "no_pf",
            Self::NoVfs { .. } => "no_vfs",
            Self::TooMany { .. } => "too_many",
            Self::Conflict { .. } => "conflict",
            Self::PfInUse { .. } => "pf_in_use",
            Self::VfInUse { .. } => "vf_in_use",
        }
    }
}
