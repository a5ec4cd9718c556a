//! What a call may have done to the folder, and what it must have.

use std::net::IpAddr;

use linkspan_cni::spec::AttachmentId;
use linkspan_config::net_conf::{HostLocalConf, RangeSet, Spans};

use super::folder::{Files, address, text_of};

/// Sees that nothing has come but what was given, and that nothing has gone but what may go and what nobody
/// had. The files that have no owner are left out.
pub(super) fn nothing_else_changed(
    before: &Files,
    after: &Files,
    given: &[IpAddr],
    may_go: impl Fn(IpAddr) -> bool,
) {
    let is_ours = |name: &str| {
        name == "lock" || name.starts_with(".linkspan") || name.starts_with("last_reserved_ip.")
    };
    for (name, was) in before.all.iter().filter(|(name, _)| !is_ours(name)) {
        let address = address(name);
        let is_nobodys =
            address.is_some_and(|address| before.holder(address).as_deref() == Some(""));
        let is_given = address.is_some_and(|address| given.contains(&address));
        match after.all.get(name) {
            None => assert!(is_nobodys || address.is_some_and(&may_go), "{name} is gone: {was:?}"),
            Some(is) => {
                assert!(is == was || (is_nobodys && is_given), "{name} was {was:?}, is {is:?}");
            }
        }
    }
    for name in after.all.keys().filter(|name| !is_ours(name) && !before.all.contains_key(*name)) {
        assert!(address(name).is_some_and(|address| given.contains(&address)), "{name} has come");
    }
}

/// Sees that an owner was given one address of each set, each of which was free or his. An address that names his
/// container and no interface is not his to be given: it may be that of another interface.
pub(super) fn given(
    conf: &HostLocalConf,
    owner: &AttachmentId,
    before: &Files,
    after: &Files,
    given: &[IpAddr],
    is_sound: bool,
) {
    let withheld = conf.withheld();
    let (own, his) = (before.own(owner), text_of(owner));
    assert_eq!(given.len(), conf.sets.len());
    for (address, set) in given.iter().zip(&conf.sets) {
        assert!(set.range_of(*address).is_some(), "{address} is of no range of its set");
        let had = before.holder(*address).unwrap_or_default();
        assert!(had.is_empty() || had == his, "{address} was {had}'s");
        assert_eq!(after.holder(*address).as_ref(), Some(&his), "{address} is not his");
        let is_new = had.is_empty();
        assert!(!is_new || !withheld.contains(*address), "{address} is no pod's to have");
        match set.requested {
            Some(wanted) => assert_eq!(*address, wanted),
            None if is_sound && is_new => {
                let had = own.iter().find(|address| set.range_of(**address).is_some());
                assert_eq!(had, None, "{address} is his second of its set");
            }
            None => {}
        }
    }
}

/// Whether a set of ranges has no address that nobody has.
pub(super) fn is_exhausted(conf: &HostLocalConf, files: &Files) -> bool {
    let mut skip = conf.withheld();
    skip.extend(files.reservations().into_keys());
    let is_full = |set: &RangeSet, skip: &Spans| {
        set.ranges.iter().all(|range| skip.gaps(range.span()).next().is_none())
    };
    conf.sets.iter().any(|set| is_full(set, &skip))
}
