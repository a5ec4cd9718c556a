//! In which order a set of ranges gives its addresses: round robin, so that an address that was
//! given back rests as long as it can. Pure arithmetic; a range of any size costs nothing.

use std::net::IpAddr;

use linkspan_config::net_conf::AddressRange;

/// Every address of the ranges once, from the one after `last` on, around, and to `last` itself,
/// without those to skip. Where `last` is in none of the ranges, they start from the beginning.
pub(super) fn candidates<'a, 's>(
    ranges: &'a [AddressRange],
    last: Option<IpAddr>,
    skip: &'s [IpAddr],
) -> impl Iterator<Item = (IpAddr, &'a AddressRange)> + use<'a, 's> {
    let place = |(i, range): (usize, &AddressRange)| Some((i, range.offset_of(last?)?));
    let whole = |range: &'a AddressRange| (range, 0, range.last_offset());
    let mut spans = Vec::with_capacity(ranges.len() + 1);
    match ranges.iter().enumerate().find_map(place) {
        None => spans.extend(ranges.iter().map(whole)),
        Some((i, offset)) => {
            let range = &ranges[i];
            if offset < range.last_offset() {
                spans.push((range, offset + 1, range.last_offset()));
            }
            spans.extend(ranges[i + 1..].iter().map(whole));
            spans.extend(ranges[..i].iter().map(whole));
            spans.push((range, 0, offset));
        }
    }
    spans
        .into_iter()
        .flat_map(|(range, from, to)| {
            (from..=to).filter_map(move |offset| Some((range.address_at(offset)?, range)))
        })
        .filter(|(address, _)| !skip.contains(address))
}

/// How many addresses there are to give; for `::/0` one less than there are.
pub(super) fn count(ranges: &[AddressRange], skip: &[IpAddr]) -> u128 {
    let all = ranges
        .iter()
        .fold(0_u128, |sum, range| sum.saturating_add(range.last_offset().saturating_add(1)));
    let mut skipped: Vec<IpAddr> =
        skip.iter().copied().filter(|a| ranges.iter().any(|range| range.contains(*a))).collect();
    skipped.sort_unstable();
    skipped.dedup();
    all.saturating_sub(skipped.len() as u128)
}

#[cfg(test)]
mod tests {
    use super::*;
    use linkspan_config::net_conf::{IpamConf, NetConf, RuntimeInputs};
    use proptest::prelude::*;
    use serde_json::json;

    /// One set of ranges, made as a user makes it.
    fn ranges(of: &[(&str, &str, &str)]) -> Vec<AddressRange> {
        let range = |(subnet, start, end): &(&str, &str, &str)| json!({ "subnet": subnet, "rangeStart": start, "rangeEnd": end });
        let ranges: Vec<_> = of.iter().map(range).collect();
        let conf = json!({
            "name": "n", "type": "sriov", "deviceID": "0000:3b:02.1",
            "ipam": { "type": "host-local", "ranges": [ranges] },
        });
        let conf = serde_json::from_value(conf).unwrap();
        match NetConf::parse(&conf, &RuntimeInputs::default(), None).unwrap().ipam {
            IpamConf::HostLocal(mut conf) => conf.sets.remove(0).ranges,
            _ => unreachable!("the configuration has host-local"),
        }
    }

    fn order(ranges: &[AddressRange], last: &str, skip: &[IpAddr]) -> String {
        let all = candidates(ranges, last.parse().ok(), skip).take(8);
        all.map(|(address, _)| address.to_string()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn it_goes_around_from_the_last_one() {
        let v4 = ranges(&[
            ("10.1.0.0/29", "10.1.0.2", "10.1.0.4"),
            ("10.2.0.0/29", "10.2.0.3", "10.2.0.4"),
        ]);
        let table = [
            ("", "10.1.0.2 10.1.0.3 10.1.0.4 10.2.0.3 10.2.0.4"),
            ("10.9.9.9", "10.1.0.2 10.1.0.3 10.1.0.4 10.2.0.3 10.2.0.4"),
            ("10.1.0.2", "10.1.0.3 10.1.0.4 10.2.0.3 10.2.0.4 10.1.0.2"),
            ("10.1.0.4", "10.2.0.3 10.2.0.4 10.1.0.2 10.1.0.3 10.1.0.4"),
            ("10.2.0.4", "10.1.0.2 10.1.0.3 10.1.0.4 10.2.0.3 10.2.0.4"),
        ];
        for (last, expected) in table {
            assert_eq!(order(&v4, last, &[]), expected, "after {last}");
        }
        let skip = ["10.1.0.3".parse().unwrap(), "10.1.0.1".parse().unwrap()];
        assert_eq!(order(&v4, "", &skip), "10.1.0.2 10.1.0.4 10.2.0.3 10.2.0.4");
        assert_eq!((count(&v4, &[]), count(&v4, &skip)), (5, 4));
    }

    #[test]
    fn a_huge_range_costs_nothing() {
        let v6 = ranges(&[("fd00::/8", "", "")]);
        let last = "fdff:ffff:ffff:ffff:ffff:ffff:ffff:fffe";
        assert_eq!(
            order(&v6, last, &[]).split(' ').take(3).collect::<Vec<_>>(),
            ["fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fd00::1", "fd00::2"]
        );
        assert_eq!(count(&v6, &["fd00::1".parse().unwrap()]), (1 << 120) - 2);
        let all = ranges(&[("::/0", "", "")]);
        assert_eq!(count(&all, &[]), u128::MAX);
    }

    proptest! {
        #[test]
        fn each_address_comes_once_and_the_last_one_last(
            sizes in proptest::collection::vec((1u8..100, 0u8..100), 1..4),
            last: prop::sample::Index,
            v6: bool,
        ) {
            let text = |i: usize, host: u8| {
                if v6 { format!("fd00:{i}::{host:x}") } else { format!("10.{i}.0.{host}") }
            };
            let spans: Vec<_> = sizes.iter().enumerate().map(|(i, (start, more))| {
                let net = if v6 { format!("fd00:{i}::/64") } else { format!("10.{i}.0.0/24") };
                (net, text(i, *start), text(i, start + more))
            }).collect();
            let spans: Vec<_> =
                spans.iter().map(|(a, b, c)| (a.as_str(), b.as_str(), c.as_str())).collect();
            let ranges = ranges(&spans);
            let all: Vec<IpAddr> = candidates(&ranges, None, &[]).map(|(a, _)| a).collect();
            prop_assert_eq!(all.len() as u128, count(&ranges, &[]));

            let last = last.index(all.len());
            let mut turned = all.clone();
            turned.rotate_left(last + 1);
            let after: Vec<IpAddr> =
                candidates(&ranges, Some(all[last]), &[]).map(|(a, _)| a).collect();
            prop_assert_eq!(&after, &turned);
            for (address, range) in candidates(&ranges, None, &[]) {
                prop_assert!(range.contains(address));
            }

            let skipped: Vec<IpAddr> =
                candidates(&ranges, None, &all[..last]).map(|(a, _)| a).collect();
            prop_assert_eq!(&skipped[..], &all[last..]);
        }
    }
}
