//! The DHCP client and the daemon that keeps leases: planned; see `ARCHITECTURE.md`.
