//! The folder of a network's reservations, in which other programs may have left anything, and the calls on it.

mod folder;
mod promises;

use std::net::IpAddr;

use linkspan_cni::ipam::host_local::{self, ReserveError};
use linkspan_cni::spec::AttachmentId;
use linkspan_config::NetworkName;
use linkspan_config::net_conf::{HostLocalConf, IpamCall, IpamConf, IpamName, RuntimeInputs};
use serde_json::{Map, Value, json};

use crate::refused::refused;
use folder::{Files, Folder};

/// Reads the input as a story: `{"ipam": {...}, "files": {NAME: TEXT, ...}, "calls": [...]}`. The section `ipam`
/// is host-local's; the files are there before the first call. A call is one of these, where an owner is
/// `CONTAINER/INTERFACE`, and the last four are not our own doing:
///
/// - `{"reserve": OWNER, "ips": [ADDRESS, ...]}`, of which `ips` may be missing
/// - `{"release": OWNER}`, `{"find": OWNER}`, `{"retain": [OWNER, ...]}`, `{"is_exhausted": true}`
/// - `{"ipam": {...}}`: the configuration is another one from now on
/// - `{"files": {NAME: TEXT, ...}}`: somebody removes these files and writes them anew; a text of `null` only
///   removes, and an object is a folder
/// - `{"damage": NUMBER, "to": NUMBER}`: a byte of the index, or eight for a greater number, is another one
/// - `{"reboot": true}`
pub fn data_dir(input: &[u8]) {
    let story = serde_json::from_slice::<Map<String, Value>>(input).unwrap_or_default();
    let Some(calls) = story.get("calls").and_then(Value::as_array) else { return };
    let mut scene = Scene::new();
    scene.step(&json!({ "ipam": story.get("ipam"), "files": story.get("files") }));
    for call in calls {
        scene.step(call);
    }
    scene.end();
}

/// A network, and what has become of its folder so far.
struct Scene {
    folder: Folder,
    network: NetworkName,
    /// The section `ipam`, and what it comes to.
    ipam: Map<String, Value>,
    conf: Option<HostLocalConf>,
    /// What is in the folder, or what is of a boot before this one and must go with the next call.
    files: Files,
    /// Whether the index is as we have left it, or knows that it is not.
    is_honest: bool,
    /// Whether nobody else has changed the folder since our last call.
    is_sealed: bool,
    /// Whether the machine has been started anew since then.
    is_rebooted: bool,
}

impl Scene {
    fn new() -> Self {
        Self {
            folder: Folder::new(),
            network: "net".parse().expect("a network can have this name"),
            ipam: Map::new(),
            conf: None,
            files: Files::default(),
            is_honest: true,
            is_sealed: false,
            is_rebooted: false,
        }
    }

    fn step(&mut self, call: &Value) {
        let texts = |key: &str| call.get(key).and_then(Value::as_array).into_iter().flatten();
        let owner_of = |key: &str| call.get(key).and_then(owner);
        if let Some(Value::Object(ipam)) = call.get("ipam") {
            self.ipam.clone_from(ipam);
            self.conf = self.parse(&[]);
        }
        if let Some(Value::Object(files)) = call.get("files") {
            let written = files.iter().filter(|(name, content)| self.folder.write(name, content));
            if written.count() > 0 {
                // How old the files are can't be made up, nor that they were there before the machine was started.
                (self.is_sealed, self.is_rebooted) = (false, false);
                self.files = self.folder.files();
            }
        }
        if let Some(owner) = owner_of("reserve") {
            let ips: Vec<Value> = texts("ips").cloned().collect();
            if let Some(conf) = self.parse(&ips) {
                self.reserve(&conf, &owner);
            }
        } else if let Some(owner) = owner_of("release") {
            self.release(&owner);
        } else if let Some(owner) = owner_of("find") {
            self.find(&owner);
        } else if call.get("retain").is_some() {
            self.retain(&texts("retain").filter_map(owner).collect::<Vec<_>>());
        } else if call.get("is_exhausted").is_some() {
            self.is_exhausted();
        } else if let Some(place) = call.get("damage").and_then(Value::as_u64)
            && !self.is_rebooted
        {
            let number = call.get("to").and_then(Value::as_u64).unwrap_or_default();
            self.is_honest &= !self.folder.damage_index(place, number);
        } else if call.get("reboot").is_some()
            && self.is_sealed
            && self.is_sound(&self.files)
            && self.folder.age_index()
        {
            self.is_rebooted = true;
            self.files.forget_reservations();
        }
    }

    /// What `ipam` comes to, where these addresses are asked for.
    fn parse(&self, ips: &[Value]) -> Option<HostLocalConf> {
        let mut ipam = self.ipam.clone();
        ipam.insert("dataDir".to_owned(), json!(self.folder.data_dir()));
        if let Some(text) = ipam.get("resolvConf").and_then(Value::as_str) {
            let path = self.folder.resolv_conf(text);
            ipam.insert("resolvConf".to_owned(), json!(path));
        }
        let config = json!({ "name": "net", "ipam": ipam, "runtimeConfig": { "ips": ips } });
        let config = config.as_object()?;
        let call = IpamCall::parse(config, &RuntimeInputs::default(), IpamName::HostLocal);
        match call.ok()?.ipam {
            IpamConf::HostLocal(conf) => Some(conf),
            _ => None,
        }
    }

