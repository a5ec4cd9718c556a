//! One call of the plugin: environment and standard input, read into what can't be wrong.

use std::ffi::OsString;
use std::io::Read;
use std::path::PathBuf;

use linkspan_config::ContainerId;
use linkspan_types::IfName;
use serde_json::{Map, Value};

use super::args::CniArgs;
use super::call_error::CallError;
use super::version::Version;

/// What the runtime wants (CNI 1.1.0, section 2).
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    /// Attach a pod to a network.
    Add {
        /// The pod's network namespace.
        netns: PathBuf,
        /// Which attachment.
        attachment: Attachment,
    },
    /// Undo an attachment, if there is one.
    Del {
        /// The pod's network namespace; none where it is gone.
        netns: Option<PathBuf>,
        /// Which attachment.
        attachment: Attachment,
    },
    /// See whether an attachment is as ADD left it.
    Check {
        /// The pod's network namespace.
        netns: PathBuf,
        /// Which attachment.
        attachment: Attachment,
    },
    /// Undo all attachments of a network but these.
    Gc {
        /// The attachments that stay.
        valid: Vec<AttachmentId>,
        /// The network.
        network: Network,
    },
    /// See whether ADD can work now.
    Status {
        /// The network.
        network: Network,
    },
    /// Say which versions are spoken.
    Version {
        /// The version that was asked with.
        asked: String,
    },
}

/// The network that a call is about.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// The configuration, of which nothing but the version is checked.
    pub config: Map<String, Value>,
    /// The configuration's version, in which the call is answered.
    pub version: Version,
    /// `CNI_PATH`: where other plugins are found.
    pub path: Vec<PathBuf>,
}

/// The attachment that a call is about.
#[derive(Clone, Debug, PartialEq)]
pub struct Attachment {
    /// Which interface of which pod.
    pub id: AttachmentId,
    /// `CNI_ARGS`; nothing but its text for DEL where it makes no sense, because ADD has refused it.
    pub args: CniArgs,
    /// The network.
    pub network: Network,
}

/// One interface of one pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachmentId {
    /// `CNI_CONTAINERID`.
    pub container_id: ContainerId,
    /// `CNI_IFNAME`: what the interface is called in the pod.
    pub if_name: IfName,
}

/// How many bytes a configuration may have.
const STDIN_LIMIT: u64 = 1 << 20;
const PATH: &str = "CNI_PATH";
const CONTAINER_ID: &str = "CNI_CONTAINERID";
const NETNS: &str = "CNI_NETNS";
const IF_NAME: &str = "CNI_IFNAME";
const ARGS: &str = "CNI_ARGS";

impl Call {
    /// Reads a call; `env` looks a variable up, as `std::env::var_os` does.
    pub fn read(
        env: impl Fn(&str) -> Option<OsString>,
        stdin: impl Read,
    ) -> Result<Self, CallError> {
        let env = Environment { lookup: env };
        let verb = env.text("CNI_COMMAND")?.unwrap_or_default();
        match verb.as_str() {
            "ADD" => {
                env.require("ADD", &[CONTAINER_ID, NETNS, IF_NAME, PATH])?;
                let (netns, args) = (env.netns()?.unwrap_or_default(), env.args()?);
                let attachment = env.attachment(args, stdin, "ADD", Version::V0_3_0)?;
                Ok(Self::Add { netns, attachment })
            }
            "DEL" => {
                env.require("DEL", &[CONTAINER_ID, IF_NAME, PATH])?;
                let (netns, args) = (env.netns()?, env.args_if_sound());
                let attachment = env.attachment(args, stdin, "DEL", Version::V0_3_0)?;
                Ok(Self::Del { netns, attachment })
            }
            "CHECK" => {
                env.require("CHECK", &[CONTAINER_ID, NETNS, IF_NAME, PATH])?;
                let (netns, args) = (env.netns()?.unwrap_or_default(), env.args()?);
                let attachment = env.attachment(args, stdin, "CHECK", Version::V0_4_0)?;
                Ok(Self::Check { netns, attachment })
            }
            "GC" => {
                env.require("GC", &[PATH])?;
                let network = env.network(stdin, "GC", Version::V1_1_0)?;
                Ok(Self::Gc { valid: valid_attachments(&network.config)?, network })
            }
            "STATUS" => {
                Ok(Self::Status { network: env.network(stdin, "STATUS", Version::V1_1_0)? })
            }
            "VERSION" => Ok(Self::Version { asked: asked_version(stdin)? }),
            "" => Err(CallError::MissingEnvironment {
                names: "CNI_COMMAND is".to_owned(),
                verb: "any call",
            }),
            _ => Err(CallError::InvalidEnvironment {
                name: "CNI_COMMAND",
                value: verb.chars().take(64).collect(),
                expected: "ADD, DEL, CHECK, GC, STATUS or VERSION".to_owned(),
                advice: "The container runtime sets it; verbs are written in capitals".to_owned(),
            }),
        }
    }
}

