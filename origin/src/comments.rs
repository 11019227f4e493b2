//! Comments at the origin: it alone gives them their numbers, and says that they are stored.

pub mod store;
