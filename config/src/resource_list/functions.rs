//! A PF and some of its VFs, in the peer's notation: `ens1f0`, `ens1f0#0,2-7`.

use std::ops::RangeInclusive;
use std::str::FromStr;

/// A PF, by name or by address, and which of its VFs are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Functions<T> {
    /// The PF.
    pub pf: T,
    /// Which of its VFs.
    pub indices: Indices,
}

/// Indices of VFs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Indices {
    /// Every VF of the PF.
    All,
    /// The VFs in one of these ranges, of which there is at least one.
    In(Vec<RangeInclusive<u32>>),
}

impl Indices {
    /// Whether the VF of that index is meant.
    #[must_use]
    pub fn contain(&self, index: u32) -> bool {
        match self {
            Self::All => true,
            Self::In(ranges) => ranges.iter().any(|range| range.contains(&index)),
        }
    }
}

impl<T: FromStr> Functions<T> {
    /// Nothing where the text is not a PF, or a PF with `#` and rising ranges joined by commas.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (pf, indices) = match text.split_once('#') {
            None => (text, Indices::All),
            Some((pf, ranges)) => {
                (pf, Indices::In(ranges.split(',').map(range).collect::<Option<_>>()?))
            }
        };
        Some(Self { pf: pf.parse().ok()?, indices })
    }
}

fn range(text: &str) -> Option<RangeInclusive<u32>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (index(first)?, index(last)?);
    (first <= last).then_some(first..=last)
}

fn index(text: &str) -> Option<u32> {
    // The SR-IOV specification gives a PF at most 65535 VFs. `parse` alone would also take a sign.
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse::<u16>().ok()).flatten().map(u32::from)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use linkspan_types::{IfName, PciAddress};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_are_read_as_the_peer_means_them() {
        let table: [(&str, Indices, &[u32], &[u32]); 5] = [
            ("ens1f0", Indices::All, &[0, 65_534], &[]),
            ("ens1f0#3", Indices::In(vec![3..=3]), &[3], &[2, 4]),
            ("ens1f0#0,2-7", Indices::In(vec![0..=0, 2..=7]), &[0, 2, 7], &[1, 8]),
            ("ens1f0#2-7,9", Indices::In(vec![2..=7, 9..=9]), &[2, 9], &[0, 8]),
            ("ens1f0#5-5", Indices::In(vec![5..=5]), &[5], &[4, 6]),
        ];
        for (text, indices, inside, outside) in table {
            let parsed = Functions::<IfName>::parse(text).unwrap();
            assert_eq!(parsed.pf.as_str(), "ens1f0");
            assert_eq!(parsed.indices, indices, "{text}");
            assert!(inside.iter().all(|index| indices.contain(*index)), "{text}");
            assert!(!outside.iter().any(|index| indices.contain(*index)), "{text}");
        }
    }

    #[test]
    fn a_pf_may_be_an_address() {
        let parsed = Functions::<PciAddress>::parse("0000:3B:00.0#1-2").unwrap();
        assert_eq!(parsed.pf.to_string(), "0000:3b:00.0");
        assert!(Functions::<PciAddress>::parse("3b:00.0#1-2").is_none());
    }

    #[test]
    fn what_selects_nothing_is_refused() {
        for ranges in
            ["", ",", "1,", "-", "1-", "-1", "7-2", "a", "+1", " 1", "1, 2", "65536", "1#2"]
        {
            let text = format!("ens1f0#{ranges}");
            assert!(Functions::<IfName>::parse(&text).is_none(), "{text:?} was taken");
        }
        assert!(Functions::<IfName>::parse("#1").is_none());
    }

    proptest! {
        #[test]
        fn a_range_holds_its_ends_and_nothing_outside(first in 1u32..65_000, more in 0u32..500) {
            let last = first + more;
            let parsed = Functions::<IfName>::parse(&format!("ens1#{first}-{last}")).unwrap();
            let contains = |index| parsed.indices.contain(index);
            prop_assert!(contains(first) && contains(last));
            prop_assert!(!contains(first - 1) && !contains(last + 1));
        }

        #[test]
        fn no_text_makes_it_panic(text: String) {
            let _ = Functions::<IfName>::parse(&text);
        }
    }
}
