//! The gRPC interfaces.
