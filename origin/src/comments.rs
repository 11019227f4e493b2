//! Comments: what edges ask of this origin is checked by [`rules`], kept by [`store`] and told to
//! everybody by [`desk`], in this order. What may stand in a comment is
//! [`lectern_relay_proto::comment`]'s to say; `docs/comments.md` tells the whole way.

pub mod desk;
mod metrics;
mod rules;
pub mod store;

pub use desk::{Desk, Room};
pub use metrics::Metrics;
