//! What the pools want of each PF that their selectors name. Pure.

use linkspan_config::resource_list::{Bind, Indices, Provision, Selector, VfDriver};
use linkspan_linux::VfChange;
use linkspan_types::{IfName, Mtu, PciAddress};

use super::plan::Refusal;
use crate::pools::Pool;

/// What is wanted of one PF, by all pools that name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) pf: PciAddress,
    pub(crate) num_vfs: Option<u16>,
    pub(crate) mtu: Option<Mtu>,
    /// What each pool wants of which VFs. A VF is as the first pool that names it wants it.
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    pool: String,
    /// A VF is meant that is in all of one of these.
    functions: Vec<Vec<Indices>>,
    provision: Provision,
}

/// What is wanted of one VF.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct VfWish {
    pub(crate) driver: Option<VfDriver>,
    /// What the PF is to have set for it.
    pub(crate) settings: VfChange,
}

/// What the pools want, PF by PF. `find` tells which PF has an interface.
pub(crate) fn wishes(
    pools: &[Pool],
    find: impl Fn(&IfName) -> Option<PciAddress>,
) -> (Vec<Wish>, Vec<Refusal>) {
    let (mut wishes, mut refusals) = (Vec::<Wish>::new(), Vec::new());
    for pool in pools {
        let name = pool.name.to_string();
        let mut pfs = Vec::new();
        for selector in &pool.resource.selectors {
            for pf in named(selector, &find) {
                match pf {
                    Ok(pf) if !pfs.contains(&pf) => pfs.push(pf),
                    Err(pf) if pool.resource.provision.is_some() => {
                        refusals.push(Refusal::NoPf { pool: name.clone(), pf });
                    }
                    _ => {}
                }
            }
        }
        for pf in pfs {
            let selectors = pool.resource.selectors.iter();
            let functions = selectors.filter_map(|selector| meant(selector, pf, &find)).collect();
            let provision = pool.resource.provision.clone().unwrap_or_default();
            let part = Part { pool: name.clone(), functions, provision };
            match wishes.iter_mut().find(|wish| wish.pf == pf) {
                Some(wish) => refusals.extend(wish.add(part)),
                None => wishes.push(Wish::new(pf, part)),
            }
        }
    }
    let wants = |wish: &Wish| wish.parts.iter().any(|part| part.provision != Provision::default());
    wishes.retain(wants);
    (wishes, refusals)
}

impl Wish {
    fn new(pf: PciAddress, part: Part) -> Self {
        let Provision { num_vfs, mtu, .. } = part.provision;
        Self { pf, num_vfs, mtu, parts: vec![part] }
    }

    /// Adds what another pool wants. Names and addresses may turn out to be the same PF only here.
    fn add(&mut self, part: Part) -> Option<Refusal> {
        let conflict = self.parts.iter().find_map(|before| {
            let (key, value) = before.provision.conflict(&part.provision)?;
            let (first, second) = (before.pool.clone(), part.pool.clone());
            Some(Refusal::Conflict { pf: self.pf, key, value, first, second })
        });
        self.num_vfs = self.num_vfs.or(part.provision.num_vfs);
        self.mtu = self.mtu.or(part.provision.mtu);
        self.parts.push(part);
        conflict
    }

    /// What is wanted of the VF with this index.
    pub(crate) fn vf(&self, index: u32) -> VfWish {
        let means = |part: &&Part| {
            part.functions.iter().any(|all| all.iter().all(|indices| indices.contain(index)))
        };
        let Some(part) = self.parts.iter().find(means) else { return VfWish::default() };
        let Provision { driver, trust, spoof_check, .. } = part.provision;
        VfWish { driver, settings: VfChange { trust, spoof_check, ..VfChange::default() } }
    }

    /// Whether the kernel is to give new VFs to their drivers; nothing where nobody cares.
    pub(super) fn autoprobe(&self) -> Option<bool> {
        let vfio = Some(VfDriver::VfioPci(Bind::Always));
        let all_vfio =
            self.num_vfs.is_some_and(|n| (0..n).all(|i| self.vf(i.into()).driver == vfio));
        let anybody_cares = self.parts.iter().any(|part| part.provision.driver.is_some());
        anybody_cares.then_some(!all_vfio)
    }

    /// Whether anything is wanted of what the PF has set for its VFs.
    pub(super) fn has_settings(&self) -> bool {
        self.parts.iter().any(|Part { provision: Provision { trust, spoof_check, .. }, .. }| {
            trust.is_some() || spoof_check.is_some()
        })
    }
}

/// The PFs that a selector names, or the names of those that there are not.
fn named(
    selector: &Selector,
    find: &impl Fn(&IfName) -> Option<PciAddress>,
) -> Vec<Result<PciAddress, String>> {
    let by_name = selector.pf_names.iter();
    let by_name = by_name.map(|functions| find(&functions.pf).ok_or(functions.pf.to_string()));
    let by_address = selector.root_devices.iter().map(|functions| Ok(functions.pf));
    let all: Vec<_> = by_name.chain(by_address).collect();
    let is_meant = |pf: &Result<PciAddress, String>| {
        pf.as_ref().map_or(true, |pf| meant(selector, *pf, find).is_some())
    };
    all.into_iter().filter(is_meant).collect()
}

/// Which VFs of a PF a selector means: those in all of the answer's sets. Nothing where it doesn't mean the PF.
fn meant(
    selector: &Selector,
    pf: PciAddress,
    find: &impl Fn(&IfName) -> Option<PciAddress>,
) -> Option<Vec<Indices>> {
    let mut all = Vec::new();
    if !selector.pf_names.is_empty() {
        let named = selector.pf_names.iter().filter(|functions| find(&functions.pf) == Some(pf));
        all.push(union(named.map(|functions| &functions.indices))?);
    }
    if !selector.root_devices.is_empty() {
        let named = selector.root_devices.iter().filter(|functions| functions.pf == pf);
        all.push(union(named.map(|functions| &functions.indices))?);
    }
    (!all.is_empty()).then_some(all)
}

fn union<'a>(sets: impl Iterator<Item = &'a Indices>) -> Option<Indices> {
    let mut ranges = Vec::new();
    for indices in sets {
        match indices {
            Indices::All => return Some(Indices::All),
            Indices::In(more) => ranges.extend(more.iter().cloned()),
        }
    }
    (!ranges.is_empty()).then_some(Indices::In(ranges))
}
