//! The places in which a key of one network may stand.

use linkspan_types::Mtu;
use serde_json::{Map, Value};

use super::runtime::RuntimeInputs;
use crate::Invalid;
use crate::fields::Fields;

/// Everything that is said about one attachment.
pub(super) struct Sources<'a> {
    /// The configuration.
    pub(super) root: Fields<'a>,
    /// Its `runtimeConfig`: what the runtime puts there for the capabilities that it declares.
    pub(super) runtime: Fields<'a>,
    /// The environment.
    pub(super) inputs: &'a RuntimeInputs,
    /// Whether it is written in our own style, and not in that of a peer.
    pub(super) native: bool,
}

impl<'a> Sources<'a> {
    /// Those of a configuration of which it is not known yet whose style it is in.
    pub(super) fn new(
        config: &'a Map<String, Value>,
        inputs: &'a RuntimeInputs,
    ) -> Result<Self, Invalid> {
        let root = Fields::unchecked(config, "");
        let runtime = root.inside("runtimeConfig")?;
        Ok(Self { root, runtime, inputs, native: false })
    }

    /// The device as the configuration names it, and where: Multus writes it into `deviceID` itself
    /// and, where the capability is declared, into `runtimeConfig.deviceID` too.
    pub(super) fn device(&self, expected: &str) -> Result<Option<(&Fields<'a>, &'a str)>, Invalid> {
        for place in [&self.root, &self.runtime] {
            if let Some(text) = place.text("deviceID", expected)? {
                return Ok(Some((place, text)));
            }
        }
        Ok(None)
    }

    /// The MTU; 0 asks for none, as for the peers.
    pub(super) fn mtu(&self) -> Result<Option<Mtu>, Invalid> {
        const EXPECTED: &str = "an MTU from 68 to 65535";
        match self.root.number::<u32, u32>("mtu", EXPECTED)? {
            None | Some(0) => Ok(None),
            Some(bytes) => {
                Mtu::try_from(bytes).map(Some).map_err(|_| self.root.invalid("mtu", EXPECTED))
            }
        }
    }
}
