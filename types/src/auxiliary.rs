//! The name of a sub-function on the kernel's auxiliary bus: `mlx5_core.sf.4`.

use std::fmt;
use std::str::FromStr;

use crate::text::{ParseError, serde_as_text};

/// A sub-function (SF), named by the module that made it and a number of the bus, which is not the SF's own number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubFunction {
    module: String,
    number: u32,
}

impl FromStr for SubFunction {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        parse(text).ok_or_else(|| ParseError::new(text, "a sub-function such as mlx5_core.sf.4"))
    }
}

fn parse(text: &str) -> Option<SubFunction> {
    let (module, number) = text.split_once(".sf.")?;
    let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    let is_module = (1..=32).contains(&module.len()) && module.bytes().all(is_name);
    let is_number = number.bytes().all(|b| b.is_ascii_digit());
    (is_module && is_number).then_some(())?;
    Some(SubFunction { module: module.to_owned(), number: number.parse().ok()? })
}

impl fmt::Display for SubFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.sf.{}", self.module, self.number)
    }
}

serde_as_text!(SubFunction);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sub_functions_are_taken() {
        let name = "mlx5_core.sf.4";
        assert_eq!(name.parse::<SubFunction>().map(|name| name.to_string()), Ok(name.to_owned()));
        let bad = ["", "mlx5_core.eth.0", ".sf.4", "mlx5_core.sf.", "mlx5_core.sf.+1", "../a.sf.1"];
        for text in bad {
            assert!(text.parse::<SubFunction>().is_err(), "{text:?} was taken");
        }
    }
}
