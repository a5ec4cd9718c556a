//! One call from the environment and standard input to standard output and exit status.

use std::io::{self, Write as _};
use std::process::ExitCode;

use linkspan_config::net_conf::KindName;
use serde_json::Value;

use crate::face::Face;
use crate::journal::JournalError;
use crate::node::Node;
use crate::spec::{Call, CniError, Code, Version, version_reply};
use crate::{attach, by_hand, check, detach, gc, ipam_plugin, log, status};

/// Serves one call. Without `CNI_COMMAND` it is a person who called.
#[must_use]
pub fn run() -> ExitCode {
    if std::env::var_os("CNI_COMMAND").is_none() {
        return by_hand::serve(std::env::args_os());
    }
    let (version, outcome) = match Call::read(|name| std::env::var_os(name), io::stdin().lock()) {
        Ok(call) => (call.version(), serve_logged(own_face(), call)),
        Err(error) => (Version::NEWEST, Err(error.into())),
    };
    let (reply, status) = match outcome {
        Ok(reply) => (reply, ExitCode::SUCCESS),
        Err(error) => (Some(error.to_json(version)), ExitCode::FAILURE),
    };
    match reply.map_or(Ok(()), |reply| writeln!(io::stdout(), "{reply}")) {
        Ok(()) => status,
        // Nobody reads the reply; what was done stays done, and the runtime will call DEL.
        Err(_) => ExitCode::FAILURE,
    }
}

fn serve_logged(face: Face, call: Call) -> Result<Option<Value>, CniError> {
    let verb = call.verb();
    log::begin(&call, face);
    let outcome = serve(face, call);
    log::end(verb, outcome.as_ref().map(Option::as_ref));
    outcome
}

fn own_face() -> Face {
    Face::of(&std::env::args_os().next().unwrap_or_default())
}

fn serve(face: Face, call: Call) -> Result<Option<Value>, CniError> {
    match face {
        Face::Ipam(name) => ipam_plugin::serve(name, call),
        Face::Main(kind) => serve_main(&Node::host(), call, Some(kind)),
        Face::Linkspan => serve_main(&Node::host(), call, None),
    }
}

fn serve_main(
    node: &Node,
    call: Call,
    called_as: Option<KindName>,
) -> Result<Option<Value>, CniError> {
    match call {
        Call::Add { netns, attachment } => {
            let result = attach::add(node, &netns, &attachment, called_as)?;
            Ok(Some(result.to_json(attachment.network.version)))
        }
        Call::Del { netns, attachment } => {
            detach::del(node, netns.as_deref(), &attachment, called_as).map(|()| None)
        }
        Call::Gc { valid, network } => gc::gc(node, &network, &valid).map(|()| None),
        Call::Status { network } => status::status(node, &network, called_as).map(|()| None),
        Call::Check { netns, attachment } => {
            check::check(node, &netns, &attachment, called_as).map(|()| None)
        }
        Call::Version { asked } => Ok(Some(version_reply(&asked))),
    }
}

impl From<JournalError> for CniError {
    fn from(error: JournalError) -> Self {
        let (code, advice) = match &error {
            JournalError::Io { .. } => {
                (Code::Io, "linkspan runs as root and keeps its state in /run/linkspan")
            }
            JournalError::Recorded(_) => {
                (Code::InvalidEnvironment, "A runtime calls DEL before it calls ADD again")
            }
            JournalError::Unreadable { .. } => {
                (Code::Io, "Remove the file if the pod that its name tells of is gone")
            }
        };
        Self::caused_by(code, &error, advice)
    }
}
