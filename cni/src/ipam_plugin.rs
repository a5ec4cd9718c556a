//! The program called as `host-local`, `static` or `dhcp`: an IPAM plugin, which the main plugins of others run for
//! their attachments (CNI 1.1.0, section 4). It answers with addresses, and touches no link but to ask a DHCP server
//! over it.

use std::path::Path;

use linkspan_config::net_conf::{IpamCall, IpamName, TeardownConf};
use linkspan_linux::{Link, LinkKind, RouteSocket};
use serde_json::Value;

use crate::check::verdict;
use crate::gc;
use crate::ipam::dhcp::{self, PodLink};
use crate::ipam::{Ipam, host_local};
use crate::pod::Pod;
use crate::spec::{AddResult, Attachment, Call, CniError, Code, version_reply};
use crate::status;

/// Serves one call of an IPAM plugin.
pub fn serve(called_as: IpamName, call: Call) -> Result<Option<Value>, CniError> {
    match call {
        Call::Add { netns, attachment } => {
            let result = add(called_as, &netns, &attachment)?;
            Ok(Some(result.to_ipam_json(attachment.network.version)))
        }
        Call::Del { attachment, .. } => del(called_as, &attachment).map(|()| None),
        Call::Check { netns, attachment } => check(called_as, &netns, &attachment).map(|()| None),
        Call::Gc { valid, network } => {
            let conf = TeardownConf::parse_ipam_call(&network.config, called_as)?;
            gc::free_addresses(&conf, &valid).map(|()| None)
        }
        Call::Status { network } => {
            let conf = IpamCall::parse_for_status(&network.config, called_as)?;
            status::an_address_is_left(&conf.ipam, &conf.name, &network).map(|()| None)
        }
        Call::Version { asked } => Ok(Some(version_reply(&asked))),
    }
}

fn add(called_as: IpamName, netns: &Path, attachment: &Attachment) -> Result<AddResult, CniError> {
    let conf = conf_of(called_as, attachment)?;
    let ipam = Ipam::of_section(&conf.ipam, &conf.name, attachment, netns);
    if !ipam.is_after_up() {
        return ipam.reserve(None);
    }
    let mut pod = Pod::of_caller(netns)?;
    let link = link_of(pod.socket()?, attachment)?;
    let is_ipvlan = matches!(link.kind, LinkKind::Ipvlan { .. });
    ipam.reserve(Some(PodLink { pod: &mut pod, link: &mut (&link).into(), is_ipvlan }))
}

/// The link that the main plugin has made.
fn link_of(socket: &mut RouteSocket, attachment: &Attachment) -> Result<Link, CniError> {
    let name = &attachment.id.if_name;
    match socket.link_by_name(name) {
        Err(e) if e.is_missing() => Err(CniError::new(
            Code::InvalidEnvironment,
            format!("CNI_IFNAME is {name}, but the pod has no interface of this name"),
            "A DHCP server is asked over the link, which the main plugin has to make before it asks for an address",
        )),
        link => Ok(link?),
    }
}

/// What ADD has refused can't have got an address, so nothing but the name must be there.
fn del(called_as: IpamName, attachment: &Attachment) -> Result<(), CniError> {
    let conf = TeardownConf::parse_ipam_call(&attachment.network.config, called_as)?;
    if let Some(folder) = &conf.host_local_data_dir {
        host_local::release(folder, &conf.name, &attachment.id)?;
    }
    if let Some(socket) = &conf.dhcp_socket {
        dhcp::release(socket, &conf.name, &attachment.id);
    }
    Ok(())
}

/// The addresses of `prevResult` must still be reserved, or in the configuration.
fn check(called_as: IpamName, netns: &Path, attachment: &Attachment) -> Result<(), CniError> {
    let conf = conf_of(called_as, attachment)?;
    let Some(prev) = attachment.network.config.get("prevResult") else {
        return Err(CniError::new(
            Code::InvalidConfig,
            "`prevResult` is nothing, expected the result of ADD",
            "The runtime hands it to CHECK, and the main plugin on to this one",
        ));
    };
    let given = AddResult::parse_prev(prev)?;
    let ipam = Ipam::of_section(&conf.ipam, &conf.name, attachment, netns);
    verdict(&ipam.check(given)?.1)
}

fn conf_of(called_as: IpamName, attachment: &Attachment) -> Result<IpamCall, CniError> {
    let inputs = attachment.args.runtime_inputs();
    Ok(IpamCall::parse(&attachment.network.config, &inputs, called_as)?)
}
