//! Which links the machine's default routes need: the tests must not take those away.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// The link with a default route that `name` is, or that rides on it (a bond, a bridge, a VLAN).
pub(super) fn depends_on(name: &str) -> Result<Option<String>> {
    let v4 = fs::read_to_string("/proc/net/route").context("can't read the routes")?;
    // A kernel without IPv6 has no such file.
    let v6 = fs::read_to_string("/proc/net/ipv6_route").unwrap_or_default();
    let links = links_of_v4(&v4).chain(links_of_v6(&v6));
    Ok(links.into_iter().find(|link| rides_on(link, name)).map(str::to_owned))
}

/// The links of default routes in the text of `/proc/net/route`.
fn links_of_v4(text: &str) -> impl Iterator<Item = &str> {
    text.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_default = fields.get(1) == Some(&"00000000") && fields.get(7) == Some(&"00000000");
        is_default.then(|| fields[0])
    })
}

/// The links of default routes in the text of `/proc/net/ipv6_route`; `lo` holds the one that
/// rejects.
fn links_of_v6(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_default = fields.first().is_some_and(|to| to.bytes().all(|digit| digit == b'0'))
            && fields.get(1) == Some(&"00");
        let link = fields.last()?;
        (is_default && *link != "lo").then_some(*link)
    })
}

/// Whether `link` is `name`, or is built on it at any depth.
fn rides_on(link: &str, name: &str) -> bool {
    let mut seen = BTreeSet::new();
    let mut ahead = vec![link.to_owned()];
    while let Some(link) = ahead.pop() {
        if link == name {
            return true;
        }
        let folder = Path::new("/sys/class/net").join(&link);
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        ahead.extend(entries.filter_map(|entry| {
            let lower = entry.file_name().to_str()?.strip_prefix("lower_")?.to_owned();
            seen.insert(lower.clone()).then_some(lower)
        }));
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_routes_are_told_from_others() {
        let v4 = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
            eth0\t00000000\t0102000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
            eth1\t0002000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
        assert_eq!(links_of_v4(v4).collect::<Vec<_>>(), ["eth0"]);
        let zeros = "0".repeat(32);
        let v6 = format!(
            "{zeros} 00 {zeros} 00 fe800000000000000000000000000001 00000400 1 0 00000003 eth2\n\
             {zeros} 00 {zeros} 00 {zeros} ffffffff 1 0 00200200 lo\n\
             fe80{} 40 {zeros} 00 {zeros} 00000100 1 0 00000001 eth3\n",
            "0".repeat(28)
        );
        assert_eq!(links_of_v6(&v6).collect::<Vec<_>>(), ["eth2"]);
    }
}