impl Call {
    /// The verb, as it is called by.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Add { .. } => "ADD",
            Self::Del { .. } => "DEL",
            Self::Check { .. } => "CHECK",
            Self::Gc { .. } => "GC",
            Self::Status { .. } => "STATUS",
            Self::Version { .. } => "VERSION",
        }
    }

    /// The attachment that the call is about, if it is about one.
    #[must_use]
    pub fn attachment(&self) -> Option<&Attachment> {
        match self {
            Self::Add { attachment, .. }
            | Self::Del { attachment, .. }
            | Self::Check { attachment, .. } => Some(attachment),
            Self::Gc { .. } | Self::Status { .. } | Self::Version { .. } => None,
        }
    }

    /// The network that the call is about; VERSION is about none.
    #[must_use]
    pub fn network(&self) -> Option<&Network> {
        match self {
            Self::Gc { network, .. } | Self::Status { network } => Some(network),
            _ => self.attachment().map(|attachment| &attachment.network),
        }
    }

    /// The version in which the call is answered.
    #[must_use]
    pub fn version(&self) -> Version {
        self.network().map_or(Version::NEWEST, |network| network.version)
    }
}

/// The environment, read variable by variable.
struct Environment<F> {
    lookup: F,
}

impl<F: Fn(&str) -> Option<OsString>> Environment<F> {
    /// The value of a variable; none where it is not set or empty.
    fn text(&self, name: &'static str) -> Result<Option<String>, CallError> {
        match (self.lookup)(name).map(OsString::into_string) {
            None => Ok(None),
            Some(Ok(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
            Some(Err(raw)) => Err(CallError::InvalidEnvironment {
                name,
                value: raw.to_string_lossy().chars().take(64).collect(),
                expected: "a text in UTF-8".to_owned(),
                advice: String::new(),
            }),
        }
    }

    /// Names all of the missing variables at once.
    fn require(&self, verb: &'static str, names: &[&'static str]) -> Result<(), CallError> {
        let set = |name: &str| (self.lookup)(name).is_some_and(|value| !value.is_empty());
        let missing: Vec<&str> = names.iter().copied().filter(|name| !set(name)).collect();
        match missing.as_slice() {
            [] => Ok(()),
            [name] => Err(CallError::MissingEnvironment { names: format!("{name} is"), verb }),
            names => Err(CallError::MissingEnvironment {
                names: format!("{} are", names.join(", ")),
                verb,
            }),
        }
    }

    fn netns(&self) -> Result<Option<PathBuf>, CallError> {
        Ok(self.text(NETNS)?.map(PathBuf::from))
    }

    fn args(&self) -> Result<CniArgs, CallError> {
        CniArgs::parse(&self.text(ARGS)?.unwrap_or_default())
    }

    fn args_if_sound(&self) -> CniArgs {
        let text = self.text(ARGS).ok().flatten().unwrap_or_default();
        CniArgs::parse(&text).unwrap_or_else(|_| CniArgs { text, ..CniArgs::default() })
    }

    fn attachment(
        &self,
        args: CniArgs,
        stdin: impl Read,
        verb: &'static str,
        since: Version,
    ) -> Result<Attachment, CallError> {
        let id =
            AttachmentId { container_id: self.parse(CONTAINER_ID)?, if_name: self.parse(IF_NAME)? };
        Ok(Attachment { id, args, network: self.network(stdin, verb, since)? })
    }

    fn parse<T>(&self, name: &'static str) -> Result<T, CallError>
    where
        T: std::str::FromStr<Err = linkspan_types::ParseError>,
    {
        self.text(name)?.unwrap_or_default().parse().map_err(|e: linkspan_types::ParseError| {
            CallError::InvalidEnvironment {
                name,
                value: e.text,
                expected: e.expected.to_owned(),
                advice: "See what the container runtime passes; nothing was changed".to_owned(),
            }
        })
    }

    fn network(
        &self,
        stdin: impl Read,
        verb: &'static str,
        since: Version,
    ) -> Result<Network, CallError> {
        let config = read_config(stdin)?;
        let version = Version::of(&config)?;
        if version < since {
            return Err(CallError::TooOldForVerb { verb, given: version, since });
        }
        let path = self.text(PATH)?.unwrap_or_default();
        let path = std::env::split_paths(&path).filter(|dir| !dir.as_os_str().is_empty()).collect();
        Ok(Network { config, version, path })
    }
}

fn read_config(stdin: impl Read) -> Result<Map<String, Value>, CallError> {
    let mut bytes = Vec::new();
    stdin.take(STDIN_LIMIT + 1).read_to_end(&mut bytes).map_err(CallError::Stdin)?;
    if bytes.len() as u64 > STDIN_LIMIT {
        return Err(CallError::TooLong { limit: STDIN_LIMIT });
    }
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(config)) => Ok(config),
        Ok(_) => Err(CallError::Malformed { reason: "it is another value".to_owned() }),
        // The parser's own text ends with the line and the column.
        Err(error) => Err(CallError::Malformed { reason: error.to_string() }),
    }
}

