//! What the tests on SR-IOV NICs share.