    /// The folder before a call, and after it.
    fn around<T>(&mut self, call: impl FnOnce(&Self) -> T) -> (Files, T, &Files) {
        let outcome = call(self);
        (self.is_sealed, self.is_rebooted) = (true, false);
        let before = std::mem::replace(&mut self.files, self.folder.files());
        (before, outcome, &self.files)
    }

    /// Whether a call on this folder can't fail for want of a file, and knows all of them.
    fn is_sound(&self, files: &Files) -> bool {
        self.is_honest && !files.are_odd()
    }

    fn reserve(&mut self, conf: &HostLocalConf, owner: &AttachmentId) {
        let is_sound = self.is_sound(&self.files);
        let (before, reserved, after) =
            self.around(|scene| host_local::reserve(conf, &scene.network, owner));
        match reserved {
            Ok(result) => {
                let given: Vec<IpAddr> = result.ips.iter().map(|ip| ip.address.addr()).collect();
                promises::nothing_else_changed(&before, after, &given, |_| false);
                promises::given(conf, owner, &before, after, &given, is_sound);
            }
            Err(error) => {
                promises::nothing_else_changed(&before, after, &[], |_| false);
                if is_sound {
                    match &error {
                        ReserveError::Exhausted { .. } => {
                            assert!(promises::is_exhausted(conf, &before), "{error}");
                        }
                        ReserveError::Held { address, .. } => {
                            let holder = before.holder(*address).unwrap_or_default();
                            assert!(!holder.is_empty() && holder != folder::text_of(owner));
                        }
                        ReserveError::ResolvConf(_) => assert!(conf.resolv_conf.is_some()),
                        ReserveError::Store(_) => panic!("nothing stands in the way: {error:?}"),
                    }
                }
                refused(error);
            }
        }
    }

    fn release(&mut self, owner: &AttachmentId) {
        let is_sound = self.is_sound(&self.files);
        let (before, released, after) = self
            .around(|scene| host_local::release(&scene.folder.data_dir(), &scene.network, owner));
        let own = before.all_of(owner);
        promises::nothing_else_changed(&before, after, &[], |address| own.contains(&address));
        if is_sound {
            released.expect("nothing stands in the way");
            assert!(
                own.iter().all(|address| after.holder(*address).is_none()),
                "{owner:?} has {own:?}"
            );
        } else if let Err(error) = released {
            refused(error);
        }
    }

    fn find(&mut self, owner: &AttachmentId) {
        let is_sound = self.is_sound(&self.files);
        let (before, found, after) =
            self.around(|scene| host_local::find(&scene.folder.data_dir(), &scene.network, owner));
        promises::nothing_else_changed(&before, after, &[], |_| false);
        if is_sound {
            assert_eq!(found.expect("nothing stands in the way"), before.all_of(owner));
        } else if let Err(error) = found {
            refused(error);
        }
    }

    fn retain(&mut self, valid: &[AttachmentId]) {
        let is_sound = self.is_sound(&self.files);
        let (before, retained, after) = self
            .around(|scene| host_local::retain(&scene.folder.data_dir(), &scene.network, valid));
        let stays = |address| {
            before.holder(address).is_some_and(|holder| {
                let is = |owner: &AttachmentId| {
                    holder == folder::text_of(owner) || holder == owner.container_id.as_str()
                };
                valid.iter().any(is)
            })
        };
        promises::nothing_else_changed(&before, after, &[], |address| !stays(address));
        if is_sound {
            let mut freed: Vec<IpAddr> = retained
                .expect("nothing stands in the way")
                .into_iter()
                .map(|freed| freed.address)
                .collect();
            freed.sort_unstable();
            let all = before.reservations().into_keys();
            assert_eq!(freed, all.filter(|address| !stays(*address)).collect::<Vec<_>>());
            assert!(after.reservations().into_keys().all(stays));
        } else if let Err(error) = retained {
            refused(error);
        }
    }

    fn is_exhausted(&mut self) {
        let Some(conf) = self.conf.clone() else { return };
        let is_sound = self.is_sound(&self.files);
        let (before, is_exhausted, after) =
            self.around(|scene| host_local::is_exhausted(&conf, &scene.network));
        promises::nothing_else_changed(&before, after, &[], |_| false);
        if is_sound {
            let is_exhausted = is_exhausted.expect("nothing stands in the way");
            assert_eq!(is_exhausted, promises::is_exhausted(&conf, &before));
        } else if let Err(error) = is_exhausted {
            refused(error);
        }
    }

    /// Sees that everybody's reservations are known at last, and that he can give them back.
    fn end(&mut self) {
        for holder in self.files.reservations().into_values() {
            if let Some(owner) = owner(&Value::from(holder.replace("\r\n", "/"))) {
                self.find(&owner);
                self.release(&owner);
            }
        }
    }
}

/// An owner as a story names him.
fn owner(value: &Value) -> Option<AttachmentId> {
    let (container_id, if_name) = value.as_str()?.split_once('/')?;
    Some(AttachmentId { container_id: container_id.parse().ok()?, if_name: if_name.parse().ok()? })
}
