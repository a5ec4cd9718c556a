#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use linkspan_tests::scrape::thread_time;
use serde_json::json;

use super::*;
use crate::inventory::Place;
use crate::pools::tests::{pools, vf};

/// As many VFs of eight PFs, in the order of their addresses.
fn vfs(count: u32) -> Vec<Member> {
    let at = |number: u32| {
        let (bus, index) = (number * 8 / count, number % (count / 8));
        let device = vf(bus, 0);
        let address = format!("0000:{bus:02x}:{:02x}.{}", index / 8, index % 8);
        let mut place = device.place.clone();
        if let Place::Vf { index: own, .. } = &mut place {
            *own = index;
        }
        let device = Device { id: address.parse().unwrap(), place, ..device };
        Member { device, health: Health::Healthy, needs: Needs::default() }
    };
    (0..count).map(at).collect()
}

/// What it takes to put the devices back of which every second one has come to be another pool's.
fn time_to_keep(count: u32) -> Duration {
    let pools = pools(json!([
        {"resourceName": "before", "selectors": {}},
        {"resourceName": "now", "selectors": {}},
    ]))
    .unwrap();
    let all = vfs(count);
    let devices = all.iter().map(|member| member.device.clone()).collect();
    let inventory = Inventory { devices, ..Inventory::default() };
    let offer = Offer { members: all.clone(), ..Offer::of(Arc::new(pools[0].clone())) };
    let is_odd = |member: &&Member| member.device.index().is_some_and(|index| index % 2 == 1);
    let (left, stayed) = all.iter().cloned().partition(|member| is_odd(&member));
    let (before, mut found) = ([Arc::new(offer)], [stayed, left]);
    let start = thread_time();
    let kept = keep(&pools, &before, &Kept::new(), &inventory, &mut found, Known::NotYet);
    let kept_for_none = gone(&kept, &pools[0], &found[0]);
    let time = thread_time().saturating_sub(start);
    assert_eq!(found, [all, Vec::new()]);
    assert_eq!((kept.len(), kept_for_none.len()), (count as usize / 2, 0));
    time
}

#[test]
fn to_put_a_device_back_costs_the_same_of_few_and_of_thousands() {
    let quickest = |count| (0..3).map(|_| time_to_keep(count)).min().unwrap();
    let (few, many) = (quickest(256), quickest(2048));
    // Eight times as long, but for what sorting and the processor's caches add.
    assert!(many < 24 * few, "2,048 took {many:?}, 256 took {few:?}");
}
