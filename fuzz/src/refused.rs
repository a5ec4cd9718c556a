//! What an error may look like.

use linkspan_cni::spec::{CniError, Version};

/// How many bytes the message of an error may have, and how many its advice: a runtime puts both into an event
/// of the pod, which Kubernetes cuts at 1024.
const MOST: usize = 1024;

/// Sees that an error is fit to be shown, whatever the input was.
pub(crate) fn refused(error: impl Into<CniError>) {
    let error = error.into();
    let CniError { msg, details, .. } = &error;
    assert!(!msg.is_empty(), "an error says nothing");
    assert!(msg.len() <= MOST, "a message of {} bytes: {msg}", msg.len());
    assert!(details.len() <= MOST, "an advice of {} bytes: {details}", details.len());
    assert_eq!(error.to_json(Version::NEWEST)["msg"], msg.as_str());
}
