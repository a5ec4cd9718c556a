//! Sets of spans do what sets of single addresses do.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn span(text: &str) -> Span {
    text.parse().unwrap()
}

fn shown(spans: impl IntoIterator<Item = Span>) -> String {
    spans.into_iter().map(|span| span.to_string()).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_span_is_an_address_a_subnet_or_two_addresses() {
    for (text, shown) in [
        ("10.1.2.3", "10.1.2.3-10.1.2.3"),
        ("10.1.2.0/30", "10.1.2.0-10.1.2.3"),
        ("0.0.0.0/0", "0.0.0.0-255.255.255.255"),
        ("10.1.2.3-10.1.3.4", "10.1.2.3-10.1.3.4"),
        ("fd00::1 - fd00::1", "fd00::1-fd00::1"),
        ("::/0", "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ] {
        assert_eq!(span(text).to_string(), shown);
    }
    for text in [
        "",
        "-",
        "10.1.2",
        "10.1.2.3/24",
        "10.1.2.0/33",
        "10.1.2.3-10.1.2.2",
        "10.1.2.3-fd00::1",
        "10.1.2.0/24-10.1.3.0/24",
        "10.1.2.3-4",
    ] {
        assert!(text.parse::<Span>().is_err(), "{text:?} was taken");
    }
}

#[test]
fn spans_that_touch_become_one_and_families_never_do() {
    let mut spans: Spans =
        ["10.0.0.1", "10.0.0.3", "255.255.255.255", "::"].map(span).into_iter().collect();
    assert_eq!(shown(spans.iter().take(2)), "10.0.0.1-10.0.0.1 10.0.0.3-10.0.0.3");
    spans.insert(span("10.0.0.2"));
    assert_eq!(shown(spans.iter()), "10.0.0.1-10.0.0.3 255.255.255.255-255.255.255.255 ::-::");
    spans.remove(span("10.0.0.2-255.255.255.255"));
    assert_eq!(shown(spans.iter()), "10.0.0.1-10.0.0.1 ::-::");
}

#[test]
fn the_ends_of_a_family_are_no_special_case() {
    for all in ["0.0.0.0/0", "::/0"].map(span) {
        let mut spans = Spans::default();
        assert_eq!(shown(spans.gaps(all)), all.to_string());
        spans.insert(all);
        assert_eq!(shown(spans.gaps(all)), "");
        assert_eq!(all.after(all.last()), None);
        spans.remove(all);
        assert_eq!(spans, Spans::default());
    }
    assert_eq!(span("0.0.0.0/0").count(), 1 << 32);
    assert_eq!(span("::/0").count(), u128::MAX);
}

/// The first or the last addresses of a family, so that its ends are among them.
fn address(v6: bool, high: bool, n: u8) -> IpAddr {
    let high = u128::MAX * u128::from(high);
    let number = high & !0xff | u128::from(n);
    if v6 {
        Ipv6Addr::from(number).into()
    } else {
        Ipv4Addr::from(number.to_be_bytes().last_chunk::<4>().copied().unwrap()).into()
    }
}

proptest! {
    #[test]
    fn a_set_of_spans_is_a_set_of_addresses(
        v6: bool, high: bool,
        steps in proptest::collection::vec((any::<bool>(), 0u8.., 0u8..40), 0..40),
        whole in (0u8.., 0u8..),
    ) {
        let at = |n| address(v6, high, n);
        let (mut spans, mut model) = (Spans::default(), BTreeSet::new());
        for (adds, first, more) in steps {
            let span = Span::new(at(first), at(first.saturating_add(more))).unwrap();
            if adds {
                spans.insert(span);
                model.extend(span.addresses());
            } else {
                spans.remove(span);
                model.retain(|address| !span.contains(*address));
            }
            prop_assert!(spans.iter().flat_map(Span::addresses).eq(model.iter().copied()));
            let apart = |(a, b): (Span, Span)| next(a.last).unwrap() < b.first;
            prop_assert!(spans.iter().zip(spans.iter().skip(1)).all(apart));
        }
        let whole = Span::new(at(whole.0.min(whole.1)), at(whole.0.max(whole.1))).unwrap();
        let free = whole.addresses().filter(|address| !model.contains(address));
        prop_assert!(spans.gaps(whole).flat_map(Span::addresses).eq(free));
        for address in whole.addresses() {
            prop_assert_eq!(spans.contains(address), model.contains(&address));
        }
        prop_assert_eq!(whole.count(), whole.addresses().count() as u128);
        let after = whole.after(whole.first).map(|rest| rest.addresses().collect::<Vec<_>>());
        prop_assert_eq!(after.unwrap_or_default(), whole.addresses().skip(1).collect::<Vec<_>>());
    }
}
