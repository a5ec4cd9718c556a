//! How the log names a lease: by its pod, and by the interface that it is for.

/// Logs an event of a lease: `about!(warn, holder, "it is over")`.
macro_rules! about {
    ($level:ident, $holder:expr, $($message:tt)+) => {{
        let $crate::lease_store::Holder { key, pod, .. } = &$holder;
        let $crate::key::Key { network, container, interface } = key;
        tracing::$level!(pod, %network, %container, %interface, $($message)+);
    }};
}

pub(crate) use about;
