//! Why there is no lease.

use linkspan_proto::framing::FrameError;

use crate::asked::AskError;
use crate::spec::{CniError, Code};

/// Why there is no lease.
#[derive(Debug, thiserror::Error)]
pub enum DhcpError {
    /// The daemon was not reached, or gave no answer.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The daemon could not acquire one.
    #[error("no DHCP lease: {error}")]
    Refused {
        /// Why, in its words.
        error: String,
        /// What helps, in its words.
        advice: String,
    },
    /// What it gave can't be used.
    #[error("the DHCP daemon gave {what}, expected {expected}")]
    Unusable {
        /// What it gave.
        what: String,
        /// What was expected.
        expected: &'static str,
    },
    /// An option would be longer than its length can say.
    #[error(
        "option {code} has {length} bytes with the {argument} of CNI_ARGS, expected at most 255"
    )]
    TooLong {
        /// The option.
        code: u8,
        /// How long it would be.
        length: usize,
        /// Where its value is from.
        argument: String,
    },
    /// The link has no place in the kernel.
    #[error("the device has no network interface over which a DHCP server could be asked")]
    NoInterface,
}

impl From<DhcpError> for CniError {
    fn from(error: DhcpError) -> Self {
        const RUNS: &str = "Start linkspan-dhcp on this node, or see its log if it runs";
        const OTHER: &str = "It looks like the reference plugin's daemon (`dhcp daemon`): stop that, and start \
                             linkspan-dhcp in its place, which takes the same flags and configurations";
        let (code, advice) = match &error {
            DhcpError::Ask(AskError::NoAnswer { source: FrameError::Http, .. }) => {
                (Code::Io, OTHER.to_owned())
            }
            DhcpError::Ask(asked) => asked.code_and_advice(RUNS),
            DhcpError::Refused { advice, .. } => (Code::TryAgain, advice.clone()),
            DhcpError::Unusable { .. } => (Code::Io, RUNS.to_owned()),
            DhcpError::TooLong { .. } => {
                (Code::InvalidEnvironment, "Shorten it, or set the option's `value`".to_owned())
            }
            DhcpError::NoInterface => (
                Code::InvalidConfig,
                "Set `ipam` to static or host-local where a program in user space drives the device".to_owned(),
            ),
        };
        Self::caused_by(code, &error, advice)
    }
}
