//! What the types of a configuration promise in their documentation, and can't express.

use std::path::{Component, Path};

use linkspan_config::net_conf::{
    DhcpConf, HostLocalConf, IpamConf, KindConf, MacChoice, MacvlanSharing, MacvtapSource, NetConf,
    Route, Span, StaticConf,
};
use linkspan_types::{MacAddr, MacvlanMode, VlanId};

pub(crate) fn network(conf: &NetConf) {
    let paths = [&conf.device_info_file, &conf.log.file];
    paths.into_iter().flatten().for_each(|path| stays(path));
    ipam(&conf.ipam);
    match &conf.kind {
        KindConf::Sriov(conf) => {
            assert!(conf.mac.is_none_or(MacAddr::is_assignable));
            assert!(conf.trunk.len() <= 64);
            assert!(conf.trunk.iter().all(|range| range.first <= range.last));
            assert!(conf.trunk.windows(2).all(|pair| pair[0].last < pair[1].first));
            assert!(conf.trunk.first().is_none_or(|range| range.first > VlanId::default()));
        }
        KindConf::Macvlan(conf) => {
            assignable(conf.mac);
            sharing(&conf.sharing);
        }
        KindConf::Ipvlan(_) => {}
        KindConf::Macvtap(conf) => {
            assignable(conf.mac);
            assert!(conf.owner < u32::MAX && conf.group < u32::MAX);
            if let MacvtapSource::Parent { sharing: how, queues, .. } = &conf.source {
                sharing(how);
                assert!(queues.is_none_or(|queues| (1..=256).contains(&queues)));
            }
        }
    }
}

pub(crate) fn ipam(conf: &IpamConf) {
    match conf {
        IpamConf::HostLocal(conf) => host_local(conf),
        IpamConf::Static(conf) => statics(conf),
        IpamConf::Dhcp(conf) => dhcp(conf),
        IpamConf::Delegate(plugin) => {
            assert_eq!(Path::new(plugin.as_str()).components().count(), 1);
        }
        IpamConf::None => {}
    }
}

fn host_local(conf: &HostLocalConf) {
    stays(&conf.data_dir);
    conf.resolv_conf.iter().for_each(|path| stays(path));
    routes(&conf.routes);
    assert!(!conf.sets.is_empty());
    let withheld = conf.withheld();
    let mut spans: Vec<Span> = Vec::new();
    for set in &conf.sets {
        let is_ipv4 = set.ranges[0].is_ipv4();
        for range in &set.ranges {
            assert!(range.is_ipv4() == is_ipv4, "a set of both families");
            let (subnet, span) = (range.subnet(), range.span());
            assert!(subnet.contains(&span.first()) && subnet.contains(&span.last()));
            assert!(withheld.contains(range.gateway()));
            spans.push(span);
        }
        if let Some(wanted) = set.requested {
            assert!(set.range_of(wanted).is_some() && !withheld.contains(wanted));
        }
    }
    spans.sort_unstable();
    assert!(spans.windows(2).all(|pair| pair[0].last() < pair[1].first()), "an address twice");
}

fn statics(conf: &StaticConf) {
    routes(&conf.routes);
    for (index, ip) in conf.addresses.iter().enumerate() {
        let address = ip.address.addr();
        assert!(!address.is_unspecified() && !address.is_multicast());
        assert!(conf.addresses[..index].iter().all(|other| other.address != ip.address));
        if let Some(gateway) = ip.gateway {
            assert!(gateway.is_ipv4() == address.is_ipv4(), "{gateway} can't be that of {address}");
            assert!(gateway != address, "{address} is its own gateway");
        }
    }
}

fn dhcp(conf: &DhcpConf) {
    stays(&conf.socket);
    assert!(conf.prefetch.is_none_or(|leases| leases.get() <= 256));
    for (index, code) in conf.request.iter().enumerate() {
        assert!((1..=254).contains(code) && !conf.request[..index].contains(code));
    }
    for (index, option) in conf.provide.iter().enumerate() {
        assert!((1..=254).contains(&option.code) && ![50, 52, 53, 54, 55].contains(&option.code));
        assert!(conf.provide[..index].iter().all(|other| other.code != option.code));
        assert!(option.value.as_ref().is_none_or(|value| (1..=255).contains(&value.len())));
        assert!(option.value.is_some() || option.argument.is_some());
    }
}

fn routes(routes: &[Route]) {
    for Route { dst, gw, .. } in routes {
        assert_eq!(*dst, dst.trunc());
        assert!(gw.is_none_or(|gw| gw.is_ipv4() == dst.addr().is_ipv4()));
    }
}

fn assignable(mac: MacChoice) {
    assert!(!matches!(mac, MacChoice::This(mac) if !mac.is_assignable()));
}

fn sharing(sharing: &MacvlanSharing) {
    assert_eq!(sharing.mode == MacvlanMode::Source, !sharing.sources.is_empty());
    assert!(sharing.sources.len() <= 1024);
    assert!(sharing.sources.iter().all(|mac| mac.is_assignable()));
}

/// A path from outside leads where it says.
fn stays(path: &Path) {
    assert!(path.is_absolute(), "{}", path.display());
    assert!(path.components().all(|part| part != Component::ParentDir), "{}", path.display());
}
