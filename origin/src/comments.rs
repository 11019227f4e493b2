//! Comments: what edges ask of this origin is read by the [`listener`], checked by [`rules`], kept by
//! [`store`] and told to everybody by [`desk`], in this order, room by room ([`open`]); what many do together, by
//! [`crowd`]. What may stand in a comment is
//! [`lectern_relay_proto::comment`]'s to say; `docs/comments.md` tells the whole way.

mod crowd;
pub mod desk;
mod listener;
mod metrics;
mod open;
mod outlet;
mod rules;
pub mod store;

pub use crowd::Audience;
pub use desk::{Desk, Rooms};
pub use metrics::Metrics;
pub use open::Room;
pub use outlet::Outlet;