/// VERSION is answered whatever stands on standard input, as the reference library does.
fn asked_version(stdin: impl Read) -> Result<String, CallError> {
    let asked = match read_config(stdin) {
        Err(error @ CallError::Stdin(_)) => return Err(error),
        Err(_) => None,
        Ok(config) => config.get("cniVersion").and_then(Value::as_str).map(str::to_owned),
    };
    Ok(asked.filter(|text| !text.is_empty()).unwrap_or_else(|| Version::NEWEST.to_string()))
}

/// The attachments that GC is to leave alone. `null` means none, as it does to the reference
/// library; a missing key is an error, because it would free all there are.
///
/// The spec's text has one name for the key and its example another (containernetworking/cni#1101), and
/// libcni sets both.
fn valid_attachments(config: &Map<String, Value>) -> Result<Vec<AttachmentId>, CallError> {
    let invalid = |found: String| CallError::ValidAttachments {
        found,
        expected: "a list of {\"containerID\": ..., \"ifname\": ...}",
    };
    let list =
        config.get("cni.dev/valid-attachments").or_else(|| config.get("cni.dev/attachments"));
    let items = match list {
        Some(Value::Array(items)) => items.as_slice(),
        Some(Value::Null) => &[],
        Some(_) => return Err(invalid("no list".to_owned())),
        None => return Err(invalid("nothing".to_owned())),
    };
    let one = |(index, item): (usize, &Value)| {
        let text = |key| item.get(key).and_then(Value::as_str).unwrap_or_default();
        match (text("containerID").parse(), text("ifname").parse()) {
            (Ok(container_id), Ok(if_name)) => Ok(AttachmentId { container_id, if_name }),
            _ => Err(invalid(format!("wrong at its item {index}"))),
        }
    };
    items.iter().enumerate().map(one).collect()
}

#[cfg(test)]
#[path = "call_tests.rs"]
mod tests;
