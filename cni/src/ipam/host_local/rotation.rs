//! In which order a set of ranges gives its addresses: round robin, so that an address that was
//! given back rests as long as it can. Pure arithmetic; a range of any size costs nothing.

use std::net::IpAddr;

use linkspan_config::net_conf::{AddressRange, Span, Spans};

/// Every address of the ranges once, from the one after `last` on, around, and to `last` itself,
/// without those to skip. Where `last` is in none of the ranges, they start from the beginning.
pub(super) fn candidates<'a, 's>(
    ranges: &'a [AddressRange],
    last: Option<IpAddr>,
    skip: &'s Spans,
) -> impl Iterator<Item = (Span, &'a AddressRange)> + use<'a, 's> {
    let place = |(i, range): (usize, &AddressRange)| {
        let last = last.filter(|last| range.contains(*last))?;
        Some((i, last))
    };
    let whole = |range: &'a AddressRange| (range.span(), range);
    let mut parts = Vec::with_capacity(ranges.len() + 1);
    match ranges.iter().enumerate().find_map(place) {
        None => parts.extend(ranges.iter().map(whole)),
        Some((i, last)) => {
            let range = &ranges[i];
            let span = range.span();
            parts.extend(span.after(last).map(|rest| (rest, range)));
            parts.extend(ranges[i + 1..].iter().map(whole));
            parts.extend(ranges[..i].iter().map(whole));
            parts.extend(Span::new(span.first(), last).map(|begin| (begin, range)));
        }
    }
    parts.into_iter().flat_map(|(part, range)| skip.gaps(part).map(move |gap| (gap, range)))
}

/// How many addresses there are to give; for `::/0` one less than there are.
pub(super) fn count(ranges: &[AddressRange], withheld: &Spans) -> u128 {
    let given = ranges.iter().flat_map(|range| withheld.gaps(range.span()));
    given.fold(0, |sum: u128, gap| sum.saturating_add(gap.count()))
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

    /// The addresses in the order in which they are given.
    fn order(ranges: &[AddressRange], last: Option<IpAddr>, skip: &[IpAddr]) -> Vec<IpAddr> {
        let skip = skip.iter().copied().collect();
        candidates(ranges, last, &skip).flat_map(|(span, _)| span.addresses()).collect()
    }

    fn shown(ranges: &[AddressRange], last: &str, skip: &[IpAddr]) -> String {
        let all = order(ranges, last.parse().ok(), skip);
        all.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
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
            assert_eq!(shown(&v4, last, &[]), expected, "after {last}");
        }
        let skip = ["10.1.0.3".parse().unwrap(), "10.1.0.1".parse().unwrap()];
        assert_eq!(shown(&v4, "", &skip), "10.1.0.2 10.1.0.4 10.2.0.3 10.2.0.4");
        assert_eq!(count(&v4, &Spans::default()), 5);
        assert_eq!(count(&v4, &skip.into_iter().collect()), 4);
    }

    #[test]
    fn a_huge_range_costs_nothing() {
        let v6 = ranges(&[("fd00::/8", "", "")]);
        let last: IpAddr = "fdff:ffff:ffff:ffff:ffff:ffff:ffff:fffe".parse().unwrap();
        let taken: Spans =
            [Span::new("fd00::3".parse().unwrap(), last).unwrap()].into_iter().collect();
        let spans = candidates(&v6, Some(last), &taken).map(|(span, _)| span.to_string());
        let end = "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        assert_eq!(
            spans.collect::<Vec<_>>(),
            [format!("{end}-{end}"), "fd00::1-fd00::2".to_owned()]
        );
        let gateway = v6.iter().map(AddressRange::gateway).collect();
        assert_eq!(count(&v6, &gateway), (1 << 120) - 2);
        let all = ranges(&[("::/0", "", "")]);
        assert_eq!(count(&all, &Spans::default()), u128::MAX);
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
            let all = order(&ranges, None, &[]);
            prop_assert_eq!(all.len() as u128, count(&ranges, &Spans::default()));

            let last = last.index(all.len());
            let mut turned = all.clone();
            turned.rotate_left(last + 1);
            prop_assert_eq!(&order(&ranges, Some(all[last]), &[]), &turned);
            for (span, range) in candidates(&ranges, None, &Spans::default()) {
                prop_assert!(range.contains(span.first()) && range.contains(span.last()));
            }
            prop_assert_eq!(&order(&ranges, None, &all[..last])[..], &all[last..]);
        }
    }
}
